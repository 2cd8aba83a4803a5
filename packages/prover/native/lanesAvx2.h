// Four doubles at once: AVX2 with FMA3.
#pragma once
#include <immintrin.h>
#include "types.h"

namespace bitcloak::BITCLOAK_BACKEND {

struct Avx2Lanes {
  using Number = __m256d;
  /** All columns of a product come first, so that more of them wait for nothing: measured. */
  static constexpr bool IS_COLUMN_WISE = false;
  static constexpr int LANES = 4;

  static BITCLOAK_INLINE Number broadcast(double value) { return _mm256_set1_pd(value); }
  static BITCLOAK_INLINE Number add(Number a, Number b) { return _mm256_add_pd(a, b); }
  static BITCLOAK_INLINE Number sub(Number a, Number b) { return _mm256_sub_pd(a, b); }
  static BITCLOAK_INLINE Number mul(Number a, Number b) { return _mm256_mul_pd(a, b); }
  static BITCLOAK_INLINE Number fma(Number a, Number b, Number c) { return _mm256_fmadd_pd(a, b, c); }

  /** A sum that is known to be a multiple of 2^51, for the checks of the bounds. */
  static BITCLOAK_INLINE Number addWhole(Number a, Number b) { return add(a, b); }

  template <class At>
  static BITCLOAK_INLINE void gather(Number (&limbs)[5], const At& at) {
    const double *a = at(0), *b = at(1), *c = at(2), *d = at(3);
    Number rows[4] = {_mm256_loadu_pd(a), _mm256_loadu_pd(b), _mm256_loadu_pd(c), _mm256_loadu_pd(d)};
    transpose(rows);
    for (int i = 0; i < 4; i++) limbs[i] = rows[i];
    __m128d low = _mm_loadh_pd(_mm_load_sd(a + 4), b + 4);
    __m128d high = _mm_loadh_pd(_mm_load_sd(c + 4), d + 4);
    limbs[4] = _mm256_insertf128_pd(_mm256_castpd128_pd256(low), high, 1);
  }

  template <class At>
  static BITCLOAK_INLINE void scatter(const Number (&limbs)[5], const At& at) {
    Number rows[4] = {limbs[0], limbs[1], limbs[2], limbs[3]};
    transpose(rows);
    __m128d low = _mm256_castpd256_pd128(limbs[4]);
    __m128d high = _mm256_extractf128_pd(limbs[4], 1);
    for (int lane = 0; lane < 4; lane++) {
      double* target = at(lane);
      _mm256_storeu_pd(target, rows[lane]);
      __m128d half = lane < 2 ? low : high;
      if (lane % 2 == 0) {
        _mm_storel_pd(target + 4, half);
      } else {
        _mm_storeh_pd(target + 4, half);
      }
    }
  }

  static BITCLOAK_INLINE Number signsOf(const u32* references) {
    const __m128i numbers = _mm_loadu_si128(reinterpret_cast<const __m128i*>(references));
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_cvtepu32_epi64(numbers), 63));
  }
  static BITCLOAK_INLINE Number flip(Number a, Number signs) { return _mm256_xor_pd(a, signs); }

  static BITCLOAK_INLINE Number swapped(Number a, int distance) {
    return distance == 2 ? _mm256_permute2f128_pd(a, a, 1) : _mm256_permute_pd(a, 5);
  }
  static BITCLOAK_INLINE Number negatedUpper(Number a, int distance) {
    return _mm256_xor_pd(a, distance == 2 ? _mm256_setr_pd(0.0, 0.0, -0.0, -0.0) : _mm256_setr_pd(0.0, -0.0, 0.0, -0.0));
  }

 private:
  static BITCLOAK_INLINE void transpose(Number (&rows)[4]) {
    Number a = _mm256_unpacklo_pd(rows[0], rows[1]), b = _mm256_unpackhi_pd(rows[0], rows[1]);
    Number c = _mm256_unpacklo_pd(rows[2], rows[3]), d = _mm256_unpackhi_pd(rows[2], rows[3]);
    rows[0] = _mm256_permute2f128_pd(a, c, 0x20);
    rows[1] = _mm256_permute2f128_pd(b, d, 0x20);
    rows[2] = _mm256_permute2f128_pd(a, c, 0x31);
    rows[3] = _mm256_permute2f128_pd(b, d, 0x31);
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
