// Sums of multiples of points by Pippenger's method ("On the evaluation of powers and related problems", FOCS 1976) with signed digits. A bucket's
// points are summed by groups.h. The buckets' weighted sum is taken over a grid: sums of rows and of columns are unweighted, and so are those of
// the lines whose weight has a bit. These small sums are taken for some windows at once, so that more of them share an inversion.
#pragma once
#include "endomorphism.h"
#include "groups.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Digits of scalars' halves, window by window: half = Σ digit·2^(window·bits), |digit| <= 2^(bits - 1). */
class Digits {
 public:
  u32 bits = 0, windows = 0;

  /** Windows that are summed together: all at once would leave too few tasks for several threads. */
  static constexpr u32 RUN = 4;

  Digits() = default;

  /** One bit more than a half has, for what is carried out of the last window but one. */
  static u32 windowsFor(u32 bits) { return Endomorphism::BITS / bits + 1; }

  /** Bits of a digit that cost the fewest additions: one of each half, and two of each bucket. A digit's 16 bits hold no -2^15 and 2^15. */
  static u32 bitsFor(size_t scalars) {
    constexpr u32 BITS_MIN = 6, BITS_MAX = 15;
    const auto cost = [&](u32 bits) { return windowsFor(bits) * (2 * u64{scalars} + (u64{1} << bits)); };
    u32 best = BITS_MIN;
    for (u32 bits = BITS_MIN + 1; bits <= BITS_MAX; bits++) best = cost(bits) < cost(best) ? bits : best;
    return best;
  }

  /** Scalars are plain numbers below the order. */
  Digits(const Words* scalars, size_t count, u32 windowBits)
      : bits(windowBits), windows(windowsFor(windowBits)), size(2 * count), digits(windows * size) {
    for (size_t index = 0; index < count; index++) {
      Endomorphism::Half halves[2];
      Endomorphism::split(scalars[index], halves);
      write(halves[0], 2 * index);
      write(halves[1], 2 * index + 1);
    }
  }

  static u32 runsFor(u32 bits) { return (windowsFor(bits) + RUN - 1) / RUN; }
  u32 runs() const { return runsFor(bits); }

  /** Of each scalar, the digit of its first half and that of its second. */
  const i16* window(u32 index) const { return digits.data() + index * size; }

 private:
  size_t size = 0;
  Array<i16> digits;

  void write(const Endomorphism::Half& half, size_t place) {
    u32 carry = 0;
    for (u32 window = 0; window < windows; window++) {
      const u32 bit = window * bits, word = bit / 64;
      u64 chunk = word < 2 ? half.w[word] >> (bit % 64) : 0;
      if (word == 0 && bit % 64 + bits > 64) chunk |= half.w[1] << (64 - bit % 64);
      i32 digit = static_cast<i32>((chunk & ((u64{1} << bits) - 1)) + carry);
      carry = digit > (i32{1} << (bits - 1)) ? 1 : 0;
      if (carry != 0) digit -= i32{1} << bits;
      digits[window * size + place] = static_cast<i16>(half.isNegative ? -digit : digit);
    }
  }
};

/** Points to be multiplied, without those at infinity. */
template <class Field>
struct PointTable {
  Array<TablePoint<Field>> points;
  /** Which scalar belongs to the point. */
  Array<u32> scalarOf;
  u32 size = 0;

  PointTable() = default;
  explicit PointTable(size_t sizeMax) : points(sizeMax), scalarOf(sizeMax) {}

  void add(const Affine<typename Field::Single>& point, u32 scalar) {
    if (point.isInfinity()) return;
    points[size] = {{Field::pack(point.x), Field::pack(Endomorphism::apply(point).x)}, Field::pack(point.y)};
    scalarOf[size++] = scalar;
  }
};

template <class Field>
class RunSum {
 public:
  using Single = typename Field::Single;
  using Stored = StoredPoint<Field>;

  /** Σ digit·2^((window - first)·bits)·point over the windows of a run. */
  static Point<Single> compute(const PointTable<Field>& table, const Digits& digits, u32 run) {
    const u32 first = run * Digits::RUN, windows = smaller(digits.windows - first, Digits::RUN);
    const Grid grid(digits.bits);
    Array<Stored> sums(windows * grid.buckets);
    Array<u8> present(windows * grid.buckets);
    GroupSums<Field> groups(larger(2 * table.size, 2 * windows * grid.buckets), larger(grid.buckets, windows * grid.lines));
    for (u32 window = 0; window < windows; window++) {
      const i16* values = digits.window(first + window);
      // Bucket k holds the points whose digit is k + 1 or -k - 1.
      const auto each = [&](const auto& visit) BITCLOAK_LAMBDA {
        for (u32 at = 0; at < table.size; at++) {
          const i16* const digitsOf = values + 2 * table.scalarOf[at];
          for (u32 half = 0; half < 2; half++) {
            const i32 digit = digitsOf[half];
            const u32 reference = 4 * at + 2 * half + (digit < 0 ? 1 : 0);
            if (digit != 0) visit(static_cast<u32>(digit < 0 ? -digit : digit) - 1, reference);
          }
        }
      };
      const u32 firstBucket = window * grid.buckets;
      groups.sum(TableSource<Field>{table.points.data()}, grid.buckets, each, &sums[firstBucket], &present[firstBucket]);
    }
    return weigh(groups, sums.data(), present.data(), grid, windows);
  }

 private:
  static constexpr u32 smaller(u32 a, u32 b) { return a < b ? a : b; }
  static constexpr u32 larger(u32 a, u32 b) { return a < b ? b : a; }

  /** Bucket k = row·columns + column weighs row·columns + column + 1. */
  struct Grid {
    u32 bits, buckets, shift, columns, rows, lines;

    explicit Grid(u32 bitsOfDigits)
        : bits(bitsOfDigits),
          buckets(u32{1} << (bits - 1)),
          shift((bits - 1) / 2),
          columns(u32{1} << shift),
          rows(buckets >> shift),
          lines(rows + columns) {}

    u32 weightOf(u32 line) const { return line < rows ? line << shift : line - rows + 1; }
  };

  /** Σ 2^(window·bits)·(k + 1)·sums[window·buckets + k]. */
  static Point<Single> weigh(GroupSums<Field>& groups, const Stored* sums, const u8* present, const Grid& grid,
                             u32 windows) {
    const u32 lines = windows * grid.lines, bits = windows * grid.bits;
    Array<Stored> sumsOfLines(lines);
    Array<u8> linesPresent(lines);
    const auto each = [&](const auto& visit) BITCLOAK_LAMBDA {
      for (u32 window = 0; window < windows; window++) {
        const u32 firstBucket = window * grid.buckets, firstLine = window * grid.lines;
        for (u32 k = 0; k < grid.buckets; k++) {
          if (present[firstBucket + k] == 0) continue;
          if (k >= grid.columns) visit(firstLine + (k >> grid.shift), firstBucket + k);
          visit(firstLine + grid.rows + k % grid.columns, firstBucket + k);
        }
      }
    };
    groups.sum(SumSource<Field>{sums}, lines, each, sumsOfLines.data(), linesPresent.data());
    // Of a line's weight each bit counts by itself.
    const auto eachBit = [&](const auto& visit) BITCLOAK_LAMBDA {
      for (u32 line = 0; line < lines; line++) {
        const u32 weight = linesPresent[line] == 0 ? 0 : grid.weightOf(line % grid.lines);
        for (u32 bit = 0; bit < grid.bits; bit++) {
          if ((weight >> bit & 1) != 0) visit(line / grid.lines * grid.bits + bit, line);
        }
      }
    };
    Array<Stored> sumsOfBits(bits);
    Array<u8> bitsPresent(bits);
    groups.sum(SumSource<Field>{sumsOfLines.data()}, bits, eachBit, sumsOfBits.data(), bitsPresent.data());
    Point<Single> result = Point<Single>::infinity();
    for (u32 bit = bits; bit-- > 0;) {
      result = Point<Single>::dbl(result);
      if (bitsPresent[bit] != 0) result = Point<Single>::add(result, GroupSums<Field>::unpack(sumsOfBits[bit]));
    }
    return result;
  }
};

/** Σ scalar·point from the sums of all runs. */
template <class Single>
Point<Single> joinRuns(const Point<Single>* sums, const Digits& digits) {
  Point<Single> result = Point<Single>::infinity();
  for (u32 run = digits.runs(); run-- > 0;) {
    for (u32 i = 0; i < Digits::RUN * digits.bits; i++) result = Point<Single>::dbl(result);
    result = Point<Single>::add(result, sums[run]);
  }
  return result;
}

}  // namespace bitcloak::BITCLOAK_BACKEND
