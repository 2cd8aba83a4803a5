// Compares one backend with another before it is used: single products and sums, and a whole proof from a key that is made up. It takes about a
// tenth of a second.
#pragma once
#include "keyFile.h"

namespace bitcloak::BITCLOAK_BACKEND {

class SelfTest {
 public:
  static bool agrees(const Backend& tried, const Backend& trusted) {
    SelfTest test;
    const bool isRight = test.agreesOn<BaseModulus>(0, tried, trusted) &&
                         test.agreesOn<ScalarModulus>(1, tried, trusted) &&
                         test.agreesOn<BaseModulus>(2, tried, trusted);
    if (!isRight) return false;
    const Array<u8> key = test.key(), witness = test.witness();
    u8 result[PROOF_BYTES], expected[PROOF_BYTES];
    return prove(tried, key, witness, result) && prove(trusted, key, witness, expected) &&
           __builtin_memcmp(result, expected, PROOF_BYTES) == 0;
  }

 private:
  /** The sums, differences, products, squares and negatives of operations.h. */
  static constexpr u32 KINDS = 5;
  static constexpr size_t OPERANDS = 2048;
  /** So large that a transform has more stages than can go without a reduction. */
  static constexpr u32 DOMAIN_SIZE = 2048;
  static constexpr u32 WIRES = 256;

  u64 state = 88172645463325252;

  u64 draw() {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  }

  /** Below 2^253, which is below both moduli; of words that are zeros or ones throughout, or anything. */
  Words drawNumber() {
    Words number{};
    for (u64& word : number.w) {
      const u64 choice = draw();
      word = choice % 4 == 0 ? 0 : choice % 4 == 1 ? ~u64{0} : draw();
    }
    number.w[3] &= (u64{1} << 61) - 1;
    return number;
  }

  /** Half of them are such that the vectors hold them, times 2^260, as they were drawn. */
  template <class Modulus>
  Array<u8> operands() {
    Words sixteenth{{1, 0, 0, 0}};
    for (int i = 0; i < 4; i++) {
      sixteenth = halved((sixteenth.w[0] & 1) != 0 ? plus(sixteenth, Modulus::P) : sixteenth);
    }
    Array<u8> bytes(OPERANDS * ELEMENT_BYTES);
    for (size_t i = 0; i < OPERANDS; i++) {
      Words number = drawNumber();
      if (i % 4 < 2) {
        number = Element<Modulus>::mul(Element<Modulus>::of(number), Element<Modulus>::of(sixteenth)).words();
      }
      __builtin_memcpy(&bytes[i * ELEMENT_BYTES], number.w, ELEMENT_BYTES);
    }
    return bytes;
  }

  template <class Modulus>
  bool agreesOn(u32 field, const Backend& tried, const Backend& trusted) {
    // An element of the extension takes two.
    const size_t count = field == 2 ? OPERANDS / 2 : OPERANDS;
    for (u32 kind = 0; kind < KINDS; kind++) {
      const Array<u8> left = operands<Modulus>(), right = operands<Modulus>();
      Array<u8> result(left.size()), expected(left.size());
      const bool isEqual = tried.apply(16 * field + kind, left.data(), right.data(), result.data(), count) &&
                           trusted.apply(16 * field + kind, left.data(), right.data(), expected.data(), count) &&
                           __builtin_memcmp(result.data(), expected.data(), result.size()) == 0;
      if (!isEqual) return false;
    }
    return true;
  }

  /** 1 to WIRES times a point. */
  template <class Field>
  static Array<Affine<Field>> multiples(const Affine<Field>& of) {
    Array<Affine<Field>> result(WIRES);
    Point<Field> sum = Point<Field>::infinity();
    for (u32 i = 0; i < WIRES; i++) {
      sum = Point<Field>::add(sum, Point<Field>::from(of));
      result[i] = sum.affine();
    }
    return result;
  }

  /** The generator of G2 that everybody uses: x.c0, x.c1, y.c0, y.c1. */
  static constexpr Words GENERATOR_2[4] = {
      Words{{0x46debd5cd992f6ed, 0x674322d4f75edadd, 0x426a00665e5c4479, 0x1800deef121f1e76}},
      Words{{0x97e485b7aef312c2, 0xf1aa493335a9e712, 0x7260bfb731fb5d25, 0x198e9393920d483a}},
      Words{{0x4ce6cc0166fa7daa, 0xe3d1e7690c43d37b, 0x4aab71808dcb408f, 0x12c85ea5db8c6deb}},
      Words{{0x55acdadcd122975b, 0xbc4b313370b38ef3, 0xec9e99ad690c3395, 0x090689d0585ff075}}};

  static constexpr size_t TERMS_SIZE = 4 + 2 * DOMAIN_SIZE * TERM_BYTES;
  static constexpr size_t HEADER_SIZE = 2 * (4 + ELEMENT_BYTES) + 12 + 3 * G1_BYTES + 3 * G2_BYTES;
  static constexpr size_t TABLES_SIZE = (3 * WIRES + DOMAIN_SIZE) * G1_BYTES + WIRES * G2_BYTES;

  struct Writer {
    u8* at;

    void write(const void* data, size_t size) {
      __builtin_memcpy(at, data, size);
      at += size;
    }
    template <class... Value>
    void put(const Value&... values) {
      (write(&values, sizeof values), ...);
    }
    void section(u32 kind, u64 size) {
      put(kind);
      put(size);
    }
  };

  /** A key as keyFile.h reads it, of a circuit without sense. */
  Array<u8> key() {
    const auto base = [](const Words& number) { return Base::fromNumber(number); };
    const Words* g = GENERATOR_2;
    const Array<Affine<Base>> points = multiples<Base>({base({{1, 0, 0, 0}}), base({{2, 0, 0, 0}})});
    const Array<Affine<Extension>> points2 = multiples<Extension>({{base(g[0]), base(g[1])}, {base(g[2]), base(g[3])}});
    Array<u8> file(12 + 9 * 12 + 4 + HEADER_SIZE + TERMS_SIZE + TABLES_SIZE);
    Writer writer{file.data()};
    const u32 elementBytes = ELEMENT_BYTES;
    writer.write("zkey", 4);
    writer.put(u32{1}, u32{9});
    writer.section(1, 4);
    writer.put(u32{1});
    writer.section(2, HEADER_SIZE);
    writer.put(elementBytes, BaseModulus::P, elementBytes, ScalarModulus::P, WIRES, u32{0}, DOMAIN_SIZE);
    writer.put(points[3], points[4], points2[5], points2[6], points[7], points2[8]);
    writer.section(3, G1_BYTES);
    writer.put(points[0]);
    writer.section(4, TERMS_SIZE);
    writer.put(2 * DOMAIN_SIZE);
    for (u32 i = 0; i < 2 * DOMAIN_SIZE; i++) {
      writer.put(i % 2, i / 2, static_cast<u32>(draw() % WIRES), drawNumber());
    }
    writer.section(5, WIRES * G1_BYTES);
    writer.write(points.data(), WIRES * G1_BYTES);
    writer.section(6, WIRES * G1_BYTES);
    writer.write(points.data(), WIRES * G1_BYTES);
    writer.section(7, WIRES * G2_BYTES);
    writer.write(points2.data(), WIRES * G2_BYTES);
    writer.section(8, (WIRES - 1) * G1_BYTES);
    writer.write(points.data(), (WIRES - 1) * G1_BYTES);
    writer.section(9, DOMAIN_SIZE * G1_BYTES);
    // Few of many, but some of each lane.
    for (u32 i = 0; i < DOMAIN_SIZE; i++) writer.put(i % 7 == 0 ? points[i % WIRES] : Affine<Base>::infinity());
    return file;
  }

  Array<u8> witness() {
    Array<u8> bytes(WIRES * ELEMENT_BYTES);
    Writer writer{bytes.data()};
    for (u32 i = 0; i < WIRES; i++) writer.put(i == 0 ? Words{{1, 0, 0, 0}} : drawNumber());
    return bytes;
  }

  static bool prove(const Backend& backend, const Array<u8>& file, const Array<u8>& witness, u8* result) {
    const u8 blinding[BLINDING_BYTES] = {3};
    void *key = nullptr, *proof = nullptr;
    bool isMade = backend.loadKey(file.data(), file.size(), &key) == SUCCESS &&
                  backend.beginProof(key, witness.data(), witness.size(), &proof) == SUCCESS;
    if (isMade) {
      backend.computeQuotient(proof);
      for (u32 task = 0; task < backend.tasks(proof); task++) backend.computeSum(proof, task);
      isMade = backend.finish(proof, blinding, result) == SUCCESS;
    }
    if (proof != nullptr) backend.releaseProof(proof);
    if (key != nullptr) backend.releaseKey(key);
    return isMade;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
