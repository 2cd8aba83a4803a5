// One element of a prime field at a time: four words in Montgomery's form, R = 2^256.
#pragma once
#include "modulus.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Powers of 2 modulo a prime: an inversion takes between 253 and 508 shifts, and multiplies by what is missing to R³. */
struct InversionPowers {
  static constexpr int FROM = 260, COUNT = 257;
  Words of[COUNT] = {};

  constexpr explicit InversionPowers(const Words& modulus) {
    of[0] = powerOfTwo(FROM, modulus);
    for (int i = 1; i < COUNT; i++) {
      of[i] = plus(of[i - 1], of[i - 1]);
      if (!lessThan(of[i], modulus)) of[i] = minus(of[i], modulus);
    }
  }
};

/** An element x as x·R mod P, always below P. P < 2^254, so that a sum never leaves four words. */
template <class Modulus>
struct Element {
  u64 w[4];

  static constexpr Words P = Modulus::P;
  static constexpr u64 NEGATED_INVERSE = negatedInverse(P.w[0]);
  static constexpr Words R = powerOfTwo(256, P);
  static constexpr Words R_SQUARED = powerOfTwo(512, P);
  static constexpr InversionPowers POWERS{P};

  static constexpr Element of(const Words& words) { return {{words.w[0], words.w[1], words.w[2], words.w[3]}}; }
  constexpr Words words() const { return {{w[0], w[1], w[2], w[3]}}; }
  static constexpr Element zero() { return {{0, 0, 0, 0}}; }
  static constexpr Element one() { return of(R); }
  constexpr bool isZero() const { return (w[0] | w[1] | w[2] | w[3]) == 0; }
  static constexpr bool equal(const Element& a, const Element& b) {
    return ((a.w[0] ^ b.w[0]) | (a.w[1] ^ b.w[1]) | (a.w[2] ^ b.w[2]) | (a.w[3] ^ b.w[3])) == 0;
  }

  static BITCLOAK_INLINE Element add(const Element& a, const Element& b) {
    Words sum = plus(a.words(), b.words());
    return reduceOnce(sum);
  }

  static BITCLOAK_INLINE Element sub(const Element& a, const Element& b) {
    Words difference = minus(a.words(), b.words());
    // a < b shows in bit 255, since both are below 2^254.
    u64 mask = 0 - (difference.w[3] >> 63);
    return of(plus(difference, {{P.w[0] & mask, P.w[1] & mask, P.w[2] & mask, P.w[3] & mask}}));
  }

  static BITCLOAK_INLINE Element neg(const Element& a) { return sub(zero(), a); }
  static BITCLOAK_INLINE Element dbl(const Element& a) { return add(a, a); }
  static BITCLOAK_INLINE Element sqr(const Element& a) { return mul(a, a); }

  /** a·b/R mod P by Montgomery's method, words interleaved (CIOS). Takes any a < 2^256 with b < P too. */
  static BITCLOAK_APART Element mul(const Element& a, const Element& b) {
#if defined(__SIZEOF_INT128__) && !defined(__wasm__)
    using u128 = unsigned __int128;
    u64 t[4] = {0, 0, 0, 0};
    // Since P < 2^254 the words above the fourth never carry: t < 2P after each round (Acar 1997).
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      u128 low = static_cast<u128>(a.w[i]) * b.w[0] + t[0];
      u64 m = static_cast<u64>(low) * NEGATED_INVERSE;
      u128 reduced = static_cast<u128>(m) * P.w[0] + static_cast<u64>(low);
#pragma GCC unroll 3
      for (int j = 1; j < 4; j++) {
        low = static_cast<u128>(a.w[i]) * b.w[j] + t[j] + static_cast<u64>(low >> 64);
        reduced = static_cast<u128>(m) * P.w[j] + static_cast<u64>(low) + static_cast<u64>(reduced >> 64);
        t[j - 1] = static_cast<u64>(reduced);
      }
      t[3] = static_cast<u64>(low >> 64) + static_cast<u64>(reduced >> 64);
    }
    return reduceOnce({{t[0], t[1], t[2], t[3]}});
#else
    u32 t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    constexpr u32 NEGATED_INVERSE_HALF = static_cast<u32>(NEGATED_INVERSE);
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
      u64 left = static_cast<u32>(a.w[i / 2] >> (32 * (i % 2)));
      u64 low = left * static_cast<u32>(b.w[0]) + t[0];
      u64 m = static_cast<u32>(static_cast<u32>(low) * NEGATED_INVERSE_HALF);
      u64 reduced = m * static_cast<u32>(P.w[0]) + static_cast<u32>(low);
#pragma clang loop unroll(full)
      for (int j = 1; j < 8; j++) {
        low = left * static_cast<u32>(b.w[j / 2] >> (32 * (j % 2))) + t[j] + (low >> 32);
        reduced = m * static_cast<u32>(P.w[j / 2] >> (32 * (j % 2))) + static_cast<u32>(low) + (reduced >> 32);
        t[j - 1] = static_cast<u32>(reduced);
      }
      t[7] = static_cast<u32>((low >> 32) + (reduced >> 32));
    }
    Words result{};
    for (int i = 0; i < 4; i++) result.w[i] = t[2 * i] | static_cast<u64>(t[2 * i + 1]) << 32;
    return reduceOnce(result);
#endif
  }

  /** a to the power of an exponent that is no secret. */
  static Element power(const Element& a, const Words& exponent) {
    Element result = one();
    for (int bit = 255; bit >= 0; bit--) {
      result = sqr(result);
      if ((exponent.w[bit / 64] >> (bit % 64)) & 1) result = mul(result, a);
    }
    return result;
  }

  /** 1/a; 0 for 0. Kaliski, "The Montgomery Inverse and Its Applications" (1995), with all zeros of a number shifted out at once. */
  static Element inverse(const Element& a) {
    if (a.isZero()) return a;
    // a·r = -u·2^shifts and a·s = v·2^shifts modulo P, or both negated; r and s stay below 2P.
    Words u = P, v = a.words(), r{}, s{{1, 0, 0, 0}};
    int shifts = 0;
    bool isNegated = false;
    for (;;) {
      while ((v.w[0] & 1) == 0) {
        const int zeros = v.w[0] == 0 ? 63 : __builtin_ctzll(v.w[0]);
        for (int i = 0; i < 4; i++) v.w[i] = v.w[i] >> zeros | (i < 3 ? v.w[i + 1] << (64 - zeros) : 0);
        for (int i = 3; i >= 0; i--) r.w[i] = r.w[i] << zeros | (i > 0 ? r.w[i - 1] >> (64 - zeros) : 0);
        shifts += zeros;
      }
      if (lessThan(v, u)) {
        const Words largerOfBoth = u, other = r;
        u = v;
        v = largerOfBoth;
        r = s;
        s = other;
        isNegated = !isNegated;
      }
      v = minus(v, u);
      s = plus(s, r);
      if (bitcloak::BITCLOAK_BACKEND::isZero(v)) break;
    }
    // Now u is 1.
    const Element result = isNegated ? reduceOnce(r) : neg(reduceOnce(r));
    return mul(result, of(POWERS.of[3 * 256 - shifts - InversionPowers::FROM]));
  }

  /** From and to the plain number, which must be below P. */
  static Element fromNumber(const Words& number) { return mul(of(number), of(R_SQUARED)); }
  static Words toNumber(const Element& a) { return mul(a, {{1, 0, 0, 0}}).words(); }

  /** From below 2P to below P. */
  static BITCLOAK_INLINE Element reduceOnce(const Words& value) {
    Words difference = minus(value, P);
    // value < 2P < 2^255: bit 255 of the difference tells whether it was negative.
    u64 mask = 0 - (difference.w[3] >> 63);
    return {{(value.w[0] & mask) | (difference.w[0] & ~mask), (value.w[1] & mask) | (difference.w[1] & ~mask),
             (value.w[2] & mask) | (difference.w[2] & ~mask), (value.w[3] & mask) | (difference.w[3] & ~mask)}};
  }
};

using Base = Element<BaseModulus>;
using Scalar = Element<ScalarModulus>;

}  // namespace bitcloak::BITCLOAK_BACKEND
