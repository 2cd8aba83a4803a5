// Groth16's prover (Groth, "On the Size of Pairing-based Non-interactive Arguments", EUROCRYPT 2016) over keys of snarkjs, whose last table holds
// the quotient's bases by its values on a coset.
#pragma once
#include "fft.h"
#include "keyFile.h"
#include "msm.h"
#include "rows.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** `Base_` and `Scalar_` are the vectors of the backend. */
template <class Base_, class Scalar_>
class Groth16 {
 public:
  using G1 = Base_;
  using G2 = VectorExtension<Base_>;

  struct Key {
    KeyFile file;
    Rows<Scalar_> rowsOfA, rowsOfB;
    PointTable<G1> a, b1, c, h;
    PointTable<G2> b2;
    CosetShift<Scalar_> shift;

    explicit Key(const KeyFile& keyFile) : file(keyFile), shift(keyFile.logDomain) {}
  };

  struct Proof {
    Key* key;
    /** Plain numbers. */
    Array<Words> witness, quotient;
    Digits witnessDigits, quotientDigits;
    /** The sums of runs of windows: of a, b1 and c over the witness, of h over the quotient, of b2 over the witness. */
    Array<Point<Base>> sums1;
    Array<Point<Extension>> sums2;

    Proof(Key* keyOf, Array<Words> values)
        : key(keyOf),
          witness(static_cast<Array<Words>&&>(values)),
          quotient(key->file.domain),
          witnessDigits(witness.data(), witness.size(), Digits::bitsFor(witness.size())),
          sums1(3 * witnessDigits.runs() + Digits::runsFor(Digits::bitsFor(key->file.domain))),
          sums2(witnessDigits.runs()) {}

    /** Of the sums over the witness. */
    u32 runs() const { return witnessDigits.runs(); }
  };

  /** Also where it fails there is a key, to be released. */
  static Status loadKey(const Bytes& bytes, Key*& key) {
    KeyFile file;
    Status status = KeyReader::read(bytes, file);
    if (status != SUCCESS) return status;
    key = create<Key>(file);
    Array<Term> terms(file.terms);
    for (u32 i = 0; i < file.terms && status == SUCCESS; i++) status = KeyReader::readTerm(file, i, terms[i]);
    if (status != SUCCESS) return status;
    key->rowsOfA = Rows<Scalar_>(terms, 0, file.domain);
    key->rowsOfB = Rows<Scalar_>(terms, 1, file.domain);
    if (status == SUCCESS) status = readTable<G1, Base>(file.a, 0, key->a);
    if (status == SUCCESS) status = readTable<G1, Base>(file.b1, 0, key->b1);
    if (status == SUCCESS) status = readTable<G2, Extension>(file.b2, 0, key->b2);
    if (status == SUCCESS) status = readTable<G1, Base>(file.c, file.publics + 1, key->c);
    if (status == SUCCESS) status = readTable<G1, Base>(file.h, 0, key->h);
    // All that is needed was copied.
    key->file.termBytes = key->file.a = key->file.b1 = key->file.b2 = key->file.c = key->file.h = Bytes{};
    return status;
  }

  static Status beginProof(Key* key, const Bytes& bytes, Proof*& proof) {
    if (bytes.size != size_t{key->file.wires} * ELEMENT_BYTES) return WITNESS_SIZE;
    Array<Words> witness(key->file.wires);
    for (u32 wire = 0; wire < key->file.wires; wire++) {
      witness[wire] = readWords(bytes.data + wire * ELEMENT_BYTES);
      if (!lessThan(witness[wire], ScalarModulus::P)) return WITNESS_RANGE;
    }
    if (!isZero(minus(witness[0], {{1, 0, 0, 0}}))) return WITNESS_RANGE;
    proof = create<Proof>(key, static_cast<Array<Words>&&>(witness));
    return SUCCESS;
  }

  /** The bases of h are such that the quotient's multiples are its values (A·B - C) on the coset, with no division. */
  static void computeQuotient(Proof& proof) {
    const Key& key = *proof.key;
    const u32 domain = key.file.domain, vectors = key.shift.vectorCount();
    Array<typename Scalar_::Stored> witness(proof.witness.size()), values(domain + 1);
    for (u32 wire = 0; wire < witness.size(); wire++) witness[wire] = Scalar_::packNumber(proof.witness[wire]);
    key.rowsOfA.multiply(witness, values);
    Array<Scalar_> valuesOfA = vectorsOf(values, vectors);
    key.rowsOfB.multiply(witness, values);
    Array<Scalar_> valuesOfB = vectorsOf(values, vectors), valuesOfC(vectors);
    for (u32 i = 0; i < vectors; i++) valuesOfC[i] = Scalar_::mul(valuesOfA[i], valuesOfB[i]);
    key.shift.apply(valuesOfA.data());
    key.shift.apply(valuesOfB.data());
    key.shift.apply(valuesOfC.data());
    for (u32 i = 0; i < vectors; i++) {
      const Scalar_ product = Scalar_::mul(Scalar_::reduce(valuesOfA[i]), Scalar_::reduce(valuesOfB[i]));
      const Scalar_ value = Scalar_::sub(product, valuesOfC[i]);
      typename Scalar_::Stored lanes[LANES];
      value.scatter([&](int lane) -> typename Scalar_::Stored& { return lanes[lane]; });
      for (u32 lane = 0; lane < LANES; lane++) {
        proof.quotient[lane * vectors + i] = Scalar::toNumber(Scalar_::unpack(lanes[lane]));
      }
    }
    splitQuotient(proof);
  }

  /** To be called where the quotient came from elsewhere. */
  static void splitQuotient(Proof& proof) {
    const u32 domain = proof.key->file.domain;
    proof.quotientDigits = Digits(proof.quotient.data(), domain, Digits::bitsFor(domain));
  }

  static u32 witnessTasks(const Proof& proof) { return 4 * proof.runs(); }
  static u32 tasks(const Proof& proof) {
    return witnessTasks(proof) + Digits::runsFor(Digits::bitsFor(proof.key->file.domain));
  }

  /** The long ones first, so that at the end no thread waits for one that began late. */
  static void computeSum(Proof& proof, u32 task) {
    const Key& key = *proof.key;
    const u32 runs = proof.runs(), kind = task / runs, run = task % runs;
    const Digits& digits = proof.witnessDigits;
    if (kind == 0) {
      proof.sums2[run] = RunSum<G2>::compute(key.b2, digits, run);
    } else if (kind < 4) {
      const PointTable<G1>& table = kind == 1 ? key.a : kind == 2 ? key.b1 : key.c;
      proof.sums1[task - runs] = RunSum<G1>::compute(table, digits, run);
    } else {
      proof.sums1[task - runs] = RunSum<G1>::compute(key.h, proof.quotientDigits, task - 4 * runs);
    }
  }

  /** r and s make the proof independent of the witness, given that they are uniform. */
  static Status finish(const Proof& proof, const u8* blinding, u8* result) {
    const KeyFile& key = proof.key->file;
    const Words r = readWords(blinding), s = readWords(blinding + ELEMENT_BYTES);
    if (!lessThan(r, ScalarModulus::P) || !lessThan(s, ScalarModulus::P)) return BLINDING_RANGE;
    using P1 = Point<Base>;
    using P2 = Point<Extension>;
    const Digits& digits = proof.witnessDigits;
    const Point<Base>* sums = proof.sums1.data();
    const P1 delta1 = P1::from(key.delta1);
    P1 a = P1::add(joinRuns(sums, digits), key.alpha1);
    a = P1::add(a, P1::times(delta1, r));
    P1 b1 = P1::add(joinRuns(sums + proof.runs(), digits), key.beta1);
    b1 = P1::add(b1, P1::times(delta1, s));
    P2 b = P2::add(joinRuns(proof.sums2.data(), digits), key.beta2);
    b = P2::add(b, P2::times(P2::from(key.delta2), s));
    P1 c = P1::add(joinRuns(sums + 2 * proof.runs(), digits),
                   joinRuns(sums + 3 * proof.runs(), proof.quotientDigits));
    c = P1::add(P1::add(c, P1::times(a, s)), P1::times(b1, r));
    const Scalar product = Scalar::mul(Scalar::fromNumber(r), Scalar::fromNumber(s));
    c = P1::add(c, P1::times(delta1, Scalar::toNumber(Scalar::neg(product))));
    const Affine<Base> pointA = a.affine(), pointC = c.affine();
    const Affine<Extension> pointB = b.affine();
    const Base elements[8] = {pointA.x,    pointA.y,    pointB.x.c0, pointB.x.c1,
                              pointB.y.c0, pointB.y.c1, pointC.x,    pointC.y};
    for (u32 i = 0; i < 8; i++) {
      const Words number = Base::toNumber(elements[i]);
      __builtin_memcpy(result + i * ELEMENT_BYTES, number.w, ELEMENT_BYTES);
    }
    return SUCCESS;
  }

 private:
  static constexpr u32 LANES = static_cast<u32>(Scalar_::LANES);

  template <class Field, class Single>
  static Status readTable(const Bytes& bytes, u32 firstScalar, PointTable<Field>& table) {
    constexpr size_t SIZE = sizeof(Single) * 2;
    const size_t count = bytes.size / SIZE;
    table = PointTable<Field>(count);
    for (size_t i = 0; i < count; i++) {
      Affine<Single> point;
      if (!readPoint(bytes.data + i * SIZE, point)) return KEY_POINT;
      table.add(point, firstScalar + static_cast<u32>(i));
    }
    return SUCCESS;
  }

  static Array<Scalar_> vectorsOf(const Array<typename Scalar_::Stored>& values, u32 vectors) {
    Array<Scalar_> result(vectors);
    for (u32 i = 0; i < vectors; i++) {
      result[i] = Scalar_::gather([&](int lane) -> const typename Scalar_::Stored& {
        return values[static_cast<u32>(lane) * vectors + i];
      });
    }
    return result;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
