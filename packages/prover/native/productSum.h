// Sums of products of elements with one reduction for several of them, which is half of what a product takes.
#pragma once
#include "scalarField.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Σ a·b/R mod P, of COUNT_MAX products at most. */
template <class Modulus>
class ProductSum {
 public:
  using Single = Element<Modulus>;
  /** P < 0.19·2^256: the sum is below 5·P² < 2^510, and what a reduction leaves of it below (5·0.19 + 1)·P. */
  static constexpr u32 COUNT_MAX = 5;

  BITCLOAK_INLINE void add(const Single& a, const Single& b) {
    // Row by row below 2^64 more each, so that only the whole carries into what was there.
    Digit carryOut = 0;
#pragma GCC unroll 8
    for (int i = 0; i < DIGITS; i++) {
      Digit carry = 0;
#pragma GCC unroll 8
      for (int j = 0; j < DIGITS; j++) {
        const Wide sum = static_cast<Wide>(digit(a, i)) * digit(b, j) + t[i + j] + carry;
        t[i + j] = static_cast<Digit>(sum);
        carry = static_cast<Digit>(sum >> BITS);
      }
      const Wide last = static_cast<Wide>(t[i + DIGITS]) + carry + carryOut;
      t[i + DIGITS] = static_cast<Digit>(last);
      carryOut = static_cast<Digit>(last >> BITS);
    }
  }

  BITCLOAK_INLINE Single reduced() {
    Digit carryOut = 0;
#pragma GCC unroll 8
    for (int i = 0; i < DIGITS; i++) {
      const Digit factor = t[i] * static_cast<Digit>(Single::NEGATED_INVERSE);
      Digit carry = 0;
#pragma GCC unroll 8
      for (int j = 0; j < DIGITS; j++) {
        const Wide sum = static_cast<Wide>(factor) * digit(MODULUS, j) + t[i + j] + carry;
        t[i + j] = static_cast<Digit>(sum);
        carry = static_cast<Digit>(sum >> BITS);
      }
      const Wide last = static_cast<Wide>(t[i + DIGITS]) + carry + carryOut;
      t[i + DIGITS] = static_cast<Digit>(last);
      carryOut = static_cast<Digit>(last >> BITS);
    }
    Words result{};
    for (int i = 0; i < DIGITS; i++) {
      result.w[i * BITS / 64] |= static_cast<u64>(t[DIGITS + i]) << (i * BITS % 64);
    }
    for (Digit& value : t) value = 0;
    return Single::reduceOnce(result);
  }

 private:
#if defined(__SIZEOF_INT128__) && !defined(__wasm__)
  using Digit = u64;
  using Wide = unsigned __int128;
#else
  using Digit = u32;
  using Wide = u64;
#endif
  static constexpr int BITS = 8 * sizeof(Digit), DIGITS = 256 / BITS;
  static constexpr Single MODULUS = Single::of(Modulus::P);

  Digit t[2 * DIGITS] = {};

  static BITCLOAK_INLINE Digit digit(const Single& a, int i) {
    return static_cast<Digit>(a.w[i * BITS / 64] >> (i * BITS % 64));
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
