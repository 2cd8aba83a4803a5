// Runs the vectors' arithmetic over bounds instead of numbers: each number is known by how large it can be and of what it is a multiple, and every
// operation that could round where it must not ends the program. So the proof holds for all operands.
#define BITCLOAK_BACKEND bounds
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include "../../packages/prover/native/extension.h"
#include "../../packages/prover/native/vectorField.h"

extern "C" void* bitcloakAllocate(size_t bytes) { return malloc(bytes); }
extern "C" void bitcloakRelease(void* memory) { free(memory); }

#ifndef TIDY_LIMB
#define TIDY_LIMB (0x1p50 + 0x1p3)
#endif

namespace {

constexpr double ROUNDER = 0x1.8p103, LIMB = 0x1p51, WHOLE_ROUNDER = 0x1.8p52;
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
  /** |x - shift·ROUNDER| <= max, and x is a multiple of unit. */
  double max = 0, unit = 1;
  int shift = 0;
  /** A constant's value; NaN for others. */
  double constant = NAN;
  /** Each result has an identity of its own, by which what is left after a rounding is known to be small. */
  int id = 0;
  /** What was rounded to whole limbs, a number or the product of two, and to what it was added for that. */
  int rounded = 0, roundedFactor = 0, roundedOn = 0;
  /** This is, up to the sign, the multiple of 2^51 next to that number or product. */
  int nextTo = 0, nextToFactor = 0;
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
Bound exact(double max, double unit, int shift = 0) {
  const double whole = sumOf(std::abs(shift) * ROUNDER, max);
  if (whole > 0x1p53 * unit) fail("a sum that may be rounded", whole / unit);
  Bound result = made(max, unit);
  result.shift = shift;
  return result;
}

/** Added to what has a rounder: doubles from 2^103 to 2^104, and only these, are multiples of 2^51. */
Bound roundedTo(const Bound& sum, double max, int number, int factor) {
  if (std::abs(sum.shift) != 1) fail("a number that is rounded by two rounders", max);
  const double whole = sumOf(sumOf(sum.max, max), LIMB / 2);
  if (whole > ROUNDER - 0x1p103) fail("a sum that leaves where doubles are whole limbs", whole);
  Bound result = made(whole, LIMB);
  result.shift = sum.shift;
  result.rounded = number;
  result.roundedFactor = factor;
  result.roundedOn = sum.id;
  return result;
}

struct BoundLanes {
  using Number = Bound;
  static constexpr int LANES = 1;

  static Bound broadcast(double value) {
    Bound result = made(std::fabs(value), 0);
    result.constant = value;
    if (std::fabs(value) == ROUNDER) {
      result.max = 0;
      result.unit = LIMB;
      result.shift = value < 0 ? -1 : 1;
      return result;
    }
    // The largest power of two that divides it.
    int exponent = 0;
    double mantissa = std::frexp(std::fabs(value), &exponent);
    double unit = 0x1p-1;
    while (value != 0 && std::fmod(mantissa, unit) != 0) unit /= 2;
    result.unit = value == 0 ? HUGE_VAL : std::ldexp(unit, exponent);
    return result;
  }

  static Bound add(const Bound& a, const Bound& b) {
    if (a.shift == 0 && b.shift != 0) return add(b, a);
    if (a.shift != 0 && b.shift == 0 && b.unit < LIMB) return roundedTo(a, b.max, b.id, 0);
    if (b.nextTo == a.id && b.nextToFactor == 0) return exact(LIMB / 2, a.unit);
    return exact(sumOf(a.max, b.max), std::fmin(a.unit, b.unit), a.shift + b.shift);
  }

  static Bound sub(const Bound& a, const Bound& b) {
    if (b.constant == WHOLE_ROUNDER && a.quotientOf != 0) return a;
    if (b.nextTo == a.id && b.nextToFactor == 0) return exact(LIMB / 2, a.unit);
    const bool isGrowth = (b.roundedOn == a.id && a.shift != 0) || (a.roundedOn == b.id && b.shift != 0);
    if (!isGrowth) return exact(sumOf(a.max, b.max), std::fmin(a.unit, b.unit), a.shift - b.shift);
    const Bound& sum = b.roundedOn == a.id ? b : a;
    Bound result = exact(sumOf(a.max, b.max), LIMB);
    result.nextTo = sum.rounded;
    result.nextToFactor = sum.roundedFactor;
    return result;
  }

  static Bound mul(const Bound& a, const Bound& b) { return exact(productOf(a.max, b.max), a.unit * b.unit); }

  static Bound fma(const Bound& a, const Bound& b, const Bound& c) {
    if (a.shift != 0 || b.shift != 0) fail("a factor with a rounder", a.max);
    const double product = productOf(a.max, b.max), unit = a.unit * b.unit;
    if (c.shift != 0) return roundedTo(c, product, a.id, b.id);
    if (c.constant == WHOLE_ROUNDER) {
      Bound quotient = made(std::floor(sumOf(product, 0.5)), 1);
      quotient.quotientOf = a.id;
      return quotient;
    }
    // What is left of a product whose high half was taken away.
    if (c.nextTo == a.id && c.nextToFactor == b.id) return exact(LIMB / 2, unit);
    // The highest limb, reduced: half a P, and what the limbs below make of a quotient at its edge.
    if (a.quotientOf == c.id && a.quotientOf != 0) return exact(sumOf(b.max / 2, 4), std::fmin(unit, c.unit));
    return exact(sumOf(product, c.max), std::fmin(unit, c.unit));
  }

  static Bound addWhole(const Bound& a, const Bound& b) { return exact(sumOf(a.max, b.max), LIMB); }
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
    if (a.l[i].max > TIDY_LIMB || a.l[i].unit < 1) fail("an untidy limb", a.l[i].max);
  }
  if (multiplesOfP(a) > multiplesMax) fail("a result that is too large", multiplesOfP(a));
  std::printf("%s: within %.3f P\n", what, multiplesOfP(a));
  return bounded<Field>(multiplesMax);
}

template <class Field>
VectorExtension<Field> checked(const char* what, const VectorExtension<Field>& a, double multiplesMax) {
  return {checked(what, a.c0, multiplesMax), checked(what, a.c1, multiplesMax)};
}

/** Of what is packed, and of what a reduction leaves. */
constexpr double PACKED = 0.502, REDUCED = 0.52;
/** Of the inverse that goes through a batch, and of the products before it. */
constexpr double INVERSE = 1.8;

template <class Field>
void checkField() {
  const Field packed = bounded<Field>(PACKED);
  doing = "product";
  checked("product", Field::mul(packed, packed), 1.15);
  doing = "square";
  checked("square", Field::sqr(packed), 1.15);
  doing = "sum";
  checked("sum", Field::add(packed, packed), 1.01);
  checked("difference", Field::sub(packed, packed), 1.01);
  checked("operations.h", Field::subReduced(Field::sub(packed, packed), packed), REDUCED);
  doing = "reduction";
  checked("reduction", Field::reduce(bounded<Field>(8)), REDUCED);

  // fft.h: of two stages the first reduces. What comes in is packed, and goes across lanes; factors were packed.
  constexpr double REDUCING = 2.3, OTHER = 3.8;
  doing = "stage across lanes";
  const Field product = checked("factor times value", Field::mul(bounded<Field>(OTHER), packed), 1.75);
  const Field across = checked("stage across lanes", Field::add(product, product), 3.55);
  checked("stage across lanes after one", Field::mul(across, packed), 1.75);
  checked("stage that reduces", Field::add(Field::reduce(bounded<Field>(OTHER)), product), REDUCING);
  const Field value = bounded<Field>(REDUCING);
  checked("stage after it", Field::add(value, Field::mul(value, packed)), OTHER);
  const Field factor = Field::reduce(across);
  checked("quotient", Field::sub(Field::mul(factor, factor), across), 5);
}

/** groups.h: the coordinates of sums are within what is assumed of those of the points. */
template <class Field>
void checkAddition(const char* name, const Field& coordinate, const Field& inverse, double factorMax) {
  std::printf("%s\n", name);
  doing = "factor";
  const Field factor = checked("factor", Field::factor(coordinate, coordinate), factorMax);
  doing = "product of differences";
  const Field product = checked("product of differences", Field::mul(inverse, factor), INVERSE);
  Field exchanged = product;
  for (const char* level : {"products of two lanes", "products of four", "products of eight"}) {
    doing = level;
    exchanged = checked(level, Field::reduce(Field::mul(exchanged, exchanged)), REDUCED);
  }
  doing = "inverse of a lane";
  checked("inverse of a lane", Field::mul(exchanged, coordinate), INVERSE);
  doing = "inverse of a difference";
  const Field inverseOfDelta = checked("inverse of a difference", Field::mul(inverse, product), 3.5);
  doing = "slope";
  const Field slope = checked("slope", Field::mul(factor, inverseOfDelta), 2.4);
  doing = "abscissa";
  checked("abscissa", Field::subReduced(Field::sqr(slope), coordinate, factor), REDUCED);
  doing = "ordinate";
  const Field difference = checked("difference", Field::sub(coordinate, coordinate), 1.05);
  checked("ordinate", Field::subReduced(Field::mul(slope, difference), coordinate), REDUCED);
}

/** In either order of a product's columns. */
template <bool ORDER>
struct OrderedLanes : BoundLanes {
  static constexpr bool IS_COLUMN_WISE = ORDER;
};

template <bool ORDER>
void checkAll() {
  using Base_ = VectorElement<BaseModulus, OrderedLanes<ORDER>>;
  checkField<Base_>();
  checkField<VectorElement<ScalarModulus, OrderedLanes<ORDER>>>();
  const Base_ coordinate = bounded<Base_>(REDUCED), inverse = bounded<Base_>(INVERSE);
  checkAddition("G1", coordinate, inverse, 1.05);
  checkAddition("G2", VectorExtension<Base_>{coordinate, coordinate}, VectorExtension<Base_>{inverse, inverse}, REDUCED);
}

}  // namespace

int main() {
  checkAll<false>();
  checkAll<true>();
}
