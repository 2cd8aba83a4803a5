// Splits scalars into the digits of each size of a digit that a proof can want, and puts them together again: from one point to as many as a key may
// have.
#define BITCLOAK_BACKEND digits
#include <cstdio>
#include <cstdlib>
#include "../../packages/prover/native/msm.h"
#include "../../packages/prover/native/singleField.h"

extern "C" void* bitcloakAllocate(size_t bytes) { return malloc(bytes); }
extern "C" void bitcloakRelease(void* memory) { free(memory); }

using namespace bitcloak::digits;

namespace {

constexpr u32 LOG_POINTS_MAX = 24, SCALARS = 10'000;

Scalar scalarOf(i64 number) {
  const bool isNegative = number < 0;
  const Scalar magnitude = Scalar::fromNumber({{static_cast<u64>(isNegative ? -number : number), 0, 0, 0}});
  return isNegative ? Scalar::neg(magnitude) : magnitude;
}

bool isWhole(const Words& number, u32 bits) {
  const Digits digits(&number, 1, bits);
  Scalar sum = Scalar::zero();
  for (u32 window = digits.windows; window-- > 0;) {
    for (u32 i = 0; i < bits; i++) sum = Scalar::dbl(sum);
    sum = Scalar::add(sum, scalarOf(digits.window(window)[0]));
  }
  return Scalar::equal(sum, Scalar::fromNumber(number));
}

}  // namespace

int main() {
  u32 before = 0;
  for (u32 log = 0; log <= LOG_POINTS_MAX; log++) {
    const u32 bits = Digits::bitsFor(size_t{1} << log);
    std::printf("%u points: %u bits\n", 1u << log, bits);
    if (bits == before) continue;
    before = bits;
    Scalar scalar = Scalar::zero();
    const Scalar step = Scalar::fromNumber({{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0x1b873593cc9e2d51}});
    for (u32 i = 0; i < SCALARS; i++, scalar = Scalar::add(scalar, step)) {
      if (!isWhole(Scalar::toNumber(scalar), bits)) return std::printf("%u bits: scalar %u\n", bits, i), 1;
    }
    // The half of the order, above which scalars are negated, and each power of two, where a digit is the largest that there is.
    Scalar edge = Scalar::inverse(scalarOf(2));
    for (u32 bit = 0; bit < 256; bit++, edge = Scalar::dbl(edge)) {
      for (i64 distance = -2; distance <= 2; distance++) {
        const Words number = Scalar::toNumber(Scalar::add(edge, scalarOf(distance)));
        if (!isWhole(number, bits)) return std::printf("%u bits: near 2^%d\n", bits, static_cast<i32>(bit) - 1), 1;
      }
    }
  }
}
