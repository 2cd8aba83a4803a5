// Eight whole numbers of 64 bits at once: AVX-512 with IFMA, whose multiply-adds take the low 52 bits of their factors.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
// Where no lane keeps what was there before, GCC's header passes a value that was never set.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#include "types.h"

namespace bitcloak::BITCLOAK_BACKEND {

struct IfmaLanes {
  using Number = __m512i;
  static constexpr int LANES = 8;

  static BITCLOAK_INLINE Number broadcast(u64 value) { return _mm512_set1_epi64(static_cast<i64>(value)); }
  static BITCLOAK_INLINE Number add(Number a, Number b) { return _mm512_add_epi64(a, b); }
  static BITCLOAK_INLINE Number sub(Number a, Number b) { return _mm512_sub_epi64(a, b); }
  /** a·b mod 2^52, and a·b/2^52 rounded down, added to a sum. */
  static BITCLOAK_INLINE Number addLow(Number sum, Number a, Number b) { return _mm512_madd52lo_epu64(sum, a, b); }
  static BITCLOAK_INLINE Number addHigh(Number sum, Number a, Number b) { return _mm512_madd52hi_epu64(sum, a, b); }
  /** a·b mod 2^52 for any a. */
  static BITCLOAK_INLINE Number lowOfLowBits(Number a, Number b) { return addLow(_mm512_setzero_si512(), a, b); }
  /** a mod 2^52, and a/2^52 rounded down, of a number with a sign. */
  static BITCLOAK_INLINE Number lowBits(Number a) { return _mm512_and_si512(a, broadcast((u64{1} << 52) - 1)); }
  static BITCLOAK_INLINE Number highBits(Number a) { return _mm512_srai_epi64(a, 52); }

  /** Say that a number is within 3·2^52, and that it is the highest limb of a reduced element, for the checks of the bounds. */
  static BITCLOAK_INLINE Number belowThreeLimbs(Number a) { return a; }
  static BITCLOAK_INLINE Number reduced(Number a) { return a; }

  /** From four words for each lane, and to them. */
  template <class At>
  static BITCLOAK_INLINE void gather(Number (&limbs)[5], const At& at) {
    Number rows[4];
    for (int i = 0; i < 4; i++) {
      const __m256i low = _mm256_load_si256(reinterpret_cast<const __m256i*>(at(i)));
      const __m256i high = _mm256_load_si256(reinterpret_cast<const __m256i*>(at(i + 4)));
      rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    transpose(rows);
    limbs[0] = lowBits(rows[0]);
    limbs[1] = lowBits(joined<52, 12>(rows[0], rows[1]));
    limbs[2] = lowBits(joined<40, 24>(rows[1], rows[2]));
    limbs[3] = lowBits(joined<28, 36>(rows[2], rows[3]));
    limbs[4] = _mm512_srli_epi64(rows[3], 16);
  }

  template <class At>
  static BITCLOAK_INLINE void scatter(const Number (&limbs)[5], const At& at) {
    Number rows[4] = {joined<0, 52>(limbs[0], limbs[1]), joined<12, 40>(limbs[1], limbs[2]),
                      joined<24, 28>(limbs[2], limbs[3]), joined<36, 16>(limbs[3], limbs[4])};
    transpose(rows);
    for (int i = 0; i < 4; i++) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(at(i)), _mm512_castsi512_si256(rows[i]));
      _mm256_store_si256(reinterpret_cast<__m256i*>(at(i + 4)), _mm512_extracti64x4_epi64(rows[i], 1));
    }
  }

  static BITCLOAK_INLINE __mmask8 whereOdd(const u32* references) {
    const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(references));
    return _mm256_test_epi32_mask(numbers, _mm256_set1_epi32(1));
  }
  /** The lanes whose number has the bit `distance`. */
  static BITCLOAK_INLINE __mmask8 whereUpper(int distance) {
    return static_cast<__mmask8>(distance == 4 ? 0xf0 : distance == 2 ? 0xcc : 0xaa);
  }
  /** a - b in the lanes of a mask, and `other` in those besides. */
  static BITCLOAK_INLINE Number subWhere(__mmask8 mask, Number other, Number a, Number b) {
    return _mm512_mask_sub_epi64(other, mask, a, b);
  }
  static BITCLOAK_INLINE Number swapped(Number a, int distance) {
    const Number lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_permutexvar_epi64(_mm512_xor_si512(lanes, _mm512_set1_epi64(distance)), a);
  }

 private:
  /** The upper bits of one number, and above them those of the next. */
  template <int RIGHT, int LEFT>
  static BITCLOAK_INLINE Number joined(Number low, Number high) {
    return _mm512_or_si512(_mm512_srli_epi64(low, RIGHT), _mm512_slli_epi64(high, LEFT));
  }

  /** Four limbs of lanes j and j + 4 in a row become one limb of all lanes, and the other way round. */
  static BITCLOAK_INLINE void transpose(Number (&rows)[4]) {
    const Number a = _mm512_unpacklo_epi64(rows[0], rows[1]), b = _mm512_unpackhi_epi64(rows[0], rows[1]);
    const Number c = _mm512_unpacklo_epi64(rows[2], rows[3]), d = _mm512_unpackhi_epi64(rows[2], rows[3]);
    const Number lower = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const Number upper = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    rows[0] = _mm512_permutex2var_epi64(a, lower, c);
    rows[1] = _mm512_permutex2var_epi64(b, lower, d);
    rows[2] = _mm512_permutex2var_epi64(a, upper, c);
    rows[3] = _mm512_permutex2var_epi64(b, upper, d);
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
