// Several elements of a prime field at once, in limbs of 51 bits that are doubles: a fused multiply-add gives the high and then the low half of a
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
 * An element x as x·2^255 mod P in five balanced limbs, of 51 bits each; not reduced to a range.
 *
 * Every function takes and gives tidy elements: limbs 0 to 3 within ±(2^50 + 2^3). With a bit less than doubles have in half of them, four low halves
 * of products and what is carried to them are whole numbers below 2^53, and four high halves stay beside the number that rounds them. How large the
 * highest limb may be depends on what is done: test/packages/proverBounds.test.ts runs the same code over bounds instead of numbers.
 */
template <class Modulus, class Lanes>
struct VectorElement {
  using Number = typename Lanes::Number;
  using Single = Element<Modulus>;
  static constexpr int LANES = Lanes::LANES;
  static constexpr int LIMBS = 5;
  static constexpr int LIMB_BITS = 51;
  static constexpr u32 RADIX_BITS = LIMBS * LIMB_BITS;
  /** A transform reduces in the first of so many stages. */
  static constexpr u32 STAGES_PER_REDUCTION = 2;

  Number l[LIMBS];

  /** One element in memory. */
  struct Stored {
    double l[LIMBS];
  };

  static constexpr double LIMB_INVERSE = 0x1p-51;
  /** Added to a number within ±2^102 it leaves the sum where doubles are multiples of 2^51: so it rounds to whole limbs. */
  static constexpr double ROUNDER = 0x1.8p103;
  static constexpr double INTEGER_ROUNDER = 0x1.8p52;

  static constexpr u64 LIMB_MASK = (u64{1} << LIMB_BITS) - 1;

  /** Bits of a number below 2^255. */
  static constexpr u64 chunkOf(const Words& number, int limb) {
    const int bit = LIMB_BITS * limb;
    u64 chunk = number.w[bit / 64] >> (bit % 64);
    if (bit % 64 != 0 && bit / 64 < 3) chunk |= number.w[bit / 64 + 1] << (64 - bit % 64);
    return chunk & LIMB_MASK;
  }

  /** Balanced limbs of a number below P, or of it less P, where that is nearer to zero. */
  static constexpr Stored balanced(const Words& number, bool centered) {
    const bool negative = centered && !lessThan(number, halved(Single::P));
    const Words magnitude = negative ? minus(Single::P, number) : number;
    Stored result{};
    i64 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
      i64 limb = static_cast<i64>(chunkOf(magnitude, i)) + carry;
      carry = i < LIMBS - 1 && limb > (i64{1} << (LIMB_BITS - 1)) ? 1 : 0;
      limb -= carry << LIMB_BITS;
      result.l[i] = static_cast<double>(negative ? -limb : limb);
    }
    return result;
  }

  struct Constants {
    Stored p;
    /** fold[i] = 2^(-51 (4 - i)) mod P: what limb i of a product is worth when the product is divided by 2^204. */
    Stored fold[4];
    /** -1/P mod 2^51, balanced. */
    double negatedInverse;
  };

  static constexpr Constants derive() {
    Constants constants{};
    constants.p = balanced(Single::P, false);
    for (int i = 0; i < 4; i++) {
      constants.fold[i] = balanced(inversePowerOfTwo((4 - i) * LIMB_BITS, Single::P), true);
    }
    i64 inverse = static_cast<i64>(Single::NEGATED_INVERSE & LIMB_MASK);
    if (inverse > (i64{1} << (LIMB_BITS - 1))) inverse -= i64{1} << LIMB_BITS;
    constants.negatedInverse = static_cast<double>(inverse);
    return constants;
  }
  static constexpr Constants CONSTANTS = derive();

  /** Moves what exceeds a limb to the next one; all limbs at once, so that afterwards one can exceed 2^50 by what came in from below. */
  static BITCLOAK_INLINE VectorElement tidy(const VectorElement& a) {
    const Number rounder = Lanes::broadcast(ROUNDER), inverse = Lanes::broadcast(LIMB_INVERSE);
    VectorElement result;
    Number carry = a.l[0];
    for (int i = 0; i < LIMBS; i++) {
      Number low = a.l[i];
      Number high = low;
      if (i < LIMBS - 1) {
        high = Lanes::sub(Lanes::add(a.l[i], rounder), rounder);
        low = Lanes::sub(a.l[i], high);
      }
      result.l[i] = i == 0 ? low : Lanes::fma(carry, inverse, low);
      carry = high;
    }
    return result;
  }

  static BITCLOAK_INLINE VectorElement add(const VectorElement& a, const VectorElement& b) {
    VectorElement sum;
    for (int i = 0; i < LIMBS; i++) sum.l[i] = Lanes::add(a.l[i], b.l[i]);
    return tidy(sum);
  }

  static BITCLOAK_INLINE VectorElement sub(const VectorElement& a, const VectorElement& b) {
    return tidy(difference(a, b));
  }

  static BITCLOAK_INLINE VectorElement neg(const VectorElement& a) {
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::sub(Lanes::broadcast(0), a.l[i]);
    return result;
  }

  /** a - b, to be multiplied with what may be large: the extension has another one. */
  static BITCLOAK_INLINE VectorElement factor(const VectorElement& a, const VectorElement& b) { return sub(a, b); }

  static BITCLOAK_INLINE VectorElement dbl(const VectorElement& a) { return add(a, a); }

  /** a - 2·b - c, of which |a - 2·b - c| < 8 P must hold, brought within ±(P/2 + P/16). */
  static BITCLOAK_INLINE VectorElement subReduced(const VectorElement& a, const VectorElement& b,
                                                  const VectorElement& c) {
    return reduce(difference(difference(difference(a, b), b), c));
  }

  static BITCLOAK_INLINE VectorElement subReduced(const VectorElement& a, const VectorElement& b) {
    return reduce(difference(a, b));
  }

  /** An element within ±8 P, of limbs that need not be tidy, brought within ±(P/2 + P/16) by the quotient that its highest limb suggests. */
  static BITCLOAK_INLINE VectorElement reduce(const VectorElement& a) {
    const Number rounder = Lanes::broadcast(INTEGER_ROUNDER);
    Number quotient = Lanes::fma(a.l[4], Lanes::broadcast(-1.0 / CONSTANTS.p.l[4]), rounder);
    quotient = Lanes::sub(quotient, rounder);
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::fma(quotient, Lanes::broadcast(CONSTANTS.p.l[i]), a.l[i]);
    return tidy(result);
  }

  /**
   * One column of a product. `low` is the sum of the low halves of what was added. `high` is that of the high ones, which are multiples of 2^51, and of
   * the rounder: the multiply-add that rounds the next product adds it at the same time, and what it grew by is the high half. Such a sum is closed
   * before it can become too large, and the next one opened with the other sign of the rounder: `other` is one that waits for its opposite, and `rest`
   * are the pairs of such.
   */
  struct Column {
    Number low, high, other, rest;
  };

  /** Adds the high half of a product, and gives the low one. */
  static BITCLOAK_INLINE Number addHigh(Column& column, const Number& a, const Number& b) {
    const Number before = column.high;
    column.high = Lanes::fma(a, b, before);
    return Lanes::fma(a, b, Lanes::sub(before, column.high));
  }

  static BITCLOAK_INLINE void addProduct(Column& column, const Number& a, const Number& b) {
    column.low = Lanes::add(column.low, addHigh(column, a, b));
  }

  static BITCLOAK_INLINE void firstProduct(Column& column, const Number& a, const Number& b) {
    column.high = Lanes::broadcast(ROUNDER);
    column.low = addHigh(column, a, b);
  }

  /** Opens the next sum of high halves; so many were closed before the one that is open. */
  template <int CLOSED>
  static BITCLOAK_INLINE void nextSum(Column& column) {
    if constexpr (CLOSED % 2 == 0) {
      column.other = column.high;
    } else {
      column.rest = carryOf<CLOSED>(column);
    }
    column.high = Lanes::broadcast(CLOSED % 2 == 0 ? -ROUNDER : ROUNDER);
  }

  template <int CLOSED>
  static BITCLOAK_INLINE Number carryOf(const Column& column) {
    const Number last = CLOSED % 2 == 0 ? Lanes::sub(column.high, Lanes::broadcast(ROUNDER))
                                        : Lanes::add(column.other, column.high);
    if constexpr (CLOSED < 2) return last;
    return Lanes::add(column.rest, last);
  }

  /** Brings `low`, after something was carried to it, within ±2^50, and what is taken away to the high halves. */
  static BITCLOAK_INLINE void settle(Column& column, const Number& low) {
    const Number high = Lanes::add(column.high, low);
    column.low = Lanes::add(low, Lanes::sub(column.high, high));
    column.high = high;
  }

  static BITCLOAK_INLINE Number carriedTo(const Number& low, const Number& carry) {
    return Lanes::fma(carry, Lanes::broadcast(LIMB_INVERSE), low);
  }

  /** How many sums the high halves of a product need. Four of limbs fit into one, but with nothing to spare for what exceeds a limb. */
  static constexpr int sumsOf(int column) { return column >= 3 && column <= 6 ? 2 : 1; }

  /** What column K has of a product beside the first, whose limb of `a` is the lowest. Those with highest limbs, which are larger, have a sum alone. */
  template <int K, int CLOSED>
  static BITCLOAK_INLINE void addProducts(Column& column, const VectorElement& a, const VectorElement& b) {
    constexpr int FROM = K < LIMBS ? 0 : K - LIMBS + 1, TO = K - FROM;
    if constexpr (FROM < TO) addProduct(column, a.l[TO], b.l[FROM]);
    if constexpr (sumsOf(K) > 1) nextSum<CLOSED>(column);
    repeat<FROM + 1, TO>([&](auto i) BITCLOAK_LAMBDA { addProduct(column, a.l[i], b.l[K - i]); });
  }

  // A call costs little beside a product, and the code stays in its cache.
  static BITCLOAK_APART VectorElement mul(const VectorElement& a, const VectorElement& b) {
    return reduceProduct<1>([&](auto k, Column& column) BITCLOAK_LAMBDA {
      constexpr int FROM = k < LIMBS ? 0 : k - LIMBS + 1;
      firstProduct(column, a.l[FROM], b.l[k - FROM]);
      addProducts<k, 0>(column, a, b);
    });
  }

  /** a·b + c·d, reduced once. */
  static BITCLOAK_APART VectorElement mulSum(const VectorElement& a, const VectorElement& b, const VectorElement& c,
                                             const VectorElement& d) {
    return reduceProduct<2>([&](auto k, Column& column) BITCLOAK_LAMBDA {
      constexpr int FROM = k < LIMBS ? 0 : k - LIMBS + 1;
      firstProduct(column, a.l[FROM], b.l[k - FROM]);
      addProducts<k, 0>(column, a, b);
      // Eight low halves of the largest size are below 2^53, and more will be carried to some and folded to others.
      if constexpr (k == 4) settle(column, column.low);
      nextSum<sumsOf(k) - 1>(column);
      addProduct(column, c.l[FROM], d.l[k - FROM]);
      addProducts<k, sumsOf(k)>(column, c, d);
      if constexpr (k != 1 && k != 4 && k < 7) settle(column, column.low);
    });
  }

  static BITCLOAK_APART VectorElement sqr(const VectorElement& a) {
    Number twice[LIMBS];
    for (int i = 0; i < LIMBS; i++) twice[i] = Lanes::add(a.l[i], a.l[i]);
    return reduceProduct<1>([&](auto k, Column& column) BITCLOAK_LAMBDA {
      constexpr int FROM = k < LIMBS ? 0 : k - LIMBS + 1, TO = k - FROM;
      firstProduct(column, FROM < TO ? twice[FROM] : a.l[FROM], a.l[TO]);
      if constexpr (sumsOf(k) > 1) nextSum<0>(column);
      repeat<FROM + 1, k / 2 + 1>([&](auto i) BITCLOAK_LAMBDA {
        addProduct(column, i < k - i ? twice[i] : a.l[i], a.l[k - i]);
      });
    });
  }

  /**
   * The number of columns 0 to 8, which `make` makes, divided by 2^255 modulo P. Limbs 0 to 3 are replaced by their worth after a division by 2^204 (Domb,
   * "Fast Modular Multiplication", 2022), and one step of Montgomery's takes the last limb away. So the result is within (2^50·(Σ|fold| + P))/2^51,
   * which is 1.01 P, and what the factors' product gives beyond: |a·b|/2^255.
   */
  template <int PRODUCTS, class Make>
  static BITCLOAK_INLINE VectorElement reduceProduct(const Make& make) {
    const Number rounder = Lanes::broadcast(ROUNDER);
    // Hidden from compilers, which would put the constants into the code: there they take more room and more instructions than a load.
    const Constants* constants = &CONSTANTS;
    asm("" : "+r"(constants));
    Column columns[9];
    const auto makeColumn = [&](auto k) BITCLOAK_LAMBDA {
      make(k, columns[k]);
      if constexpr (k == 4) settle(columns[k], columns[k].low);
    };
    if constexpr (!Lanes::IS_COLUMN_WISE) repeat<0, 9>(makeColumn);
    Number limb[4], carry;
    repeat<0, 4>([&](auto k) BITCLOAK_LAMBDA {
      if constexpr (Lanes::IS_COLUMN_WISE) makeColumn(k);
      if constexpr (k > 0) settle(columns[k], carriedTo(columns[k].low, carry));
      limb[k] = columns[k].low;
      carry = carryOf<PRODUCTS * sumsOf(k) - 1>(columns[k]);
    });
    const auto fold = [&](auto k) BITCLOAK_LAMBDA {
      nextSum<PRODUCTS * sumsOf(k) - 1>(columns[k]);
      repeat<0, 4>([&](auto i) BITCLOAK_LAMBDA {
        addProduct(columns[k], limb[i], Lanes::broadcast(constants->fold[i].l[k - 4]));
      });
    };

    if constexpr (Lanes::IS_COLUMN_WISE) makeColumn(Index<4>{});
    repeat<4, Lanes::IS_COLUMN_WISE ? 5 : 9>(fold);
    if constexpr (PRODUCTS > 1) settle(columns[4], columns[4].low);
    const Number last = carriedTo(columns[4].low, carry), negatedInverse = Lanes::broadcast(constants->negatedInverse);
    const Number high = Lanes::fma(last, negatedInverse, rounder);
    const Number multiple = Lanes::fma(last, negatedInverse, Lanes::sub(rounder, high));
    // What is left in the last limb is a multiple of 2^51, so that the sum is one however large it is.
    const Number low = addHigh(columns[4], multiple, Lanes::broadcast(constants->p.l[0]));
    carry = Lanes::add(carryOf<PRODUCTS * sumsOf(4)>(columns[4]), Lanes::addWhole(last, low));
    VectorElement result;
    repeat<5, 9>([&](auto k) BITCLOAK_LAMBDA {
      Column& column = columns[k];
      if constexpr (Lanes::IS_COLUMN_WISE) {
        makeColumn(k);
        fold(k);
      }
      // Of a sum of products more is carried to the first two.
      constexpr bool IS_SETTLED_LATE = PRODUCTS > 1 && k < 7;
      if constexpr (!IS_SETTLED_LATE) settle(column, column.low);
      addProduct(column, multiple, Lanes::broadcast(constants->p.l[k - 4]));
      if constexpr (IS_SETTLED_LATE) settle(column, column.low);
      settle(column, carriedTo(column.low, carry));
      result.l[k - 5] = column.low;
      carry = carryOf<PRODUCTS * sumsOf(k)>(column);
    });
    result.l[LIMBS - 1] = Lanes::mul(carry, Lanes::broadcast(LIMB_INVERSE));
    return result;
  }

  // Between memory and vectors.

  /** Single elements are held times 2^256. */
  static Stored pack(const Single& a) { return balanced(half(a.words(), Single::P), true); }

  /** Of a plain number: it is not times 2^RADIX_BITS. */
  static Stored packNumber(const Words& number) { return balanced(number, true); }

  static Single unpack(const Stored& a) {
    constexpr Single FACTOR = Single::of(powerOfTwo(512 - 255, Single::P));
    // Between 0 and 3 P, which four words hold.
    const double quotient = a.l[4] / static_cast<double>(chunkOf(Single::P, 4));
    const i64 multiple = static_cast<i64>(quotient) - (quotient < 0 ? 1 : 0) - 1;
    i64 carry = 0;
    u64 limbs[LIMBS];
    for (int i = 0; i < LIMBS; i++) {
      carry += static_cast<i64>(a.l[i]) - multiple * static_cast<i64>(chunkOf(Single::P, i));
      limbs[i] = i < LIMBS - 1 ? static_cast<u64>(carry) & LIMB_MASK : static_cast<u64>(carry);
      carry >>= LIMB_BITS;
    }
    const Words number{{limbs[0] | limbs[1] << 51, limbs[1] >> 13 | limbs[2] << 38, limbs[2] >> 26 | limbs[3] << 25,
                        limbs[3] >> 39 | limbs[4] << 12}};
    return Single::mul(Single::of(number), FACTOR);
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
  BITCLOAK_INLINE VectorElement negatedWhereOdd(const u32* references) const {
    const auto signs = Lanes::signsOf(references);
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

 private:
  static BITCLOAK_INLINE VectorElement difference(const VectorElement& a, const VectorElement& b) {
    VectorElement result;
    for (int i = 0; i < LIMBS; i++) result.l[i] = Lanes::sub(a.l[i], b.l[i]);
    return result;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
