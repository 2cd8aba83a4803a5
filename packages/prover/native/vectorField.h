// Several elements of a prime field at once, in limbs of 52 bits that are doubles: a fused multiply-add gives the high and then the low half of a
// product exactly. The idea is that of Emmart, Zheng and Weems, "Faster Modular Exponentiation Using Double Precision Floating Point Arithmetic on
// the GPU" (ARITH 2018), here with balanced limbs, since WebAssembly can only round to nearest.
#pragma once
#include "scalarField.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** A number that is known when a step of `repeat` is compiled. */
template <int VALUE>
struct Index {
  constexpr operator int() const { return VALUE; }
};

/**
 * step(Index<FROM>), …, step(Index<TO - 1>), each a copy of its own: compilers keep arrays in registers only if all their indices are known before
 * they unroll loops.
 */
template <int FROM, int TO, class Step>
BITCLOAK_INLINE void repeat(const Step& step) {
  if constexpr (FROM < TO) {
    step(Index<FROM>{});
    repeat<FROM + 1, TO>(step);
  }
}

/**
 * An element x as x·2^260 mod P in five balanced limbs, of 52 bits each; not reduced to a range.
 *
 * Every function takes and gives tidy elements: limbs 0 to 3 within ±(2^51 + 2^6), limb 4 within ±2^50, the whole within ±16 P. Why no rounding
 * can happen is said where numbers are added; test/packages/proverBounds.test.ts runs the same code over intervals instead of numbers.
 */
template <class Modulus, class Lanes>
struct VectorElement {
  using Number = typename Lanes::Number;
  using Single = Element<Modulus>;
  static constexpr int LANES = Lanes::LANES;
  static constexpr int LIMBS = 5;

  Number l[LIMBS];

  /** One element in memory. */
  struct Stored {
    double l[LIMBS];
  };

  static constexpr double LIMB = 0x1p52;
  static constexpr double LIMB_INVERSE = 0x1p-52;
  /** Added to a number below 2^103 it leaves the sum where doubles are multiples of 2^52: so it rounds to whole limbs. */
  static constexpr double ROUNDER = 0x1.8p104;

  /** Balanced limbs of a number below 2^255, of its value - P where that is nearer to zero. */
  static constexpr Stored balanced(Words number, bool centered) {
    bool negative = centered && !lessThan(number, halved(Single::P));
    Words magnitude = negative ? minus(Single::P, number) : number;
    Stored result{};
    i64 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
      int bit = 52 * i;
      u64 chunk = magnitude.w[bit / 64] >> (bit % 64);
      if (bit % 64 != 0 && bit / 64 < 3) chunk |= magnitude.w[bit / 64 + 1] << (64 - bit % 64);
      i64 limb = static_cast<i64>(chunk & ((u64{1} << 52) - 1)) + carry;
      carry = 0;
      if (i < LIMBS - 1 && limb > (i64{1} << 51)) {
        limb -= i64{1} << 52;
        carry = 1;
      }
      result.l[i] = static_cast<double>(negative ? -limb : limb);
    }
    return result;
  }

  struct Constants {
    Stored p;
    /** fold[i] = 2^(-52 (4 - i)) mod P: what limb i of a product is worth when the product is divided by 2^208. */
    Stored fold[4];
    /** -1/P mod 2^52, balanced. */
    double negatedInverse;
  };

  /** 2^-exponent mod P: halving adds P where the number is odd. */
  static constexpr Words negativePowerOfTwo(int exponent) {
    Words value{{1, 0, 0, 0}};
    for (int i = 0; i < exponent; i++) value = halved((value.w[0] & 1) != 0 ? plus(value, Single::P) : value);
    return value;
  }

  static constexpr Constants derive() {
    Constants constants{};
    constants.p = balanced(Single::P, false);
    for (int i = 0; i < 4; i++) constants.fold[i] = balanced(negativePowerOfTwo(52 * (4 - i)), true);
    i64 inverse = static_cast<i64>(Single::NEGATED_INVERSE & ((u64{1} << 52) - 1));
    if (inverse > (i64{1} << 51)) inverse -= i64{1} << 52;
    constants.negatedInverse = static_cast<double>(inverse);
    return constants;
  }
  static constexpr Constants CONSTANTS = derive();

  /** Moves what exceeds a limb to the next one; all limbs at once, so that afterwards one can exceed 2^51 by what came in from below. */
  static BITCLOAK_INLINE VectorElement tidy(const VectorElement& a) {
    const Number rounder = Lanes::broadcast(ROUNDER);
    const Number inverse = Lanes::broadcast(LIMB_INVERSE);
    VectorElement result;
    Number carry = a.l[0];
    for (int i = 0; i < LIMBS; i++) {
      Number low = a.l[i];
      if (i < LIMBS - 1) {
        Number high = Lanes::sub(Lanes::add(a.l[i], rounder), rounder);
        low = Lanes::sub(a.l[i], high);
        result.l[i] = i == 0 ? low : Lanes::fma(carry, inverse, low);
        carry = high;
      } else {
        result.l[i] = Lanes::fma(carry, inverse, low);
      }
    }
    return result;
  }

  // Limbs of two tidy elements add up to less than 2^53.
  static BITCLOAK_INLINE VectorElement add(const VectorElement& a, const VectorElement& b) {
    VectorElement sum;
    for (int i = 0; i < LIMBS; i++) sum.l[i] = Lanes::add(a.l[i], b.l[i]);
    return tidy(sum);
  }

  static BITCLOAK_INLINE VectorElement sub(const VectorElement& a, const VectorElement& b) {
    VectorElement difference;
    for (int i = 0; i < LIMBS; i++) difference.l[i] = Lanes::sub(a.l[i], b.l[i]);
    return tidy(difference);
  }

  /** For a b that is a product, which makes a difference for other vectors. */
  static BITCLOAK_INLINE VectorElement subProduct(const VectorElement& a, const VectorElement& b) { return sub(a, b); }

  static BITCLOAK_INLINE VectorElement neg(const VectorElement& a) {
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::sub(Lanes::broadcast(0), a.l[i]);
    return result;
  }

  static BITCLOAK_INLINE VectorElement dbl(const VectorElement& a) { return add(a, a); }

  /** a - b - c, of which |a - b - c| < 3.25 P must hold, brought within ±(P/2 + P/16). */
  static BITCLOAK_INLINE VectorElement subReduced(const VectorElement& a, const VectorElement& b,
                                                  const VectorElement& c) {
    VectorElement difference;
    for (int i = 0; i < LIMBS; i++) difference.l[i] = Lanes::sub(Lanes::sub(a.l[i], b.l[i]), c.l[i]);
    return reduce(tidy(difference));
  }

  static BITCLOAK_INLINE VectorElement subReduced(const VectorElement& a, const VectorElement& b) {
    return reduce(sub(a, b));
  }

  /** A tidy element within ±3.25 P brought within ±(P/2 + P/16), by the quotient that its highest limb suggests. */
  static BITCLOAK_INLINE VectorElement reduce(const VectorElement& a) {
    // 1.5·2^52 rounds to whole numbers. Three times a limb of P, and 2^51 more, are within 2^53.
    const Number rounder = Lanes::broadcast(0x1.8p52);
    Number quotient = Lanes::fma(a.l[4], Lanes::broadcast(-1.0 / CONSTANTS.p.l[4]), rounder);
    quotient = Lanes::sub(quotient, rounder);
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::fma(quotient, Lanes::broadcast(CONSTANTS.p.l[i]), a.l[i]);
    return tidy(result);
  }

  /** The same for any tidy element. */
  static BITCLOAK_INLINE VectorElement reduceWide(const VectorElement& a) {
    const Number integer = Lanes::broadcast(0x1.8p52), rounder = Lanes::broadcast(ROUNDER);
    Number quotient = Lanes::fma(a.l[4], Lanes::broadcast(-1.0 / CONSTANTS.p.l[4]), integer);
    quotient = Lanes::sub(quotient, integer);
    VectorElement result;
    Number carry = Lanes::broadcast(0);
    for (int i = 0; i < LIMBS - 1; i++) {
      Column column;
      multiplyFirst(column, quotient, Lanes::broadcast(CONSTANTS.p.l[i]), rounder);
      result.l[i] = Lanes::add(Lanes::fma(carry, Lanes::broadcast(-LIMB_INVERSE), a.l[i]), column.low);
      carry = column.negatedHigh;
    }
    // The highest limb of P has 46 bits.
    const Number highest = Lanes::fma(quotient, Lanes::broadcast(CONSTANTS.p.l[LIMBS - 1]), a.l[LIMBS - 1]);
    result.l[LIMBS - 1] = Lanes::fma(carry, Lanes::broadcast(-LIMB_INVERSE), highest);
    return tidy(result);
  }

  /** The sums of one column of a product: of the low halves, and, negated, of the high ones, which are multiples of 2^52. */
  struct Column {
    Number low;
    Number negatedHigh;
  };

  static BITCLOAK_INLINE void multiplyFirst(Column& column, Number a, Number b, Number rounder) {
    Number high = Lanes::fma(a, b, rounder);
    column.negatedHigh = Lanes::sub(rounder, high);
    column.low = Lanes::fma(a, b, column.negatedHigh);
  }

  static BITCLOAK_INLINE void multiplyNext(Column& column, Number a, Number b, Number rounder) {
    Number high = Lanes::fma(a, b, rounder);
    Number negatedHigh = Lanes::sub(rounder, high);
    column.low = Lanes::add(column.low, Lanes::fma(a, b, negatedHigh));
    column.negatedHigh = Lanes::addOther(column.negatedHigh, negatedHigh);
  }

  /** Brings the sum of the low halves within ±2^51, and what is taken away to the high ones. */
  static BITCLOAK_INLINE void settle(Column& column, Number rounder) {
    Number high = Lanes::sub(Lanes::add(column.low, rounder), rounder);
    column.low = Lanes::sub(column.low, high);
    column.negatedHigh = Lanes::subOther(column.negatedHigh, high);
  }

  // A call costs little beside a product, and the code stays in its cache.
  static BITCLOAK_APART VectorElement mul(const VectorElement& a, const VectorElement& b) {
    const Number rounder = Lanes::broadcast(ROUNDER);
    Column columns[9];
    repeat<0, 9>([&](auto column) BITCLOAK_LAMBDA {
      constexpr int K = column, FROM = K < LIMBS ? 0 : K - LIMBS + 1, TO = K < LIMBS ? K : LIMBS - 1;
      multiplyFirst(columns[K], a.l[FROM], b.l[K - FROM], rounder);
      repeat<FROM + 1, TO + 1>([&](auto limb) BITCLOAK_LAMBDA {
        // The low halves are within ±2^51: four of them stay within 2^53, below which every whole number is a double.
        if constexpr (limb - FROM == 4) settle(columns[K], rounder);
        multiplyNext(columns[K], a.l[limb], b.l[K - limb], rounder);
      });
    });
    return reduceProduct(columns);
  }

  static BITCLOAK_APART VectorElement sqr(const VectorElement& a) {
    const Number rounder = Lanes::broadcast(ROUNDER);
    // Each pair of limbs once, and its low halves doubled: two of them are within 2^53 then.
    Column columns[9];
    repeat<0, 9>([&](auto column) BITCLOAK_LAMBDA {
      constexpr int K = column, FROM = K < LIMBS ? 0 : K - LIMBS + 1;
      constexpr int PAIRS = (K < LIMBS ? K + 1 : 2 * LIMBS - 1 - K) / 2;
      if constexpr (PAIRS == 0) {
        multiplyFirst(columns[K], a.l[K / 2], a.l[K / 2], rounder);
      } else {
        multiplyFirst(columns[K], a.l[FROM], a.l[K - FROM], rounder);
        if constexpr (PAIRS == 2) multiplyNext(columns[K], a.l[FROM + 1], a.l[K - FROM - 1], rounder);
        columns[K].low = Lanes::add(columns[K].low, columns[K].low);
        columns[K].negatedHigh = Lanes::addOther(columns[K].negatedHigh, columns[K].negatedHigh);
        if constexpr (K % 2 == 0) {
          if constexpr (PAIRS == 2) settle(columns[K], rounder);
          multiplyNext(columns[K], a.l[K / 2], a.l[K / 2], rounder);
        }
      }
    });
    return reduceProduct(columns);
  }

  /**
   * The columns' number divided by 2^260 modulo P. Limbs 0 to 3 are replaced at once by their worth after a division by 2^208 (Domb, "Fast Modular
   * Multiplication", 2022): four times 2^51 · P/2 at most. One step of Montgomery's takes the last limb away. So the result is within
   * (4·2^51·P/2 + 2^51·P)/2^52 = 1.5 P, and what the factors' product gives beyond: |a·b|/2^260.
   */
  static BITCLOAK_INLINE VectorElement reduceProduct(Column (&columns)[9]) {
    const Number rounder = Lanes::broadcast(ROUNDER);
    const Number inverse = Lanes::broadcast(LIMB_INVERSE);
    const Number negatedInverseOfLimb = Lanes::broadcast(-LIMB_INVERSE);
    // limb[k]: what column k is worth itself, with what comes in from column k - 1. Within 2^51 + 5·2^50 + 4.
    Number limb[10];
    limb[0] = columns[0].low;
    repeat<1, 9>([&](auto k) BITCLOAK_LAMBDA {
      if constexpr (k < 8) settle(columns[k], rounder);
      limb[k] = Lanes::fma(columns[k - 1].negatedHigh, negatedInverseOfLimb, columns[k].low);
    });
    limb[9] = Lanes::mul(columns[8].negatedHigh, negatedInverseOfLimb);
    // All but the ends once more: within 2^51 + 4.
    Number carry = limb[0];
    repeat<1, 10>([&](auto k) BITCLOAK_LAMBDA {
      Number own = limb[k];
      Number high = own;
      if constexpr (k < 9) {
        high = Lanes::sub(Lanes::add(own, rounder), rounder);
        own = Lanes::sub(own, high);
      }
      if constexpr (k > 1) own = Lanes::fma(carry, inverse, own);
      limb[k] = own;
      carry = high;
    });

    Column folded[5];
    repeat<0, LIMBS>([&](auto j) BITCLOAK_LAMBDA {
      multiplyFirst(folded[j], limb[0], Lanes::broadcast(CONSTANTS.fold[0].l[j]), rounder);
      repeat<1, 4>([&](auto i) BITCLOAK_LAMBDA {
        multiplyNext(folded[j], limb[i], Lanes::broadcast(CONSTANTS.fold[i].l[j]), rounder);
      });
      settle(folded[j], rounder);
    });
    // The last limb, 2^208: within 2^51 + 4 + 2^51, and its product with the inverse within 2^103, since that is below 2^50.
    const Number last = Lanes::add(limb[4], folded[0].low);
    const Number negatedInverse = Lanes::broadcast(CONSTANTS.negatedInverse);
    const Number high = Lanes::fma(last, negatedInverse, rounder);
    const Number m = Lanes::fma(last, negatedInverse, Lanes::sub(rounder, high));

    VectorElement result;
    Column multiple;
    multiplyFirst(multiple, m, Lanes::broadcast(CONSTANTS.p.l[0]), rounder);
    // What is left in the last limb is a multiple of 2^52.
    carry = Lanes::sub(Lanes::wholeLimbs(Lanes::add(last, multiple.low)), Lanes::add(folded[0].negatedHigh, multiple.negatedHigh));
    repeat<1, LIMBS>([&](auto j) BITCLOAK_LAMBDA {
      multiplyFirst(multiple, m, Lanes::broadcast(CONSTANTS.p.l[j]), rounder);
      // Of the limb 2^51 + 4, of the carry 5·2^50 + 2: within 2^53, but not with both low halves, 2^51 each. So it gives away its own carry first.
      Number sum = Lanes::fma(carry, inverse, limb[4 + j]);
      const Number spill = Lanes::sub(Lanes::add(sum, rounder), rounder);
      sum = Lanes::add(Lanes::sub(sum, spill), Lanes::add(folded[j].low, multiple.low));
      const Number spillOfSum = Lanes::sub(Lanes::add(sum, rounder), rounder);
      result.l[j - 1] = Lanes::sub(sum, spillOfSum);
      carry = Lanes::sub(Lanes::addOther(spill, spillOfSum), Lanes::addOther(folded[j].negatedHigh, multiple.negatedHigh));
    });
    result.l[LIMBS - 1] = Lanes::fma(carry, inverse, limb[9]);
    return result;
  }

  // Between memory and vectors.

  static Stored pack(const Single& a) {
    constexpr Single FACTOR = Single::of(powerOfTwo(260, Single::P));
    return balanced(Single::mul(a, FACTOR).words(), true);
  }

  static Single unpack(const Stored& a) {
    constexpr Stored UNBALANCED = plainLimbs(Single::P);
    constexpr Single FACTOR = Single::of(powerOfTwo(252, Single::P));
    // Within (-P, 2 P), and then within (0, 3 P), which four words hold.
    double quotient = a.l[4] / UNBALANCED.l[4];
    i64 multiple = static_cast<i64>(quotient) - (quotient < 0 ? 1 : 0) - 1;
    i64 carry = 0;
    u64 limbs[LIMBS];
    for (int i = 0; i < LIMBS; i++) {
      i64 limb = static_cast<i64>(a.l[i]) - multiple * static_cast<i64>(UNBALANCED.l[i]) + carry;
      carry = limb >> 52;
      limbs[i] = static_cast<u64>(limb) & ((u64{1} << 52) - 1);
    }
    Words number{{limbs[0] | limbs[1] << 52, limbs[1] >> 12 | limbs[2] << 40, limbs[2] >> 24 | limbs[3] << 28,
                  limbs[3] >> 36 | limbs[4] << 16}};
    return Single::mul(Single::of(number), FACTOR);
  }

  static constexpr Stored plainLimbs(const Words& number) {
    Stored result{};
    for (int i = 0; i < LIMBS; i++) {
      int bit = 52 * i;
      u64 chunk = number.w[bit / 64] >> (bit % 64);
      if (bit % 64 != 0 && bit / 64 < 3) chunk |= number.w[bit / 64 + 1] << (64 - bit % 64);
      result.l[i] = static_cast<double>(chunk & ((u64{1} << 52) - 1));
    }
    return result;
  }

  static BITCLOAK_INLINE VectorElement broadcast(const Stored& a) {
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::broadcast(a.l[i]);
    return result;
  }

  /** `at(lane)` is the element of each lane. */
  template <class At>
  static BITCLOAK_INLINE VectorElement gather(const At& at) {
    VectorElement result;
    Lanes::gather(result.l, [&](int lane) -> const double* { return at(lane).l; });
    return result;
  }

  template <class At>
  BITCLOAK_INLINE void scatter(const At& at) const {
    Lanes::scatter(l, [&](int lane) -> double* { return at(lane).l; });
  }

  /** Negates the lanes whose reference is odd. */
  template <class At>
  BITCLOAK_INLINE VectorElement negatedWhereOdd(const At& at) const {
    const auto signs = Lanes::signsOf(at);
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::flip(l[i], signs);
    return result;
  }

  /** Lanes whose number has the bit `distance` change places. */
  BITCLOAK_INLINE VectorElement swapped(int distance) const {
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::swapped(l[i], distance);
    return result;
  }

  /** Negates the lanes whose number has the bit `distance`. */
  BITCLOAK_INLINE VectorElement negatedUpper(int distance) const {
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::negatedUpper(l[i], distance);
    return result;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
