// Runs the arithmetic of whole limbs over intervals instead of numbers: what a multiplication would not read of a factor, a number that does not fit
// and an element that could be negative end the program. So the proof holds for all operands.
#define BITCLOAK_BACKEND bounds
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include "../../packages/prover/native/extension.h"
#include "../../packages/prover/native/integerField.h"

extern "C" void* bitcloakAllocate(size_t bytes) { return malloc(bytes); }
extern "C" void bitcloakRelease(void* memory) { free(memory); }

/** What is taken from an element by `sub` may be as large as this, in multiples of P. */
#ifndef SUBTRAHEND
#define SUBTRAHEND 3.9
#endif

namespace {

using namespace bitcloak::bounds;
__extension__ using Wide = __int128;

const char* doing = "";
/** A lane is negated or not; all is done with both. */
bool isNegating = false;

[[noreturn]] void fail(const char* what, Wide bound) {
  std::printf("%s: %s, %g\n", doing, what, static_cast<double>(bound));
  std::exit(1);
}

/** From `min` to `max`. */
struct Interval {
  Wide min, max;
};

constexpr Wide LIMB = Wide{1} << 52;
/** Multiples of P that a reduction leaves at most: checkQuotient shows it. */
constexpr double REDUCED = 1.4;
/** 2^256, which is what is stored of an element. */
constexpr double STORED = 5.28;
/** Of the inverse that goes through a batch, and of all products of an addition. */
constexpr double INVERSE = 2;
constexpr i64 HIGHEST_OF_P = static_cast<i64>(BaseModulus::P.w[3] >> 16);
static_assert(HIGHEST_OF_P == static_cast<i64>(ScalarModulus::P.w[3] >> 16));

Wide highestOf(double multiplesOfP) { return static_cast<i64>(multiplesOfP * static_cast<double>(HIGHEST_OF_P)) + 1; }

struct IntervalLanes {
  using Number = Interval;
  static constexpr int LANES = 8;

  static Interval broadcast(u64 value) { return {value, value}; }
  static Interval add(const Interval& a, const Interval& b) { return fitting({a.min + b.min, a.max + b.max}); }
  static Interval sub(const Interval& a, const Interval& b) { return fitting({a.min - b.max, a.max - b.min}); }
  static Interval addLow(const Interval& sum, const Interval& a, const Interval& b) {
    const Wide product = factor(a).max * factor(b).max;
    return fitting({sum.min, sum.max + (product < LIMB ? product : LIMB - 1)});
  }
  static Interval addHigh(const Interval& sum, const Interval& a, const Interval& b) {
    return fitting({sum.min + factor(a).min * factor(b).min / LIMB, sum.max + a.max * b.max / LIMB});
  }
  static Interval lowOfLowBits(const Interval&, const Interval& b) {
    factor(b);
    return {0, LIMB - 1};
  }
  static Interval lowBits(const Interval& a) { return a.min >= 0 && a.max < LIMB ? a : Interval{0, LIMB - 1}; }
  static Interval highBits(const Interval& a) { return {a.min >> 52, a.max >> 52}; }
  static Interval belowThreeLimbs(const Interval& a) {
    if (a.min < -3 * LIMB || a.max > 3 * LIMB) fail("a limb with too large a carry", a.max);
    return a;
  }
  static Interval reduced(const Interval& a) { return {factor(a).min, highestOf(REDUCED)}; }

  static Interval swapped(const Interval& a, int) { return a; }
  static bool whereUpper(int) { return isNegating; }
  static bool whereOdd(const u32*) { return isNegating; }
  static Interval subWhere(bool mask, const Interval& other, const Interval& a, const Interval& b) {
    return mask ? sub(a, b) : other;
  }

 private:
  static Interval fitting(const Interval& a) {
    if (a.min < INT64_MIN || a.max > INT64_MAX) fail("a number that does not fit", a.max);
    return a;
  }
  static Interval factor(const Interval& a) {
    if (a.min < 0 || a.max >= LIMB) fail("a factor that is more than a limb", a.min < 0 ? a.min : a.max);
    return a;
  }
};

template <class Field>
Field bounded(double multiplesOfP) {
  Field result;
  for (Interval& limb : result.l) limb = {0, LIMB - 1};
  result.l[4] = {0, highestOf(multiplesOfP)};
  return result;
}

/** Of limbs as they must be, and below so many P. */
template <class Field>
Field checked(const char* what, const Field& a, double multiplesMax) {
  doing = what;
  for (const Interval& limb : a.l) {
    if (limb.min < 0 || limb.max >= LIMB) fail("a limb that is too large or negative", limb.min < 0 ? limb.min : limb.max);
  }
  const double multiples = static_cast<double>(a.l[4].max + 1) / static_cast<double>(HIGHEST_OF_P);
  if (multiples > multiplesMax) fail("a result that is too large", a.l[4].max);
  std::printf("%s: below %.3f P\n", what, multiples);
  return bounded<Field>(multiplesMax);
}

template <class Field>
VectorExtension<Field> checked(const char* what, const VectorExtension<Field>& a, double multiplesMax) {
  return {checked(what, a.c0, multiplesMax), checked(what, a.c1, multiplesMax)};
}

/**
 * The number that is reduced is h·2^208 and what the limbs below are worth, for which 4 were taken from h. The quotient grows with h: so the largest
 * and the smallest h of each tell what can be left.
 */
template <class Field>
void checkQuotient() {
  doing = "quotient";
  const auto quotient = [](Wide highest) { return Field::quotient({highest - 4, highest - 4}).max; };
  const auto first = [&](Wide wanted) {
    Wide below = 4, from = highestOf(41);
    while (from - below > 1) {
      const Wide middle = (below + from) / 2;
      (quotient(middle) < wanted ? below : from) = middle;
    }
    return from;
  };
  for (Wide wanted = 0; wanted < 39; wanted++) {
    const Wide smallest = wanted == 0 ? 4 : first(wanted), largest = first(wanted + 1) - 1;
    if (quotient(smallest) != wanted || quotient(largest) != wanted) fail("a quotient that is left out", wanted);
    if (smallest - 4 < wanted * (HIGHEST_OF_P + 1)) fail("a reduction below 0", wanted);
    if (largest + 4 >= wanted * HIGHEST_OF_P + highestOf(REDUCED)) fail("a reduction that leaves too much", wanted);
  }
  if (first(39) < highestOf(39)) fail("quotients that were not looked at", first(39));
}

template <class Field>
void checkField() {
  const Field packed = bounded<Field>(1), any = bounded<Field>(34);
  checkQuotient<Field>();
  doing = "product";
  checked("product", Field::mul(any, any), 15);
  checked("square", Field::sqr(any), 15);
  checked("square of what few sums give", Field::sqr(bounded<Field>(8)), 2);
  doing = "sum";
  checked("sum", Field::add(any, any), 69);
  checked("difference", Field::sub(any, bounded<Field>(SUBTRAHEND)), 39);
  checked("reduction", Field::reduce(any), REDUCED + 0.001);
  // fft.h: seven stages after one that reduces. Factors were packed.
  Field value = checked("stage that reduces", Field::sub(Field::reduce(any), Field::mul(any, packed)), 5.5);
  for (int stage = 1; stage < 8; stage++) {
    doing = "stage of a transform";
    const Field product = checked("factor times value", Field::mul(value, packed), 1.5);
    checked("sum of a transform", Field::add(value, product), 5.5 + 4.01 * stage);
    value = checked("stage of a transform", Field::sub(value, product), 5.5 + 4.01 * stage);
  }
  checked("what is left after the stages", value, 34);
  const Field product = checked("coset factor", Field::mul(value, packed), 1.5);
  value = checked("stage across lanes", Field::add(product.swapped(1), product.negatedUpper(1)), SUBTRAHEND);
  const Field factor = Field::reduce(value);
  checked("quotient", Field::sub(Field::mul(factor, factor), value), STORED);
  checked("operations.h", Field::sub(packed, packed), STORED);
  checked("operations.h", Field::subReduced(Field::sub(packed, packed), packed), REDUCED + 0.001);
}

/** groups.h: the coordinates of sums are within what is assumed of those of the points. */
template <class Field>
void checkAddition(const char* name, const Field& coordinate, const Field& inverse) {
  std::printf("%s\n", name);
  doing = "factor";
  const Field delta = checked("factor", Field::factor(coordinate, coordinate), 5.5);
  const Field product = checked("product of differences", Field::mul(inverse, delta), INVERSE);
  Field exchanged = product;
  for (const char* level : {"products of two lanes", "products of four", "products of eight"}) {
    exchanged = checked(level, Field::reduce(Field::mul(exchanged, exchanged)), REDUCED + 0.001);
  }
  checked("inverse of a lane", Field::mul(exchanged, coordinate), INVERSE);
  const Field inverseOfDelta = checked("inverse of a difference", Field::mul(inverse, product), INVERSE);
  const Field ordinate = checked("negated ordinate", coordinate.negatedWhereOdd(nullptr), 2.001);
  const Field slope = checked("slope", Field::mul(Field::factor(ordinate, ordinate), inverseOfDelta), INVERSE);
  doing = "abscissa";
  checked("abscissa", Field::subReduced(Field::sqr(slope), coordinate, delta), REDUCED + 0.001);
  doing = "ordinate";
  const Field rise = Field::mul(slope, Field::sub(coordinate, coordinate));
  checked("ordinate", Field::subReduced(rise, ordinate), REDUCED + 0.001);
}

}  // namespace

int main() {
  using Base_ = IntegerElement<BaseModulus, IntervalLanes>;
  const Base_ coordinate = bounded<Base_>(REDUCED), inverse = bounded<Base_>(INVERSE);
  for (const bool negates : {false, true}) {
    isNegating = negates;
    checkField<Base_>();
    checkField<IntegerElement<ScalarModulus, IntervalLanes>>();
    checkAddition("G1", coordinate, inverse);
    checkAddition("G2", VectorExtension<Base_>{coordinate, coordinate}, VectorExtension<Base_>{inverse, inverse});
  }
}
