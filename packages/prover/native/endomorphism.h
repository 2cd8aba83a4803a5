// Multiples of points by scalars of half the size: (x, y) → (βx, y), where β³ = 1, multiplies points by a number λ, and each scalar is a short number and
// a short multiple of λ (Gallant, Lambert and Vanstone, "Faster Point Multiplication on Elliptic Curves with Efficient Endomorphisms", CRYPTO 2001).
#pragma once
#include "curve.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Products of whole numbers, by the digits that the target multiplies best. */
struct WholeProduct {
#if defined(__SIZEOF_INT128__) && !defined(__wasm__)
  using Digit = u64;
  __extension__ using Wide = unsigned __int128;
#else
  using Digit = u32;
  using Wide = u64;
#endif
  static constexpr int BITS = 8 * sizeof(Digit), DIGITS = 64 / BITS;

  static constexpr Digit digit(const Words& a, int i) { return static_cast<Digit>(a.w[i / DIGITS] >> (BITS * (i % DIGITS))); }

  /** Of an `a` of A words and a `b` of B, the words from number FROM on. */
  template <int A, int B, int FROM = 0>
  static constexpr Words words(const Words& a, const Words& b) {
    Digit digits[(A + B) * DIGITS] = {};
#pragma GCC unroll 8
    for (int i = 0; i < A * DIGITS; i++) {
      Wide carry = 0;
#pragma GCC unroll 8
      for (int j = 0; j < B * DIGITS; j++) {
        carry += static_cast<Wide>(digit(a, i)) * digit(b, j) + digits[i + j];
        digits[i + j] = static_cast<Digit>(carry);
        carry >>= BITS;
      }
      digits[i + B * DIGITS] = static_cast<Digit>(carry);
    }
    Words result{};
#pragma GCC unroll 8
    for (int i = 0; i < 4 * DIGITS && i + FROM * DIGITS < (A + B) * DIGITS; i++) {
      result.w[i / DIGITS] |= static_cast<u64>(digits[i + FROM * DIGITS]) << (BITS * (i % DIGITS));
    }
    return result;
  }
};

/** The moduli are polynomials in X (Barreto and Naehrig, SAC 2005), and so is all else. */
struct EndomorphismNumbers {
  Words small, large, larger, smallByOrder, largeByOrder, beta;

  constexpr EndomorphismNumbers() : small{}, large{}, larger{}, smallByOrder{}, largeByOrder{}, beta{} {
    constexpr Words ONE{{1, 0, 0, 0}}, X{{4965661367192848881, 0, 0, 0}}, TWICE_X = plus(X, X);
    constexpr Words X_SQUARED = WholeProduct::words<1, 1>(X, X), X_CUBED = WholeProduct::words<1, 2>(X, X_SQUARED);
    // 2X + 1 and -(6X² + 2X) times λ are a multiple of the order, and so are 6X² + 4X + 1 and 2X + 1 times λ.
    small = plus(TWICE_X, ONE);
    large = WholeProduct::words<1, 1>(TWICE_X, plus(plus(X, TWICE_X), ONE));
    larger = plus(large, small);
    smallByOrder = byOrder(small);
    largeByOrder = byOrder(large);
    // 18X³ + 18X² + 9X + 1.
    Words sum = plus(plus(X_CUBED, X_SQUARED), plus(X_CUBED, X_SQUARED));
    sum = plus(sum, X);
    for (int i = 0; i < 9; i++) beta = plus(beta, sum);
    beta = plus(beta, ONE);
  }

  /** 2^256·number/order, to the nearest whole number. */
  static constexpr Words byOrder(const Words& number) {
    Words quotient{}, rest{};
    for (int bit = 511; bit >= 0; bit--) {
      rest = plus(rest, rest);
      if (bit >= 256) rest.w[0] |= number.w[(bit - 256) / 64] >> (bit % 64) & 1;
      quotient = plus(quotient, quotient);
      if (lessThan(rest, ScalarModulus::P)) continue;
      rest = minus(rest, ScalarModulus::P);
      quotient.w[0] |= 1;
    }
    return lessThan(halved(ScalarModulus::P), rest) ? plus(quotient, {{1, 0, 0, 0}}) : quotient;
  }
};

class Endomorphism {
 public:
  /** A scalar is the first half and λ times the second. */
  struct Half {
    u64 w[2];
    bool isNegative;
  };
  static constexpr u32 BITS = 128;

  /** λ times a point of prime order. */
  static Affine<Base> apply(const Affine<Base>& point) { return {Base::mul(point.x, BETA), point.y}; }
  /** On the twist the other root of unity belongs to the same λ. */
  static Affine<Extension> apply(const Affine<Extension>& point) {
    const Base beta = Base::sqr(BETA);
    return {{Base::mul(point.x.c0, beta), Base::mul(point.x.c1, beta)}, point.y};
  }

  /**
   * Splits a plain number below the order. One of 128 bits, or of which the negative has no more, stays whole: so small numbers have few digits, and the
   * constants near 2^128 of circomlib's comparisons, whose points are often the same, have few in common.
   */
  static void split(const Words& scalar, Half (&halves)[2]) {
    const bool isNegative = lessThan(HALF_OF_ORDER, scalar);
    const Words k = isNegative ? minus(ScalarModulus::P, scalar) : scalar;
    if (k.w[3] == 0 && k.w[2] == 0) {
      halves[0] = {{k.w[0], k.w[1]}, isNegative};
      halves[1] = {};
      return;
    }
    // With fractions for whole numbers nothing would be left: a half is within 9/16 of the two numbers that are taken from it.
    const Words first = quotient(k, NUMBERS.smallByOrder), second = quotient(k, NUMBERS.largeByOrder);
    const Words taken = plus(WholeProduct::words<1, 1>(first, NUMBERS.small), WholeProduct::words<2, 2>(second, NUMBERS.larger));
    halves[0] = halfOf(minus(k, taken), isNegative);
    halves[1] = halfOf(minus(WholeProduct::words<1, 2>(first, NUMBERS.large), WholeProduct::words<2, 1>(second, NUMBERS.small)),
                       isNegative);
  }

 private:
  static constexpr EndomorphismNumbers NUMBERS{};
  static constexpr Words HALF_OF_ORDER = halved(ScalarModulus::P);
  static constexpr Base BETA = Base::of(powerOfTwo(256, BaseModulus::P, NUMBERS.beta));

  /** k·factor/2^256 to the nearest whole number, which is below 2^127. */
  static Words quotient(const Words& k, const Words& factor) {
    const Words product = WholeProduct::words<4, 3, 3>(k, factor);
    return plus({{product.w[1], product.w[2], 0, 0}}, {{product.w[0] >> 63, 0, 0, 0}});
  }

  /** Of a number with a sign, modulo 2^256. */
  static Half halfOf(const Words& number, bool isNegated) {
    const bool isNegative = number.w[3] >> 63 != 0;
    const Words magnitude = isNegative ? minus({}, number) : number;
    return {{magnitude.w[0], magnitude.w[1]}, isNegative != isNegated};
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
