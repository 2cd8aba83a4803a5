// Splits scalars into the digits of each size of a digit that a proof can want, and puts them together again: from one point to as many as a key may
// have.
#define BITCLOAK_BACKEND digits
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include "../../packages/prover/native/msm.h"
#include "../../packages/prover/native/singleField.h"

extern "C" void* bitcloakAllocate(size_t bytes) { return malloc(bytes); }
extern "C" void bitcloakRelease(void* memory) { free(memory); }

using namespace bitcloak::digits;

namespace {

constexpr u32 LOG_POINTS_MAX = 24, SCALARS = 100'000, BORDERS = 2'000;

u64 state = 88172645463325252;

u64 draw() {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

Scalar scalarOf(i64 number) {
  const bool isNegative = number < 0;
  const Scalar magnitude = Scalar::fromNumber({{static_cast<u64>(isNegative ? -number : number), 0, 0, 0}});
  return isNegative ? Scalar::neg(magnitude) : magnitude;
}

/** 2X + 1 = (6X² + 2X)·λ. */
Scalar lambda() {
  const EndomorphismNumbers numbers;
  return Scalar::mul(Scalar::fromNumber(numbers.small), Scalar::inverse(Scalar::fromNumber(numbers.large)));
}

bool isWhole(const Words& number, u32 bits) {
  static const Scalar LAMBDA = lambda();
  const Digits digits(&number, 1, bits);
  Scalar halves[2] = {Scalar::zero(), Scalar::zero()};
  for (u32 window = digits.windows; window-- > 0;) {
    for (u32 half = 0; half < 2; half++) {
      for (u32 i = 0; i < bits; i++) halves[half] = Scalar::dbl(halves[half]);
      halves[half] = Scalar::add(halves[half], scalarOf(digits.window(window)[half]));
    }
  }
  return Scalar::equal(Scalar::add(halves[0], Scalar::mul(halves[1], LAMBDA)), Scalar::fromNumber(number));
}

/** Those that are split have 126 bits at most, and others are not. */
bool isShort(const Words& number) {
  const Words negative = minus(ScalarModulus::P, number);
  const bool stays = (number.w[3] | number.w[2]) == 0 || (negative.w[3] | negative.w[2]) == 0;
  Endomorphism::Half halves[2];
  Endomorphism::split(number, halves);
  if (stays) return (halves[1].w[0] | halves[1].w[1]) == 0;
  return halves[0].w[1] >> 62 == 0 && halves[1].w[1] >> 62 == 0;
}

/** factor·order/(2·divisor): near it a quotient by the divisor is rounded in one way or the other. */
Words border(const Words& factor, const Words& divisor) {
  const Words low = WholeProduct::words<2, 4>(factor, ScalarModulus::P);
  const Words high = WholeProduct::words<2, 4, 4>(factor, ScalarModulus::P);
  const Words twice = plus(divisor, divisor);
  Words quotient{}, rest{};
  for (int bit = 383; bit >= 0; bit--) {
    const Words& words = bit < 256 ? low : high;
    rest = plus(rest, rest);
    rest.w[0] |= words.w[bit % 256 / 64] >> (bit % 64) & 1;
    quotient = plus(quotient, quotient);
    if (lessThan(rest, twice)) continue;
    rest = minus(rest, twice);
    quotient.w[0] |= 1;
  }
  return quotient;
}

}  // namespace

int main() {
  const EndomorphismNumbers numbers;
  u32 before = 0;
  for (u32 log = 0; log <= LOG_POINTS_MAX; log++) {
    const u32 bits = Digits::bitsFor(size_t{1} << log);
    std::printf("%u points: %u bits\n", 1u << log, bits);
    if (bits == before) continue;
    before = bits;
    const auto check = [&](const Words& number, const char* what, u32 index) {
      if (isWhole(number, bits) && isShort(number)) return;
      std::printf("%u bits: %s %u\n", bits, what, index);
      std::exit(1);
    };
    Scalar scalar = Scalar::zero();
    const Scalar step = Scalar::fromNumber({{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0x1b873593cc9e2d51}});
    for (u32 i = 0; i < SCALARS; i++, scalar = Scalar::add(scalar, step)) check(Scalar::toNumber(scalar), "scalar", i);
    // The half of the order, above which scalars are negated, and each power of two, where a digit is the largest that there is; times λ as well.
    Scalar edge = Scalar::inverse(scalarOf(2));
    for (u32 bit = 0; bit < 256; bit++, edge = Scalar::dbl(edge)) {
      for (i64 distance = -2; distance <= 2; distance++) {
        for (const Scalar& factor : {Scalar::one(), lambda()}) {
          check(Scalar::toNumber(Scalar::mul(Scalar::add(edge, scalarOf(distance)), factor)), "near 2^", bit);
        }
      }
    }
    for (u32 i = 0; i < BORDERS; i++) {
      // Up to a half of the order both quotients are.
      const Words large{{draw() | 1, draw() >> (i % 62 + 2), 0, 0}}, small{{draw() >> (i % 62 + 1) | 1, 0, 0, 0}};
      for (const Words& number : {border(large, numbers.large), border(small, numbers.small)}) {
        for (i64 distance = -2; distance <= 2; distance++) {
          check(Scalar::toNumber(Scalar::add(Scalar::fromNumber(number), scalarOf(distance))), "border", i);
        }
      }
    }
  }
}
