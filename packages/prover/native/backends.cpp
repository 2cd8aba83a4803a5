// Asks the processor what it has, and tries what nobody could try on a processor when it was written.
#define BITCLOAK_BACKEND selfTest
#include "backends.h"
#include "selfTest.h"

namespace bitcloak {

extern const Backend PORTABLE_BACKEND;
extern const Backend AVX2_BACKEND;
extern const Backend IFMA_BACKEND;

namespace {

#if defined(BITCLOAK_EMULATED)
/** For tests: the instructions are functions then, which every processor can run. */
bool hasIfma() { return true; }
#elif defined(__x86_64__)
/** Also whether the system keeps the registers of 512 bits when it switches threads: XCR0 is looked at. */
bool hasIfma() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
}
bool hasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#endif

Backends choose() {
  Backends chosen{};
  size_t count = 0;
#if defined(__x86_64__) || defined(BITCLOAK_EMULATED)
  if (hasIfma()) {
    const bool isRight = selfTest::SelfTest::agrees(IFMA_BACKEND, PORTABLE_BACKEND);
    (isRight ? chosen.available[count++] : chosen.refused) = &IFMA_BACKEND;
  }
#endif
#if defined(__x86_64__) && !defined(BITCLOAK_EMULATED)
  if (hasAvx2()) chosen.available[count++] = &AVX2_BACKEND;
#endif
  chosen.available[count] = &PORTABLE_BACKEND;
  return chosen;
}

}  // namespace

const Backends& backends() {
  static const Backends chosen = choose();
  return chosen;
}

}  // namespace bitcloak
