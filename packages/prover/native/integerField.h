// Several elements of a prime field at once, in limbs of 52 bits that are whole numbers, for processors that add halves of such products to 64 bits:
// Gueron and Krasnov, "Software Implementation of Modular Exponentiation, Using Advanced Vector Instructions Architectures" (WAIFI 2012).
#pragma once
#include "vectorField.h"

namespace bitcloak::BITCLOAK_BACKEND {

/**
 * An element x as x·2^260 mod P in five limbs of 52 bits; not reduced to a range, but never negative, and 2^260 is 84 P.
 *
 * Every function takes and gives limbs below 2^52: a multiplication reads no more of them. How large a number may be is said where something is taken
 * from another; test/packages/proverBounds.test.ts runs the same code over intervals instead of numbers.
 */
template <class Modulus, class Lanes>
struct IntegerElement {
  using Number = typename Lanes::Number;
  using Single = Element<Modulus>;
  static constexpr int LANES = Lanes::LANES;
  static constexpr int LIMBS = 5;
  static constexpr int LIMB_BITS = 52;
  static constexpr u32 RADIX_BITS = LIMBS * LIMB_BITS;
  /** A transform reduces in the first of so many stages. */
  static constexpr u32 STAGES_PER_REDUCTION = 8;
  static constexpr u64 LIMB_MASK = (u64{1} << LIMB_BITS) - 1;

  Number l[LIMBS];

  /** One element in memory, which must be below 2^256, or 5.28 P: in four words, that points lie within lines of a cache. */
  struct alignas(32) Stored {
    u64 w[4];
  };

  struct Limbs {
    u64 l[LIMBS];
  };

  static constexpr Limbs limbsOf(const Words& number) {
    const u64* w = number.w;
    return {{w[0] & LIMB_MASK, (w[0] >> 52 | w[1] << 12) & LIMB_MASK, (w[1] >> 40 | w[2] << 24) & LIMB_MASK,
             (w[2] >> 28 | w[3] << 36) & LIMB_MASK, w[3] >> 16}};
  }

  /** factor·P modulo 2^260. */
  static constexpr Limbs multipleOfP(i64 factor) {
    Limbs result = limbsOf(Single::P);
    i64 carry = 0;
    for (u64& limb : result.l) {
      carry += factor * static_cast<i64>(limb);
      limb = static_cast<u64>(carry) & LIMB_MASK;
      carry >>= LIMB_BITS;
    }
    return result;
  }

  static constexpr Limbs P = multipleOfP(1);
  static constexpr Limbs NEGATED_P = multipleOfP(-1);
  static constexpr u64 HIGHEST_OF_P = P.l[LIMBS - 1];

  /** Limbs of a number from 0 to 2^260, which may be negative or too large themselves, brought to 52 bits each. */
  static BITCLOAK_INLINE IntegerElement tidy(const Number* limbs) {
    IntegerElement result;
    Number limb = limbs[0];
    repeat<0, LIMBS - 1>([&](auto i) BITCLOAK_LAMBDA {
      result.l[i] = Lanes::lowBits(limb);
      limb = Lanes::add(limbs[i + 1], Lanes::highBits(limb));
    });
    result.l[LIMBS - 1] = limb;
    return result;
  }

  static BITCLOAK_INLINE IntegerElement add(const IntegerElement& a, const IntegerElement& b) {
    IntegerElement sum;
    for (int i = 0; i < LIMBS; i++) sum.l[i] = Lanes::add(a.l[i], b.l[i]);
    return tidy(sum.l);
  }

  /** For b < 4 P. */
  static BITCLOAK_INLINE IntegerElement sub(const IntegerElement& a, const IntegerElement& b) {
    return tidy(difference<4>(a, b).l);
  }

  /** For a < 8 P. */
  static BITCLOAK_INLINE IntegerElement neg(const IntegerElement& a) {
    IntegerElement zero;
    for (Number& limb : zero.l) limb = Lanes::broadcast(0);
    return tidy(difference<8>(zero, a).l);
  }

  /** a - b, to be multiplied with what may be large: the extension has another one. */
  static BITCLOAK_INLINE IntegerElement factor(const IntegerElement& a, const IntegerElement& b) { return sub(a, b); }

  static BITCLOAK_INLINE IntegerElement dbl(const IntegerElement& a) { return add(a, a); }

  /** a - 2·b - c brought below 1.4 P, for a < 28 P and 2·b + c < 9 P. */
  static BITCLOAK_INLINE IntegerElement subReduced(const IntegerElement& a, const IntegerElement& b,
                                                   const IntegerElement& c) {
    IntegerElement sum = difference<10>(a, b);
    for (int i = 0; i < LIMBS; i++) sum.l[i] = Lanes::sub(Lanes::sub(sum.l[i], b.l[i]), c.l[i]);
    return reduceSum(sum);
  }

  /** a - b brought below 1.4 P, for a < 33 P and b < 4 P. */
  static BITCLOAK_INLINE IntegerElement subReduced(const IntegerElement& a, const IntegerElement& b) {
    return reduceSum(difference<5>(a, b));
  }

  /** An element below 38 P brought below 1.4 P. */
  static BITCLOAK_INLINE IntegerElement reduce(const IntegerElement& a) {
    IntegerElement sum;
    for (int i = 0; i < LIMBS; i++) sum.l[i] = Lanes::add(a.l[i], Lanes::broadcast(P.l[i]));
    return reduceSum(sum);
  }

  // A call costs little beside a product, and the code stays in its cache.
  static BITCLOAK_APART IntegerElement mul(const IntegerElement& a, const IntegerElement& b) {
    Number columns[2 * LIMBS];
    for (Number& column : columns) column = Lanes::broadcast(0);
    repeat<0, LIMBS>([&](auto i) BITCLOAK_LAMBDA { addMultiple(columns + i, a.l[i], b.l); });
    return reduceProduct(columns);
  }

  /** a·b + c·d, reduced once. */
  static BITCLOAK_APART IntegerElement mulSum(const IntegerElement& a, const IntegerElement& b, const IntegerElement& c,
                                              const IntegerElement& d) {
    Number columns[2 * LIMBS];
    for (Number& column : columns) column = Lanes::broadcast(0);
    repeat<0, LIMBS>([&](auto i) BITCLOAK_LAMBDA {
      addMultiple(columns + i, a.l[i], b.l);
      addMultiple(columns + i, c.l[i], d.l);
    });
    return reduceProduct(columns);
  }

  static BITCLOAK_APART IntegerElement sqr(const IntegerElement& a) {
    Number columns[2 * LIMBS];
    for (Number& column : columns) column = Lanes::broadcast(0);
    // Each pair of limbs once, and doubled.
    repeat<0, LIMBS>([&](auto i) BITCLOAK_LAMBDA {
      repeat<i + 1, LIMBS>([&](auto j) BITCLOAK_LAMBDA { addProduct(columns + i + j, a.l[i], a.l[j]); });
    });
    for (Number& column : columns) column = Lanes::add(column, column);
    repeat<0, LIMBS>([&](auto i) BITCLOAK_LAMBDA { addProduct(columns + 2 * i, a.l[i], a.l[i]); });
    return reduceProduct(columns);
  }

  // Between memory and vectors.

  static Stored pack(const Single& a) {
    constexpr Single FACTOR = Single::of(powerOfTwo(LIMBS * LIMB_BITS, Single::P));
    const Single product = Single::mul(a, FACTOR);
    return {{product.w[0], product.w[1], product.w[2], product.w[3]}};
  }

  /** Of a plain number: it is not times 2^RADIX_BITS. */
  static Stored packNumber(const Words& number) { return {{number.w[0], number.w[1], number.w[2], number.w[3]}}; }

  static Single unpack(const Stored& a) {
    constexpr Single FACTOR = Single::of(powerOfTwo(512 - LIMBS * LIMB_BITS, Single::P));
    return Single::mul({{a.w[0], a.w[1], a.w[2], a.w[3]}}, FACTOR);
  }

  static BITCLOAK_INLINE IntegerElement broadcast(const Stored& a) {
    const Limbs limbs = limbsOf({{a.w[0], a.w[1], a.w[2], a.w[3]}});
    IntegerElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::broadcast(limbs.l[i]);
    return result;
  }

  /** `at(lane)` is the element of each lane. */
  template <class At>
  static BITCLOAK_INLINE IntegerElement gather(const At& at) {
    IntegerElement result;
    Lanes::gather(result.l, [&](int lane) -> const u64* { return at(lane).w; });
    return result;
  }

  template <class At>
  BITCLOAK_INLINE void scatter(const At& at) const {
    Lanes::scatter(l, [&](int lane) -> u64* { return at(lane).w; });
  }

  /** Negates the lanes whose reference is odd; for elements below 2 P. */
  BITCLOAK_INLINE IntegerElement negatedWhereOdd(const u32* references) const {
    return negatedWhere(Lanes::whereOdd(references));
  }

  /** Lanes whose number has the bit `distance` change places. */
  BITCLOAK_INLINE IntegerElement swapped(int distance) const {
    IntegerElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::swapped(l[i], distance);
    return result;
  }

  /** Negates the lanes whose number has the bit `distance`; for elements below 2 P. */
  BITCLOAK_INLINE IntegerElement negatedUpper(int distance) const { return negatedWhere(Lanes::whereUpper(distance)); }

  /**
   * How often P is to be taken from a number from 0 to 44 P whose highest limb is given: never too often, and so often that less than 1.4 P is left,
   * also where the limb is 8 too small.
   */
  static BITCLOAK_INLINE Number quotient(Number highest) {
    constexpr u64 RECIPROCAL = (u64{1} << LIMB_BITS) / (HIGHEST_OF_P + 1);
    return Lanes::addHigh(Lanes::broadcast(0), highest, Lanes::broadcast(RECIPROCAL));
  }

 private:
  /** MULTIPLE·P + a - b, by limbs. */
  template <int MULTIPLE>
  static BITCLOAK_INLINE IntegerElement difference(const IntegerElement& a, const IntegerElement& b) {
    constexpr Limbs MULTIPLE_OF_P = multipleOfP(MULTIPLE);
    IntegerElement result;
    for (int i = 0; i < LIMBS; i++) {
      result.l[i] = Lanes::sub(Lanes::add(a.l[i], Lanes::broadcast(MULTIPLE_OF_P.l[i])), b.l[i]);
    }
    return result;
  }

  template <class Mask>
  BITCLOAK_INLINE IntegerElement negatedWhere(Mask mask) const {
    constexpr Limbs TWICE_P = multipleOfP(2);
    IntegerElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::subWhere(mask, l[i], Lanes::broadcast(TWICE_P.l[i]), l[i]);
    return tidy(result.l);
  }

  /** Reduces a number of at least 0.9 P and at most 39 P, given by limbs within 3·2^52. */
  static BITCLOAK_INLINE IntegerElement reduceSum(const IntegerElement& a) {
    // The limbs below are worth no more than 4 of the highest limb's units, or -4.
    const Number multiple = quotient(Lanes::sub(a.l[LIMBS - 1], Lanes::broadcast(4)));
    Number limbs[LIMBS + 1];
    for (int i = 0; i < LIMBS; i++) limbs[i] = i < LIMBS - 1 ? Lanes::belowThreeLimbs(a.l[i]) : a.l[i];
    limbs[LIMBS] = Lanes::broadcast(0);
    repeat<0, LIMBS>([&](auto i) BITCLOAK_LAMBDA { addProduct(limbs + i, multiple, Lanes::broadcast(NEGATED_P.l[i])); });
    IntegerElement result = tidy(limbs);
    // 2^260 was added as often as P was taken away.
    result.l[LIMBS - 1] = Lanes::reduced(Lanes::lowBits(result.l[LIMBS - 1]));
    return result;
  }

  static BITCLOAK_INLINE void addProduct(Number* columns, Number a, Number b) {
    columns[0] = Lanes::addLow(columns[0], a, b);
    columns[1] = Lanes::addHigh(columns[1], a, b);
  }

  static BITCLOAK_INLINE void addMultiple(Number* columns, Number a, const Number* b) {
    repeat<0, LIMBS>([&](auto j) BITCLOAK_LAMBDA { addProduct(columns + j, a, b[j]); });
  }

  static BITCLOAK_INLINE void addMultiple(Number* columns, Number a, const Limbs& b) {
    repeat<0, LIMBS>([&](auto j) BITCLOAK_LAMBDA { addProduct(columns + j, a, Lanes::broadcast(b.l[j])); });
  }

  /** A column's lowest bits; what exceeds them goes to the next one. */
  static BITCLOAK_INLINE Number takeLimb(Number* columns) {
    columns[1] = Lanes::add(columns[1], Lanes::highBits(columns[0]));
    return Lanes::lowBits(columns[0]);
  }

  /**
   * The columns' number divided by 2^260 modulo P: less than a·b/2^260 + P and a little. No column comes near to 2^63.
   *
   * A limb below another is as much as its product with 2^-52 modulo P two columns above: so the lowest three need not wait for a multiple of P that
   * cancels them, nor for each other. The last two must be cancelled (Montgomery's method), or what is left would be too large.
   */
  static BITCLOAK_INLINE IntegerElement reduceProduct(Number* columns) {
    constexpr u64 NEGATED_INVERSE = Single::NEGATED_INVERSE & LIMB_MASK;
    constexpr Limbs BY_ONE_LIMB = limbsOf(inversePowerOfTwo(LIMB_BITS, Single::P));
    constexpr Limbs BY_TWO_LIMBS = limbsOf(inversePowerOfTwo(2 * LIMB_BITS, Single::P));
    const Number first = takeLimb(columns), second = takeLimb(columns + 1);
    addMultiple(columns + 2, first, BY_TWO_LIMBS);
    addMultiple(columns + 3, second, BY_TWO_LIMBS);
    const Number third = takeLimb(columns + 2);
    addMultiple(columns + 3, third, BY_ONE_LIMB);
    const Number negatedInverse = Lanes::broadcast(NEGATED_INVERSE);
    repeat<3, LIMBS>([&](auto i) BITCLOAK_LAMBDA {
      addMultiple(columns + i, Lanes::lowOfLowBits(columns[i], negatedInverse), P);
      columns[i + 1] = Lanes::add(columns[i + 1], Lanes::highBits(columns[i]));
    });
    return tidy(columns + LIMBS);
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
