// Runs the vectors' arithmetic over bounds instead of numbers: each number is known by how large it can be and of what it is a multiple, and every
// operation that could round where it must not ends the program. So the proof holds for all operands.
#define BITCLOAK_BACKEND bounds
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include "../../packages/prover/native/extension.h"
#include "../../packages/prover/native/vectorField.h"

extern "C" void* bitcloakAllocate(size_t bytes) { return malloc(bytes); }
extern "C" void bitcloakRelease(void* memory) { free(memory); }

#ifndef TIDY_LIMB
#define TIDY_LIMB (0x1p51 + 0x1p6)
#endif

namespace {

constexpr double ROUNDER = 0x1.8p104, WHOLE_ROUNDER = 0x1.8p52;
const char* doing = "";

[[noreturn]] void fail(const char* what, double bound) {
  std::printf("%s: %s, log2 of the bound %.4f\n", doing, what, std::log2(bound));
  std::exit(1);
}

/** Sums and products of bounds, rounded up where they are not exact. */
double sumOf(double a, double b) {
  const double sum = a + b, larger = std::fmax(a, b), smaller = std::fmin(a, b);
  return smaller - (sum - larger) > 0 ? std::nextafter(sum, HUGE_VAL) : sum;
}
double productOf(double a, double b) {
  const double product = a * b;
  return std::fma(a, b, -product) > 0 ? std::nextafter(product, HUGE_VAL) : product;
}

struct Bound {
  /** |x| <= max, and x is a multiple of unit. */
  double max = 0, unit = 1;
  /** A constant's value; NaN for others. */
  double constant = NAN;
  /** Each result has an identity of its own, by which a difference from its own rounding is known to be small. */
  int id = 0;
  /** What this is, up to the sign, the multiple of 2^52 next to: a number, or the product of two. */
  int roundedFrom = 0, roundedFactor = 0;
  /** It still has a rounder added. */
  bool isShifted = false;
  /** The quotient by P that the highest limb with this identity suggests. */
  int quotientOf = 0;
};

int identities = 0;

Bound made(double max, double unit) {
  Bound result;
  result.max = max;
  result.unit = unit;
  result.id = ++identities;
  return result;
}

/** A sum that must be exact: at most 2^53 units. */
Bound exact(double max, double unit) {
  if (max > 0x1p53 * unit) fail("a sum that may be rounded", max / unit);
  return made(max, unit);
}

Bound shifted(double max, int from, int factor) {
  // Above 2^104 and below 2^105 doubles are multiples of 2^52; and half of one may be added by rounding.
  if (max > 0x1p103) fail("a number too large to be rounded to limbs", max);
  Bound result = made(sumOf(max, 0x1p51), 0x1p52);
  result.isShifted = true;
  result.roundedFrom = from;
  result.roundedFactor = factor;
  return result;
}

Bound unshifted(const Bound& a) {
  Bound result = a;
  result.isShifted = false;
  result.id = ++identities;
  return result;
}

bool isRounder(const Bound& a) { return a.constant == ROUNDER; }

struct BoundLanes {
  using Number = Bound;
  static constexpr int LANES = 1;

  static Bound broadcast(double value) {
    Bound result = made(std::fabs(value), 0);
    result.constant = value;
    // The largest power of two that divides it.
    int exponent = 0;
    double mantissa = std::frexp(std::fabs(value), &exponent);
    double unit = 0x1p-1;
    while (value != 0 && std::fmod(mantissa, unit) != 0) unit /= 2;
    result.unit = value == 0 ? HUGE_VAL : std::ldexp(unit, exponent);
    return result;
  }

  static Bound add(const Bound& a, const Bound& b) {
    if (isRounder(b)) return shifted(a.max, a.id, 0);
    if (a.isShifted || b.isShifted) fail("a sum with a rounder", a.max);
    return exact(sumOf(a.max, b.max), std::fmin(a.unit, b.unit));
  }

  static Bound sub(const Bound& a, const Bound& b) {
    if (isRounder(b) && a.isShifted) return unshifted(a);
    if (isRounder(a) && b.isShifted) return unshifted(b);
    if (b.constant == WHOLE_ROUNDER && a.quotientOf != 0) return a;
    if (a.isShifted || b.isShifted) fail("a difference with a rounder", a.max);
    if (b.roundedFrom == a.id && b.roundedFactor == 0) return exact(0x1p51, a.unit);
    return exact(sumOf(a.max, b.max), std::fmin(a.unit, b.unit));
  }
  static Bound addOther(const Bound& a, const Bound& b) { return add(a, b); }
  static Bound subOther(const Bound& a, const Bound& b) { return sub(a, b); }

  static Bound mul(const Bound& a, const Bound& b) { return exact(productOf(a.max, b.max), a.unit * b.unit); }

  static Bound fma(const Bound& a, const Bound& b, const Bound& c) {
    const double product = productOf(a.max, b.max), unit = a.unit * b.unit;
    if (isRounder(c)) return shifted(product, a.id, b.id);
    if (c.constant == WHOLE_ROUNDER) {
      Bound quotient = made(std::floor(sumOf(product, 0.5)), 1);
      quotient.quotientOf = a.id;
      return quotient;
    }
    // What is left of a product whose high half was taken away.
    if (c.roundedFrom == a.id && c.roundedFactor == b.id) return exact(0x1p51, unit);
    // The highest limb, reduced: half a P, and what the limbs below make of a quotient at its edge.
    if (a.quotientOf == c.id && a.quotientOf != 0) return exact(sumOf(b.max / 2, 4), std::fmin(unit, c.unit));
    return exact(sumOf(product, c.max), std::fmin(unit, c.unit));
  }

  static Bound wholeLimbs(const Bound& a) {
    Bound result = a;
    result.unit = 0x1p52;
    return result;
  }
};

using namespace bitcloak::bounds;

template <class Field>
Field bounded(double multiplesOfP) {
  Field result;
  for (int i = 0; i < 4; i++) result.l[i] = made(TIDY_LIMB, 1);
  result.l[4] = made(std::ceil(multiplesOfP * Field::CONSTANTS.p.l[4]) + 2, 1);
  return result;
}

template <class Field>
double multiplesOfP(const Field& a) {
  return (a.l[4].max + 1) / Field::CONSTANTS.p.l[4];
}

/** Tidy, and within so many P. */
template <class Field>
Field checked(const char* what, const Field& a, double multiplesMax) {
  doing = what;
  for (int i = 0; i < 4; i++) {
    if (a.l[i].max > 0x1p51 + 0x1p6 || a.l[i].unit < 1) fail("an untidy limb", a.l[i].max);
  }
  if (multiplesOfP(a) > multiplesMax) fail("a result that is too large", multiplesOfP(a));
  std::printf("%s: within %.3f P\n", what, multiplesOfP(a));
  return bounded<Field>(multiplesMax);
}

template <class Field>
VectorExtension<Field> checked(const char* what, const VectorExtension<Field>& a, double multiplesMax) {
  return {checked(what, a.c0, multiplesMax), checked(what, a.c1, multiplesMax)};
}

template <class Field>
void checkField() {
  constexpr double TIDY = 16, PRODUCT = 1.6;
  const Field any = bounded<Field>(TIDY), small = bounded<Field>(3.25);
  doing = "product";
  checked("product", Field::mul(any, any), 5);
  checked("product of small ones", Field::mul(small, small), PRODUCT);
  doing = "square";
  checked("square", Field::sqr(any), 5);
  checked("square of small ones", Field::sqr(small), PRODUCT);
  doing = "sum";
  checked("sum", Field::add(any, any), 2 * TIDY + 1);
  checked("difference", Field::sub(any, any), 2 * TIDY + 1);
  doing = "reduction";
  checked("reduction", Field::reduce(small), 0.6);
  checked("wide reduction", Field::reduceWide(bounded<Field>(20)), 0.6);
  // fft.h: eight stages between wide reductions, of products with factors that were packed, and are within P/2.
  const Field factor = bounded<Field>(0.6);
  Field value = bounded<Field>(PRODUCT);
  for (int stage = 0; stage < 8; stage++) {
    doing = "stage of a transform";
    value = checked("stage of a transform", Field::add(value, Field::mul(value, factor)), PRODUCT * (stage + 2));
  }
  checked("wide reduction after the stages", Field::reduceWide(value), 0.6);
  checked("coset factor", Field::mul(value, factor), PRODUCT);
  checked("quotient", Field::sub(Field::mul(value, value), value), 24);
}

/** groups.h: the coordinates of sums are within what is assumed of those of the points. */
template <class Field>
void checkAddition(const char* name, const Field& coordinate, const Field& inverse) {
  std::printf("%s\n", name);
  doing = "difference of abscissas";
  const Field delta = checked("difference of abscissas", Field::sub(coordinate, coordinate), 1.25);
  const Field product = checked("product of differences", Field::mul(inverse, delta), 3);
  const Field inverseOfDelta = checked("inverse of a difference", Field::mul(inverse, product), 3);
  checked("next inverse", Field::mul(inverse, delta), 3);
  const Field slope = checked("slope", Field::mul(Field::sub(coordinate, coordinate), inverseOfDelta), 3);
  doing = "abscissa";
  checked("abscissa", Field::subReduced(Field::sqr(slope), coordinate, coordinate), 0.6);
  doing = "ordinate";
  checked("ordinate", Field::subReduced(Field::mul(slope, Field::sub(coordinate, coordinate)), coordinate), 0.6);
}

template <class Modulus>
using Vectors = VectorElement<Modulus, BoundLanes>;

}  // namespace

int main() {
  checkField<Vectors<BaseModulus>>();
  checkField<Vectors<ScalarModulus>>();
  using Base_ = Vectors<BaseModulus>;
  checkAddition("G1", bounded<Base_>(0.6), bounded<Base_>(3));
  checkAddition("G2", VectorExtension<Base_>{bounded<Base_>(0.6), bounded<Base_>(0.6)},
                VectorExtension<Base_>{bounded<Base_>(3), bounded<Base_>(3)});
}
