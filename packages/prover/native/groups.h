// Sums of many small groups of points. Within each group points are added in pairs, round after round; all additions of a round are independent,
// so they share inversions (Montgomery's trick) and fill vectors. An affine addition then costs five products and a square, and no two additions
// ever meet in one bucket. The first round takes a pair as soon as it is met, in the order of the table: so what is read is near to what was read
// before, and not anywhere in a table larger than the nearest caches.
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

/** Points by their references: twice a number, plus 1 for the negated one. Each point of a table has two numbers. */
template <class Field>
struct TableSource {
  const TablePoint<Field>* points;

  const typename Field::Stored& x(u32 reference) const { return points[reference >> 2].x[(reference >> 1) & 1]; }
  const typename Field::Stored& y(u32 reference) const { return points[reference >> 2].y; }
};

template <class Field>
struct SumSource {
  const StoredPoint<Field>* points;

  const typename Field::Stored& x(u32 reference) const { return points[reference >> 1].x; }
  const typename Field::Stored& y(u32 reference) const { return points[reference >> 1].y; }
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
      : first(pointsMax / 2 + groupsMax),
        second(pointsMax / 4 + groupsMax),
        jobs(BATCH + LANES),
        deltas(BATCH / LANES + 1),
        products(BATCH / LANES + 1),
        begins(groupsMax),
        counts(groupsMax),
        ends(groupsMax),
        unpaired(groupsMax),
        isSpecial(groupsMax) {}

  /**
   * Sums of groups of points. `each(visit)` calls `visit(group, reference)` for all of them, whenever it is called. sums[g] is written where present[g]
   * becomes 1: not for a group without points, or one whose sum is infinity.
   */
  template <class Source, class Each>
  void sum(const Source& table, u32 groups, const Each& each, Stored* sums, u8* present) {
    addFirstPairs(table, groups, each);
    Stored *source = first.data(), *target = second.data();
    while (addPairs({source}, groups, target)) {
      Stored* const done = source;
      source = target;
      target = done;
    }
    bool isAnySpecial = false;
    for (u32 g = 0; g < groups; g++) {
      present[g] = counts[g] == 0 ? 0 : 1;
      if (counts[g] > 0) sums[g] = source[begins[g]];
      isAnySpecial = isAnySpecial || isSpecial[g] != 0;
    }
    if (isAnySpecial) sumCarefully(table, groups, each, sums, present);
  }

  static Affine<Single> unpack(const Stored& point) { return {Field::unpack(point.x), Field::unpack(point.y)}; }
  static Stored pack(const Affine<Single>& point) { return {Field::pack(point.x), Field::pack(point.y)}; }

 private:
  /** The sum of the points a and b of the source, for the place `out` of the target. */
  struct Job {
    u32 a, b, out, group;
  };

  static constexpr u32 NONE = ~u32{0};

  Array<Stored> first, second;
  Array<Job> jobs;
  u32 waiting = 0;
  Array<Field> deltas, products;
  /** Where a group's points are, how many, and where the next sum goes. */
  Array<u32> begins, counts, ends;
  /** In the first round, a point that waits for another of its group. */
  Array<u32> unpaired;
  Array<u8> isSpecial;
  /** Of the last vector's products, for each lane. */
  typename Field::Stored inverses[LANES];

  template <class Source, class Each>
  void addFirstPairs(const Source& table, u32 groups, const Each& each) {
    for (u32 g = 0; g < groups; g++) counts[g] = 0;
    each([&](u32 group, u32) BITCLOAK_LAMBDA { counts[group]++; });
    u32 next = 0;
    for (u32 g = 0; g < groups; g++) {
      begins[g] = ends[g] = next;
      counts[g] -= counts[g] / 2;
      next += counts[g];
      unpaired[g] = NONE;
      isSpecial[g] = 0;
    }
    each([&](u32 group, u32 reference) BITCLOAK_LAMBDA {
      // Without a branch, which nobody could predict.
      const u32 other = unpaired[group], isPair = other == NONE ? 0 : 1;
      unpaired[group] = isPair != 0 ? NONE : reference;
      jobs[waiting] = {other, reference, ends[group], group};
      ends[group] += isPair;
      waiting += isPair;
      if (waiting == BATCH) finishAdding(table, first.data());
    });
    finishAdding(table, first.data());
    for (u32 g = 0; g < groups; g++) {
      if (unpaired[g] != NONE) copy(table, unpaired[g], first[ends[g]]);
    }
  }

  /** One round; false where no group had a pair. */
  bool addPairs(const SumSource<Field>& source, u32 groups, Stored* target) {
    bool any = false;
    for (u32 g = 0; g < groups && !any; g++) any = counts[g] > 1;
    if (!any) return false;
    u32 next = 0;
    for (u32 g = 0; g < groups; g++) {
      const u32 begin = begins[g], count = counts[g];
      begins[g] = next;
      counts[g] = count - count / 2;
      for (u32 at = begin; at + 1 < begin + count; at += 2) {
        jobs[waiting++] = {2 * at, 2 * at + 2, next++, g};
        if (waiting == BATCH) finishAdding(source, target);
      }
      if (count % 2 == 1) target[next++] = source.points[begin + count - 1];
    }
    finishAdding(source, target);
    return true;
  }

  template <class Source>
  BITCLOAK_APART void finishAdding(const Source& source, Stored* target) {
    while (waiting > 0 && !invertProduct(source, waiting)) waiting = withoutEqualAbscissas(source, target, waiting);
    finishBatch(source, target, (waiting + LANES - 1) / LANES);
    waiting = 0;
  }

  template <class Source>
  static void copy(const Source& source, u32 from, Stored& target) {
    target.x = source.x(from);
    const Field y = Field::gather([&](int) -> const typename Field::Stored& { return source.y(from); });
    const Field ordinate = y.negatedWhereOdd([&](int) { return from; });
    ordinate.scatter([&](int) -> typename Field::Stored& { return target.y; });
  }

  /** The products of all that is to be inverted, up to each vector; false where one of them is 0. */
  template <class Source>
  bool invertProduct(const Source& source, u32 count) {
    // The last vector is filled up with its last job: the same sum is written to the same place twice.
    const u32 vectors = (count + LANES - 1) / LANES;
    for (u32 at = count; at < vectors * LANES; at++) jobs[at] = jobs[count - 1];
    Field product = Field::broadcast(Field::pack(Single::one()));
    for (u32 vector = 0; vector < vectors; vector++) {
      const Job* job = &jobs[vector * LANES];
      Field a = Field::gather([&](int lane) -> const typename Field::Stored& { return source.x(job[lane].a); });
      Field b = Field::gather([&](int lane) -> const typename Field::Stored& { return source.x(job[lane].b); });
      deltas[vector] = Field::factor(b, a);
      products[vector] = product;
      product = Field::mul(product, deltas[vector]);
    }
    typename Field::Stored lanes[LANES];
    product.scatter([&](int lane) -> typename Field::Stored& { return lanes[lane]; });
    Single singles[LANES], before[LANES], whole = Single::one();
    for (u32 lane = 0; lane < LANES; lane++) {
      singles[lane] = Field::unpack(lanes[lane]);
      before[lane] = whole;
      whole = Single::mul(whole, singles[lane]);
    }
    if (whole.isZero()) return false;
    whole = Single::inverse(whole);
    for (u32 lane = LANES; lane-- > 0;) {
      inverses[lane] = Field::pack(Single::mul(whole, before[lane]));
      whole = Single::mul(whole, singles[lane]);
    }
    return true;
  }

  /** Takes out the jobs for which the formula does not hold: a doubling, or opposite points. Their groups are summed anew at the end. */
  template <class Source>
  u32 withoutEqualAbscissas(const Source& source, Stored* target, u32 count) {
    u32 kept = 0;
    for (u32 at = 0; at < count; at++) {
      const Job job = jobs[at];
      const bool isEqual =
          Single::equal(Field::unpack(source.x(job.a)), Field::unpack(source.x(job.b)));
      if (isEqual) {
        isSpecial[job.group] = 1;
        copy(source, job.a, target[job.out]);
      } else {
        jobs[kept++] = job;
      }
    }
    return kept;
  }

  template <class Source>
  void finishBatch(const Source& source, Stored* target, u32 vectors) {
    Field inverse = Field::gather([&](int lane) -> const typename Field::Stored& { return inverses[lane]; });
    for (u32 vector = vectors; vector-- > 0;) {
      const Job* job = &jobs[vector * LANES];
      const Field inverseOfDelta = Field::mul(inverse, products[vector]);
      inverse = Field::mul(inverse, deltas[vector]);
      Field ya = Field::gather([&](int lane) -> const typename Field::Stored& { return source.y(job[lane].a); })
                     .negatedWhereOdd([&](int lane) { return job[lane].a; });
      Field yb = Field::gather([&](int lane) -> const typename Field::Stored& { return source.y(job[lane].b); })
                     .negatedWhereOdd([&](int lane) { return job[lane].b; });
      Field slope = Field::mul(Field::factor(yb, ya), inverseOfDelta);
      Field xa = Field::gather([&](int lane) -> const typename Field::Stored& { return source.x(job[lane].a); });
      Field xb = Field::gather([&](int lane) -> const typename Field::Stored& { return source.x(job[lane].b); });
      Field x = Field::subReduced(Field::sqr(slope), xa, xb);
      Field y = Field::subReduced(Field::mul(slope, Field::sub(xa, x)), ya);
      x.scatter([&](int lane) -> typename Field::Stored& { return target[job[lane].out].x; });
      y.scatter([&](int lane) -> typename Field::Stored& { return target[job[lane].out].y; });
    }
  }

  /** Groups that met equal or opposite points, one by one. */
  template <class Source, class Each>
  void sumCarefully(const Source& table, u32 groups, const Each& each, Stored* sums, u8* present) {
    u32 specials = 0;
    for (u32 g = 0; g < groups; g++) ends[g] = isSpecial[g] != 0 ? specials++ : NONE;
    Array<Point<Single>> totals(specials);
    totals.fill(Point<Single>::infinity());
    each([&](u32 group, u32 reference) {
      if (ends[group] == NONE) return;
      const Affine<Single> point{Field::unpack(table.x(reference)), Field::unpack(table.y(reference))};
      Point<Single>& total = totals[ends[group]];
      total = Point<Single>::add(total, (reference & 1) != 0 ? Affine<Single>::neg(point) : point);
    });
    for (u32 g = 0; g < groups; g++) {
      if (ends[g] == NONE) continue;
      const Point<Single>& total = totals[ends[g]];
      present[g] = total.isInfinity() ? 0 : 1;
      if (present[g] != 0) sums[g] = pack(total.affine());
    }
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
