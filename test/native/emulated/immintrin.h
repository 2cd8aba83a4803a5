// The instructions of AVX-512 that packages/prover/native/lanesIfma.h uses, each as Intel's manual describes it, for processors that have none of them:
// whoever includes <immintrin.h> gets this where its directory is searched first. BITCLOAK_FAULT names an instruction that is to compute wrongly.
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t __m256i __attribute__((vector_size(32)));
typedef int64_t __m512i __attribute__((vector_size(64)));
using __mmask8 = uint8_t;

// Copies of them for each use would take the compiler a minute.
#define EMULATED inline __attribute__((noinline))

namespace bitcloak::emulated {

inline const char* const FAULT = getenv("BITCLOAK_FAULT");

inline bool isFaulty(const char* instruction) { return FAULT != nullptr && strcmp(FAULT, instruction) == 0; }

constexpr uint64_t LOW_52 = (uint64_t{1} << 52) - 1;

}  // namespace bitcloak::emulated

inline __m512i _mm512_setr_epi64(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g, int64_t h) {
  return __m512i{a, b, c, d, e, f, g, h};
}
inline __m512i _mm512_set1_epi64(int64_t a) { return __m512i{a, a, a, a, a, a, a, a}; }
inline __m512i _mm512_setzero_si512() { return _mm512_set1_epi64(0); }
// Sums and differences wrap around, which those of numbers with a sign must not do in C++.
typedef uint64_t Unsigned512 __attribute__((vector_size(64)));
inline __m512i _mm512_add_epi64(__m512i a, __m512i b) { return (__m512i)((Unsigned512)a + (Unsigned512)b); }
inline __m512i _mm512_sub_epi64(__m512i a, __m512i b) { return (__m512i)((Unsigned512)a - (Unsigned512)b); }
inline __m512i _mm512_and_si512(__m512i a, __m512i b) { return a & b; }
inline __m512i _mm512_or_si512(__m512i a, __m512i b) { return a | b; }
inline __m512i _mm512_xor_si512(__m512i a, __m512i b) { return a ^ b; }

EMULATED __m512i _mm512_mask_sub_epi64(__m512i other, __mmask8 mask, __m512i a, __m512i b) {
  if (bitcloak::emulated::isFaulty("mask_sub")) mask = 0xff;
  const __m512i difference = _mm512_sub_epi64(a, b);
  for (int i = 0; i < 8; i++) other[i] = (mask >> i & 1) != 0 ? difference[i] : other[i];
  return other;
}
inline __m512i _mm512_srli_epi64(__m512i a, unsigned bits) { return (__m512i)((Unsigned512)a >> bits); }
inline __m512i _mm512_slli_epi64(__m512i a, unsigned bits) { return (__m512i)((Unsigned512)a << bits); }
EMULATED __m512i _mm512_srai_epi64(__m512i a, unsigned bits) {
  if (bitcloak::emulated::isFaulty("srai")) return (__m512i)((Unsigned512)a >> bits);
  return a >> bits;
}
EMULATED __m512i _mm512_madd52lo_epu64(__m512i sum, __m512i a, __m512i b) {
  using namespace bitcloak::emulated;
  for (int i = 0; i < 8; i++) {
    const uint64_t product = (static_cast<uint64_t>(a[i]) & LOW_52) * (static_cast<uint64_t>(b[i]) & LOW_52);
    sum[i] = static_cast<int64_t>(static_cast<uint64_t>(sum[i]) + (product & LOW_52));
  }
  return sum;
}
EMULATED __m512i _mm512_madd52hi_epu64(__m512i sum, __m512i a, __m512i b) {
  using namespace bitcloak::emulated;
  __extension__ using Product = unsigned __int128;
  // One that drops a factor's highest bit is right for half of all operands.
  const uint64_t taken = isFaulty("madd52hi") ? LOW_52 >> 1 : LOW_52;
  for (int i = 0; i < 8; i++) {
    const Product product = Product{static_cast<uint64_t>(a[i]) & taken} * (static_cast<uint64_t>(b[i]) & LOW_52);
    sum[i] = static_cast<int64_t>(static_cast<uint64_t>(sum[i]) + static_cast<uint64_t>(product >> 52));
  }
  return sum;
}
EMULATED __m512i _mm512_permutexvar_epi64(__m512i index, __m512i a) {
  if (bitcloak::emulated::isFaulty("permutexvar")) return a;
  __m512i result;
  for (int i = 0; i < 8; i++) result[i] = a[index[i] & 7];
  return result;
}
EMULATED __m512i _mm512_permutex2var_epi64(__m512i a, __m512i index, __m512i b) {
  __m512i result;
  for (int i = 0; i < 8; i++) {
    const int from = static_cast<int>(index[i] & 7);
    result[i] = (index[i] & 8) != 0 ? b[from] : a[from];
  }
  return result;
}
EMULATED __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) {
  return __m512i{a[0], b[0], a[2], b[2], a[4], b[4], a[6], b[6]};
}
EMULATED __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) {
  return __m512i{a[1], b[1], a[3], b[3], a[5], b[5], a[7], b[7]};
}
/** The upper half is not defined: so nobody may count on zeros. */
inline __m512i _mm512_castsi256_si512(__m256i a) { return __m512i{a[0], a[1], a[2], a[3], -1, 1, -1, 1}; }
inline __m256i _mm512_castsi512_si256(__m512i a) { return __m256i{a[0], a[1], a[2], a[3]}; }
EMULATED __m512i _mm512_inserti64x4(__m512i a, __m256i b, int half) {
  for (int i = 0; i < 4; i++) a[4 * half + i] = b[i];
  return a;
}
EMULATED __m256i _mm512_extracti64x4_epi64(__m512i a, int half) {
  const int at = 4 * half;
  return __m256i{a[at], a[at + 1], a[at + 2], a[at + 3]};
}
EMULATED __m256i _mm256_loadu_si256(const __m256i* from) {
  __m256i result;
  memcpy(&result, from, sizeof result);
  return result;
}
/** One number of 32 bits in each of eight places. */
EMULATED __m256i _mm256_set1_epi32(int32_t a) {
  const int32_t numbers[8] = {a, a, a, a, a, a, a, a};
  __m256i result;
  memcpy(&result, numbers, sizeof result);
  return result;
}
EMULATED __mmask8 _mm256_test_epi32_mask(__m256i a, __m256i b) {
  uint32_t both[8];
  const __m256i common = a & b;
  memcpy(both, &common, sizeof both);
  unsigned mask = 0;
  for (int i = 0; i < 8; i++) mask |= (both[i] != 0 ? 1u : 0u) << i;
  return static_cast<__mmask8>(mask);
}
/** These fault where the address is no multiple of 32. */
EMULATED __m256i _mm256_load_si256(const __m256i* from) {
  if (reinterpret_cast<uintptr_t>(from) % sizeof *from != 0) abort();
  __m256i result;
  memcpy(&result, from, sizeof result);
  return result;
}
EMULATED void _mm256_store_si256(__m256i* to, __m256i a) {
  if (reinterpret_cast<uintptr_t>(to) % sizeof *to != 0) abort();
  memcpy(to, &a, sizeof a);
}
