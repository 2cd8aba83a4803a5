// Groth16's verification, for a proof that was made here: nobody gets one that does not verify.
#pragma once
#include "keyFile.h"
#include "pairing.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Plain numbers as the interface has them, and whether all are below the modulus. */
class NumberReader {
 public:
  explicit NumberReader(const u8* bytes) : at(bytes) {}

  bool isInRange = true;

  Base base() {
    const Words words = next(BaseModulus::P);
    return Base::fromNumber(words);
  }
  Words scalar() { return next(ScalarModulus::P); }
  Extension extension() {
    const Base c0 = base();
    return {c0, base()};
  }
  Affine<Base> g1() {
    const Base x = base();
    return {x, base()};
  }
  Affine<Extension> g2() {
    const Extension x = extension();
    return {x, extension()};
  }

 private:
  const u8* at;

  Words next(const Words& modulus) {
    const Words words = readWords(at);
    at += ELEMENT_BYTES;
    if (!lessThan(words, modulus)) isInRange = false;
    return words;
  }
};

/**
 * @param key alpha, beta, gamma, delta, and a point for 1 and for each signal: affine coordinates, as plain numbers; their checks are the caller's.
 * @param proof as `finish` writes it. Its b is not checked to be of the subgroup: whoever made it knows.
 */
inline bool verifyProof(const u8* key, const u8* proof, const u8* signals, size_t signalCount) {
  NumberReader keyReader(key), proofReader(proof), signalReader(signals);
  const Affine<Base> alpha = keyReader.g1();
  const Affine<Extension> beta = keyReader.g2(), gamma = keyReader.g2(), delta = keyReader.g2();
  Point<Base> input = Point<Base>::from(keyReader.g1());
  for (size_t i = 0; i < signalCount; i++) {
    const Point<Base> base = Point<Base>::from(keyReader.g1());
    input = Point<Base>::add(input, Point<Base>::times(base, signalReader.scalar()));
  }
  const Affine<Base> a = proofReader.g1();
  const Affine<Extension> b = proofReader.g2();
  const Affine<Base> c = proofReader.g1();
  if (!keyReader.isInRange || !proofReader.isInRange || !signalReader.isInRange) return false;
  if (!isOnCurve(a) || !isOnCurve(b) || !isOnCurve(c) || input.isInfinity()) return false;
  return PairingProduct::isOne({Affine<Base>::neg(a), alpha, input.affine(), c}, {b, beta, gamma, delta});
}

}  // namespace bitcloak::BITCLOAK_BACKEND
