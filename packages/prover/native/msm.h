// Sums of multiples of points by Pippenger's method ("On the evaluation of powers and related problems", FOCS 1976) with signed digits. A bucket's
// points are summed by groups.h. The buckets' weighted sum is taken over a grid: sums of rows and of columns are unweighted, and only their few
// results are weighted one by one.
#pragma once
#include "groups.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Digits of scalars, window by window: scalar = Σ digit·2^(window·bits), |digit| <= 2^(bits - 1). */
class Digits {
 public:
  u32 bits = 0, windows = 0;
  size_t size = 0;

  Digits() = default;

  static u32 windowsFor(u32 bits) { return (254 + bits - 1) / bits; }

  /** Bits of a digit: about as many buckets as a fourth to an eighth of the points, as measured; but a digit's 16 bits hold no -2^15 and 2^15. */
  static u32 bitsFor(size_t points) {
    constexpr u32 LOG_MIN = 8, LOG_MAX = 17;
    u32 log = 0;
    while (log < LOG_MAX && (points >> (log + 1)) != 0) log++;
    return log < LOG_MIN ? 6 : log - 2;
  }

  /** Scalars are plain numbers below the order. Those above its half become the negatives of small ones. */
  Digits(const Words* scalars, size_t count, u32 windowBits)
      : bits(windowBits), windows(windowsFor(windowBits)), size(count), digits(windows * count) {
    constexpr Words HALF = halved(ScalarModulus::P);
    for (size_t index = 0; index < count; index++) {
      const bool negative = lessThan(HALF, scalars[index]);
      const Words scalar = negative ? minus(ScalarModulus::P, scalars[index]) : scalars[index];
      // Below 2^253, so that the carry out of the last window but one fits into the last.
      u32 carry = 0;
      for (u32 window = 0; window < windows; window++) {
        const u32 bit = window * bits;
        u64 chunk = scalar.w[bit / 64] >> (bit % 64);
        if (bit % 64 + bits > 64 && bit / 64 < 3) chunk |= scalar.w[bit / 64 + 1] << (64 - bit % 64);
        i32 digit = static_cast<i32>((chunk & ((u64{1} << bits) - 1)) + carry);
        carry = digit > (i32{1} << (bits - 1)) ? 1 : 0;
        if (carry != 0) digit -= i32{1} << bits;
        digits[window * count + index] = static_cast<i16>(negative ? -digit : digit);
      }
    }
  }

  const i16* window(u32 index) const { return digits.data() + index * size; }

 private:
  Array<i16> digits;
};

/** Points to be multiplied, without those at infinity. */
template <class Field>
struct PointTable {
  using Stored = StoredPoint<Field>;
  Array<Stored> points;
  /** Which scalar belongs to the point. */
  Array<u32> scalarOf;
  size_t size = 0;
};

template <class Field>
class WindowSum {
 public:
  using Single = typename Field::Single;
  using Stored = StoredPoint<Field>;

  /** Σ digit·point over one window. */
  static Point<Single> compute(const PointTable<Field>& table, const Digits& digits, u32 window) {
    const u32 buckets = u32{1} << (digits.bits - 1);
    Array<u32> starts(buckets + 2), references(table.size);
    const u32 used = sortIntoBuckets(table, digits.window(window), buckets, starts, references);
    if (used == 0) return Point<Single>::infinity();
    // Bucket k holds the points whose digit is k or -k; 0 is left out.
    Array<Stored> sums(buckets + 1);
    Array<u8> present(buckets + 1);
    GroupSums<Field> groups(used > 2 * buckets ? used : 2 * buckets, buckets);
    groups.sum(table.points.data(), references.data(), starts.data(), buckets, sums.data(), present.data());
    return weigh(groups, sums.data(), present.data(), digits.bits);
  }

 private:
  /** starts[k - 1] becomes where the references of bucket k start. Returns how many references there are. */
  static u32 sortIntoBuckets(const PointTable<Field>& table, const i16* digits, u32 buckets, Array<u32>& starts,
                             Array<u32>& references) {
    starts.fill(0);
    for (size_t at = 0; at < table.size; at++) {
      const i32 digit = digits[table.scalarOf[at]];
      starts[static_cast<u32>(digit < 0 ? -digit : digit) + 1]++;
    }
    // starts[0] and starts[1] count nothing and the points without a digit; these are not wanted.
    starts[1] = 0;
    for (u32 k = 1; k <= buckets + 1; k++) starts[k] += starts[k - 1];
    for (size_t at = 0; at < table.size; at++) {
      const i32 digit = digits[table.scalarOf[at]];
      if (digit == 0) continue;
      const u32 bucket = static_cast<u32>(digit < 0 ? -digit : digit);
      references[starts[bucket]++] = 2 * static_cast<u32>(at) + (digit < 0 ? 1 : 0);
    }
    // Each start has moved to its end, which is where the next bucket starts.
    return starts[buckets];
  }

  /** Σ (k + 1)·sums[k] over 2^(bits - 1) buckets. */
  static Point<Single> weigh(GroupSums<Field>& groups, const Stored* sums, const u8* present, u32 bits) {
    // Bucket k = row·2^shift + column weighs row·2^shift + column + 1.
    const u32 buckets = u32{1} << (bits - 1), shift = (bits - 1) / 2;
    const u32 columns = u32{1} << shift, rows = buckets >> shift;
    Array<u32> starts(rows + columns + 1), references(2 * buckets);
    u32 next = 0;
    for (u32 row = 0; row < rows; row++) {
      starts[row] = next;
      for (u32 column = 0; column < columns && row > 0; column++) {
        const u32 k = row * columns + column;
        if (present[k] != 0) references[next++] = 2 * k;
      }
    }
    for (u32 column = 0; column < columns; column++) {
      starts[rows + column] = next;
      for (u32 row = 0; row < rows; row++) {
        const u32 k = row * columns + column;
        if (present[k] != 0) references[next++] = 2 * k;
      }
    }
    starts[rows + columns] = next;
    Array<Stored> lines(rows + columns);
    Array<u8> linesPresent(rows + columns);
    groups.sum(sums, references.data(), starts.data(), rows + columns, lines.data(), linesPresent.data());
    Point<Single> result = weighLine(lines.data() + 1, linesPresent.data() + 1, rows - 1);
    for (u32 i = 0; i < shift; i++) result = Point<Single>::dbl(result);
    return Point<Single>::add(result, weighLine(lines.data() + rows, linesPresent.data() + rows, columns));
  }

  /** Σ (i + 1)·points[i]: the sum of all sums from the end. */
  static Point<Single> weighLine(const Stored* points, const u8* present, u32 count) {
    Point<Single> sum = Point<Single>::infinity(), total = Point<Single>::infinity();
    for (u32 i = count; i-- > 0;) {
      if (present[i] != 0) sum = Point<Single>::add(sum, GroupSums<Field>::unpack(points[i]));
      total = Point<Single>::add(total, sum);
    }
    return total;
  }
};

/** Σ scalar·point from the sums of its windows. */
template <class Single>
Point<Single> joinWindows(const Point<Single>* windows, u32 count, u32 bits) {
  Point<Single> result = Point<Single>::infinity();
  for (u32 window = count; window-- > 0;) {
    for (u32 i = 0; i < bits; i++) result = Point<Single>::dbl(result);
    result = Point<Single>::add(result, windows[window]);
  }
  return result;
}

}  // namespace bitcloak::BITCLOAK_BACKEND
