// Sums of many small groups of points. Two points of a group are added as soon as both have been met, and their sum goes to the end of the queue of
// those that are yet to meet another: so additions do not depend on those that were begun shortly before, share inversions (Montgomery's trick) and
// fill vectors. An affine addition then costs five products and a square. Points are met in the order of the table, and sums are written one after
// another: so what is read is near to what was read before, and not anywhere in a table larger than the nearest caches.
#pragma once
#include "curve.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** An affine point in a backend's representation; never infinity. */
template <class Field>
struct StoredPoint {
  typename Field::Stored x, y;
};

/** A point of a table, and λ times it, which has the same ordinate. */
template <class Field>
struct TablePoint {
  typename Field::Stored x[2], y;
};

/** Points by references, as many at once as there are lanes. */
template <class Field>
struct SumSource {
  using Stored = typename Field::Stored;

  const StoredPoint<Field>* points;

  const Stored& x(u32 reference) const { return points[reference].x; }
  const Stored& y(u32 reference) const { return points[reference].y; }
  BITCLOAK_INLINE Field abscissas(const u32* references) const {
    return Field::gather([&](int lane) -> const Stored& { return x(references[lane]); });
  }
  BITCLOAK_INLINE Field ordinates(const u32* references) const {
    return Field::gather([&](int lane) -> const Stored& { return y(references[lane]); });
  }
  static constexpr bool isNegated(u32) { return false; }
};

/** A reference is twice a number, plus 1 for the negated point. Each point of a table has two numbers. */
template <class Field>
struct TableSource {
  using Stored = typename Field::Stored;

  const TablePoint<Field>* points;

  const Stored& x(u32 reference) const { return points[reference >> 2].x[(reference >> 1) & 1]; }
  const Stored& y(u32 reference) const { return points[reference >> 2].y; }
  BITCLOAK_INLINE Field abscissas(const u32* references) const {
    return Field::gather([&](int lane) -> const Stored& { return x(references[lane]); });
  }
  BITCLOAK_INLINE Field ordinates(const u32* references) const {
    return Field::gather([&](int lane) -> const Stored& { return y(references[lane]); }).negatedWhereOdd(references);
  }
  static constexpr bool isNegated(u32 reference) { return (reference & 1) != 0; }
};

template <class Field>
class GroupSums {
 public:
  using Single = typename Field::Single;
  using Stored = StoredPoint<Field>;
  static constexpr u32 LANES = static_cast<u32>(Field::LANES);
  /** Additions that share an inversion. */
  static constexpr u32 BATCH = 1024;

  /** For groups of `pointsMax` points in all. */
  GroupSums(size_t pointsMax, size_t groupsMax)
      : made(pointsMax + 1),
        groupOf(pointsMax + 1),
        unpaired(groupsMax),
        isSpecial(groupsMax),
        lefts(BATCH + LANES),
        rights(BATCH + LANES),
        places(BATCH + LANES),
        deltas(BATCH / LANES + 1),
        products(BATCH / LANES + 1) {}

  /**
   * Sums of groups of points. `each(visit)` calls `visit(group, reference)` for all of them, whenever it is called. sums[g] is written where present[g]
   * becomes 1: not for a group without points, or one whose sum is infinity.
   */
  template <class Source, class Each>
  void sum(const Source& table, u32 groups, const Each& each, Stored* sums, u8* present) {
    for (u32 g = 0; g < groups; g++) {
      unpaired[g] = NONE;
      isSpecial[g] = 0;
    }
    u32 end = 0, waiting = 0;
    each([&](u32 group, u32 reference) BITCLOAK_LAMBDA { pair(table, group, reference, end, waiting); });
    finishAdding(table, waiting);
    for (u32 g = 0; g < groups; g++) {
      if (unpaired[g] == NONE) continue;
      copy(table, unpaired[g], made[end]);
      groupOf[end++] = g;
      unpaired[g] = NONE;
    }
    const SumSource<Field> source{made.data()};
    waiting = 0;
    for (u32 at = 0; at < end; at++) {
      if (at + waiting == end) {
        finishAdding(source, waiting);
        waiting = 0;
      }
      pair(source, groupOf[at], at, end, waiting);
    }
    bool isAnySpecial = false;
    for (u32 g = 0; g < groups; g++) {
      present[g] = unpaired[g] == NONE ? 0 : 1;
      if (present[g] != 0) sums[g] = made[unpaired[g]];
      isAnySpecial = isAnySpecial || isSpecial[g] != 0;
    }
    if (isAnySpecial) sumCarefully(table, groups, each, sums, present);
  }

  static Affine<Single> unpack(const Stored& point) { return {Field::unpack(point.x), Field::unpack(point.y)}; }
  static Stored pack(const Affine<Single>& point) { return {Field::pack(point.x), Field::pack(point.y)}; }

 private:
  static constexpr u32 NONE = ~u32{0};

  /** All sums of two points, in the order in which they were begun, and the group of each. */
  Array<Stored> made;
  Array<u32> groupOf;
  /** Of each group, a point that waits for another one. */
  Array<u32> unpaired;
  Array<u8> isSpecial;
  /** Points of the source that are to be added, and where in `made` their sum goes. */
  Array<u32> lefts, rights, places;
  Array<Field> deltas, products;
  /** Of each lane's product. */
  Field inverse;

  template <class Source>
  BITCLOAK_INLINE void pair(const Source& source, u32 group, u32 reference, u32& end, u32& waiting) {
    // Without a branch, which nobody could predict.
    const u32 other = unpaired[group], isPair = other == NONE ? 0 : 1;
    unpaired[group] = isPair != 0 ? NONE : reference;
    lefts[waiting] = other;
    rights[waiting] = reference;
    places[waiting] = end;
    groupOf[end] = group;
    end += isPair;
    waiting += isPair;
    if (waiting == BATCH) {
      finishAdding(source, waiting);
      waiting = 0;
    }
  }

  template <class Source>
  BITCLOAK_APART void finishAdding(const Source& source, u32 waiting) {
    while (waiting > 0 && !invertProduct(source, waiting)) waiting = withoutEqualAbscissas(source, waiting);
    finishBatch(source, (waiting + LANES - 1) / LANES);
  }

  template <class Source>
  static void copy(const Source& source, u32 from, Stored& target) {
    target.x = source.x(from);
    if (!source.isNegated(from)) {
      target.y = source.y(from);
      return;
    }
    u32 references[LANES];
    for (u32& reference : references) reference = from;
    source.ordinates(references).scatter([&](int) -> typename Field::Stored& { return target.y; });
  }

  /** The products of all that is to be inverted, up to each vector; false where one of them is 0. */
  template <class Source>
  bool invertProduct(const Source& source, u32 count) {
    // The last vector is filled up with its last addition: the same sum is written to the same place twice.
    const u32 vectors = (count + LANES - 1) / LANES;
    for (u32 at = count; at < vectors * LANES; at++) move(count - 1, at);
    Field product = Field::broadcast(Field::pack(Single::one()));
    for (u32 vector = 0; vector < vectors; vector++) {
      deltas[vector] =
          Field::factor(source.abscissas(&rights[vector * LANES]), source.abscissas(&lefts[vector * LANES]));
      products[vector] = product;
      product = Field::mul(product, deltas[vector]);
    }
    // Of each lane, the product of all others, by exchanges: with the neighbour, with the pair beside it, and so on.
    Field others = Field::broadcast(Field::pack(Single::one()));
    for (u32 distance = 1; distance < LANES; distance *= 2) {
      const Field exchanged = product.swapped(static_cast<int>(distance));
      others = distance == 1 ? exchanged : Field::reduce(Field::mul(others, exchanged));
      product = Field::reduce(Field::mul(product, exchanged));
    }
    typename Field::Stored lanes[LANES];
    product.scatter([&](int lane) -> typename Field::Stored& { return lanes[lane]; });
    const Single whole = Field::unpack(lanes[0]);
    if (whole.isZero()) return false;
    inverse = Field::mul(others, Field::broadcast(Field::pack(Single::inverse(whole))));
    return true;
  }

  void move(u32 from, u32 to) {
    lefts[to] = lefts[from];
    rights[to] = rights[from];
    places[to] = places[from];
  }

  /** Takes out the additions for which the formula does not hold: of equal or opposite points. Their groups are summed anew at the end. */
  template <class Source>
  u32 withoutEqualAbscissas(const Source& source, u32 count) {
    u32 kept = 0;
    typename Field::Stored lanes[LANES];
    for (u32 at = 0; at < count; at++) {
      const u32 lane = at % LANES;
      if (lane == 0) Field::reduce(deltas[at / LANES]).scatter([&](int to) -> auto& { return lanes[to]; });
      if (Field::unpack(lanes[lane]).isZero()) {
        isSpecial[groupOf[places[at]]] = 1;
        copy(source, lefts[at], made[places[at]]);
      } else {
        move(at, kept++);
      }
    }
    return kept;
  }

  template <class Source>
  void finishBatch(const Source& source, u32 vectors) {
    for (u32 vector = vectors; vector-- > 0;) {
      const u32 *left = &lefts[vector * LANES], *right = &rights[vector * LANES], *place = &places[vector * LANES];
      const Field inverseOfDelta = Field::mul(inverse, products[vector]);
      inverse = Field::mul(inverse, deltas[vector]);
      const Field ya = source.ordinates(left), yb = source.ordinates(right);
      Field slope = Field::mul(Field::factor(yb, ya), inverseOfDelta);
      const Field xa = source.abscissas(left);
      // slope² - xa - xb, without another look for xb.
      Field x = Field::subReduced(Field::sqr(slope), xa, deltas[vector]);
      Field y = Field::subReduced(Field::mul(slope, Field::sub(xa, x)), ya);
      x.scatter([&](int lane) -> typename Field::Stored& { return made[place[lane]].x; });
      y.scatter([&](int lane) -> typename Field::Stored& { return made[place[lane]].y; });
    }
  }

  /** Groups that met equal or opposite points, one by one. */
  template <class Source, class Each>
  void sumCarefully(const Source& table, u32 groups, const Each& each, Stored* sums, u8* present) {
    u32 specials = 0;
    Array<u32> totalOf(groups);
    for (u32 g = 0; g < groups; g++) totalOf[g] = isSpecial[g] != 0 ? specials++ : NONE;
    Array<Point<Single>> totals(specials);
    totals.fill(Point<Single>::infinity());
    each([&](u32 group, u32 reference) {
      if (totalOf[group] == NONE) return;
      const Affine<Single> point{Field::unpack(table.x(reference)), Field::unpack(table.y(reference))};
      Point<Single>& total = totals[totalOf[group]];
      total = Point<Single>::add(total, table.isNegated(reference) ? Affine<Single>::neg(point) : point);
    });
    for (u32 g = 0; g < groups; g++) {
      if (totalOf[g] == NONE) continue;
      const Point<Single>& total = totals[totalOf[g]];
      present[g] = total.isInfinity() ? 0 : 1;
      if (present[g] != 0) sums[g] = pack(total.affine());
    }
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
