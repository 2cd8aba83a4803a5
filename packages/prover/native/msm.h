// Sums of multiples of points by Pippenger's method ("On the evaluation of powers and related problems", FOCS 1976) with signed digits. A bucket's
// points are summed by groups.h. The buckets' weighted sum is taken over a grid: sums of rows and of columns are unweighted, and so are those of
// the lines whose weight has a bit.
#pragma once
#include "endomorphism.h"
#include "groups.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Digits of scalars' halves, window by window: half = Σ digit·2^(window·bits), |digit| <= 2^(bits - 1). */
class Digits {
 public:
  u32 bits = 0, windows = 0;

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
class WindowSum {
 public:
  using Single = typename Field::Single;
  using Stored = StoredPoint<Field>;

  /** Σ digit·point over one window. */
  static Point<Single> compute(const PointTable<Field>& table, const Digits& digits, u32 window) {
    const u32 buckets = u32{1} << (digits.bits - 1);
    const i16* values = digits.window(window);
    Array<Stored> sums(buckets);
    Array<u8> present(buckets);
    const u32 points = 2 * table.size;
    GroupSums<Field> groups(points > 2 * buckets ? points : 2 * buckets, buckets);
    // Bucket k holds the points whose digit is k + 1 or -k - 1.
    const auto each = [&](const auto& visit) BITCLOAK_LAMBDA {
      for (u32 at = 0; at < points; at++) {
        const i32 digit = values[2 * table.scalarOf[at / 2] + at % 2];
        if (digit != 0) visit(static_cast<u32>(digit < 0 ? -digit : digit) - 1, 2 * at + (digit < 0 ? 1 : 0));
      }
    };
    groups.sum(TableSource<Field>{table.points.data()}, buckets, each, sums.data(), present.data());
    return weigh(groups, sums.data(), present.data(), digits.bits);
  }

 private:
  /** Σ (k + 1)·sums[k] over 2^(bits - 1) buckets. */
  static Point<Single> weigh(GroupSums<Field>& groups, const Stored* sums, const u8* present, u32 bits) {
    // Bucket k = row·2^shift + column weighs row·2^shift + column + 1.
    const u32 buckets = u32{1} << (bits - 1), shift = (bits - 1) / 2;
    const u32 columns = u32{1} << shift, rows = buckets >> shift;
    Array<Stored> lines(rows + columns);
    Array<u8> linesPresent(rows + columns);
    const auto each = [&](const auto& visit) BITCLOAK_LAMBDA {
      for (u32 k = 0; k < buckets; k++) {
        if (present[k] == 0) continue;
        if (k >= columns) visit(k >> shift, 2 * k);
        visit(rows + k % columns, 2 * k);
      }
    };
    groups.sum(SumSource<Field>{sums}, rows + columns, each, lines.data(), linesPresent.data());
    // Of a line's weight each bit counts by itself.
    const auto eachBit = [&](const auto& visit) BITCLOAK_LAMBDA {
      for (u32 line = 0; line < rows + columns; line++) {
        const u32 weight = linesPresent[line] == 0 ? 0 : line < rows ? line << shift : line - rows + 1;
        for (u32 bit = 0; bit < bits; bit++) {
          if ((weight >> bit & 1) != 0) visit(bit, 2 * line);
        }
      }
    };
    Array<Stored> sumsOfBits(bits);
    Array<u8> bitsPresent(bits);
    groups.sum(SumSource<Field>{lines.data()}, bits, eachBit, sumsOfBits.data(), bitsPresent.data());
    Point<Single> result = Point<Single>::infinity();
    for (u32 bit = bits; bit-- > 0;) {
      result = Point<Single>::dbl(result);
      if (bitsPresent[bit] != 0) result = Point<Single>::add(result, GroupSums<Field>::unpack(sumsOfBits[bit]));
    }
    return result;
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
