// Sums of many small groups of points. Within each group neighbours are added in pairs, round after round; all additions of a round are independent,
// so they share inversions (Montgomery's trick) and fill vectors. An affine addition then costs five products and a square, and no two additions
// ever meet in one bucket.
#pragma once
#include "curve.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** An affine point in a backend's representation; never infinity. */
template <class Field>
struct StoredPoint {
  typename Field::Stored x, y;
};

template <class Field>
class GroupSums {
 public:
  using Single = typename Field::Single;
  using Stored = StoredPoint<Field>;
  static constexpr u32 LANES = static_cast<u32>(Field::LANES);
  /** Additions that share an inversion. */
  static constexpr u32 BATCH = 2048;
  /** Points lie anywhere in a table larger than the nearest caches: those of so many vectors later are asked for in advance. */
  static constexpr u32 AHEAD = 4;

  /** For groups of `referencesMax` points in all. */
  explicit GroupSums(size_t referencesMax, size_t groupsMax)
      : first(referencesMax / 2 + groupsMax),
        second(referencesMax / 2 + groupsMax),
        jobs(BATCH + LANES),
        deltas(BATCH / LANES + 1),
        products(BATCH / LANES + 1),
        begins(groupsMax),
        counts(groupsMax),
        isSpecial(groupsMax) {}

  /**
   * Sums of groups of points of a table. Group g has the references from starts[g] to starts[g + 1]; a reference is twice an index of the table, plus 1
   * for the negated point. sums[g] is written where present[g] becomes 1: not for a group without points, or one whose sum is infinity.
   */
  void sum(const Stored* table, const u32* references, const u32* starts, u32 groups, Stored* sums, u8* present) {
    for (u32 g = 0; g < groups; g++) {
      begins[g] = starts[g];
      counts[g] = starts[g + 1] - starts[g];
      isSpecial[g] = 0;
    }
    const Stored* source = table;
    const u32* sourceReferences = references;
    Stored* target = first.data();
    while (addPairs(source, sourceReferences, groups, target)) {
      source = target;
      sourceReferences = nullptr;
      target = source == first.data() ? second.data() : first.data();
    }
    for (u32 g = 0; g < groups; g++) {
      present[g] = 0;
      if (counts[g] == 0) continue;
      if (isSpecial[g] != 0) {
        present[g] = sumCarefully(table, references, starts[g], starts[g + 1], sums[g]) ? 1 : 0;
        continue;
      }
      present[g] = 1;
      copy(source, sourceReferences == nullptr ? 2 * begins[g] : sourceReferences[begins[g]], sums[g]);
    }
  }

  static Affine<Single> unpack(const Stored& point) { return {Field::unpack(point.x), Field::unpack(point.y)}; }
  static Stored pack(const Affine<Single>& point) { return {Field::pack(point.x), Field::pack(point.y)}; }

 private:
  /** The sum of the points a and b of the source, for the place `out` of the target. */
  struct Job {
    u32 a, b, out, group;
  };

  Array<Stored> first, second;
  Array<Job> jobs;
  Array<Field> deltas, products;
  Array<u32> begins, counts;
  Array<u8> isSpecial;
  /** Of the last vector's products, for each lane. */
  typename Field::Stored inverses[LANES];

  /** One round; false where no group had a pair. */
  bool addPairs(const Stored* source, const u32* references, u32 groups, Stored* target) {
    bool any = false;
    for (u32 g = 0; g < groups && !any; g++) any = counts[g] > 1;
    if (!any) return false;
    u32 next = 0, waiting = 0;
    for (u32 g = 0; g < groups; g++) {
      const u32 begin = begins[g], count = counts[g];
      begins[g] = next;
      counts[g] = count - count / 2;
      for (u32 pair = 0; pair < count / 2; pair++) {
        const u32 at = begin + 2 * pair;
        jobs[waiting++] = {reference(references, at), reference(references, at + 1), next++, g};
        if (waiting == BATCH) {
          addBatch(source, target, waiting);
          waiting = 0;
        }
      }
      if (count % 2 == 1) copy(source, reference(references, begin + count - 1), target[next++]);
    }
    if (waiting > 0) addBatch(source, target, waiting);
    return true;
  }

  static BITCLOAK_INLINE u32 reference(const u32* references, u32 at) {
    return references == nullptr ? 2 * at : references[at];
  }

  static void copy(const Stored* source, u32 from, Stored& target) {
    target = source[from >> 1];
    if ((from & 1) != 0) {
      Field y = Field::gather([&](int) -> const typename Field::Stored& { return source[from >> 1].y; });
      Field negated = y.negatedWhereOdd([](int) { return u32{1}; });
      negated.scatter([&](int) -> typename Field::Stored& { return target.y; });
    }
  }

  void addBatch(const Stored* source, Stored* target, u32 count) {
    while (!invertProduct(source, count)) {
      count = withoutEqualAbscissas(source, target, count);
      if (count == 0) return;
    }
    finishBatch(source, target, (count + LANES - 1) / LANES);
  }

  /** The products of all that is to be inverted, up to each vector; false where one of them is 0. */
  bool invertProduct(const Stored* source, u32 count) {
    // The last vector is filled up with its last job: the same sum is written to the same place twice.
    const u32 vectors = (count + LANES - 1) / LANES;
    for (u32 at = count; at < vectors * LANES; at++) jobs[at] = jobs[count - 1];
    Field product = Field::broadcast(Field::pack(Single::one()));
    for (u32 vector = 0; vector < vectors; vector++) {
      const Job* job = &jobs[vector * LANES];
      if (vector + AHEAD < vectors) {
        for (u32 lane = 0; lane < LANES; lane++) {
          __builtin_prefetch(&source[job[AHEAD * LANES + lane].a >> 1]);
          __builtin_prefetch(&source[job[AHEAD * LANES + lane].b >> 1]);
        }
      }
      Field a = Field::gather([&](int lane) -> const typename Field::Stored& { return source[job[lane].a >> 1].x; });
      Field b = Field::gather([&](int lane) -> const typename Field::Stored& { return source[job[lane].b >> 1].x; });
      deltas[vector] = Field::factor(b, a);
      products[vector] = product;
      product = Field::mul(product, deltas[vector]);
    }
    typename Field::Stored lanes[LANES];
    product.scatter([&](int lane) -> typename Field::Stored& { return lanes[lane]; });
    Single singles[LANES], whole = Single::one();
    for (u32 lane = 0; lane < LANES; lane++) {
      singles[lane] = Field::unpack(lanes[lane]);
      whole = Single::mul(whole, singles[lane]);
    }
    if (whole.isZero()) return false;
    whole = Single::inverse(whole);
    for (u32 lane = 0; lane < LANES; lane++) {
      Single others = whole;
      for (u32 other = 0; other < LANES; other++) {
        if (other != lane) others = Single::mul(others, singles[other]);
      }
      inverses[lane] = Field::pack(others);
    }
    return true;
  }

  /** Takes out the jobs for which the formula does not hold: a doubling, or opposite points. Their groups are summed anew at the end. */
  u32 withoutEqualAbscissas(const Stored* source, Stored* target, u32 count) {
    u32 kept = 0;
    for (u32 at = 0; at < count; at++) {
      const Job job = jobs[at];
      const bool isEqual =
          Single::equal(Field::unpack(source[job.a >> 1].x), Field::unpack(source[job.b >> 1].x));
      if (isEqual) {
        isSpecial[job.group] = 1;
        target[job.out] = source[job.a >> 1];
      } else {
        jobs[kept++] = job;
      }
    }
    return kept;
  }

  void finishBatch(const Stored* source, Stored* target, u32 vectors) {
    Field inverse = Field::gather([&](int lane) -> const typename Field::Stored& { return inverses[lane]; });
    for (u32 vector = vectors; vector-- > 0;) {
      const Job* job = &jobs[vector * LANES];
      const auto a = [&](int lane) -> const Stored& { return source[job[lane].a >> 1]; };
      const auto b = [&](int lane) -> const Stored& { return source[job[lane].b >> 1]; };
      const Field inverseOfDelta = Field::mul(inverse, products[vector]);
      inverse = Field::mul(inverse, deltas[vector]);
      Field ya = Field::gather([&](int lane) -> const typename Field::Stored& { return a(lane).y; })
                     .negatedWhereOdd([&](int lane) { return job[lane].a; });
      Field yb = Field::gather([&](int lane) -> const typename Field::Stored& { return b(lane).y; })
                     .negatedWhereOdd([&](int lane) { return job[lane].b; });
      Field slope = Field::mul(Field::factor(yb, ya), inverseOfDelta);
      Field xa = Field::gather([&](int lane) -> const typename Field::Stored& { return a(lane).x; });
      Field xb = Field::gather([&](int lane) -> const typename Field::Stored& { return b(lane).x; });
      Field x = Field::subReduced(Field::sqr(slope), xa, xb);
      Field y = Field::subReduced(Field::mul(slope, Field::sub(xa, x)), ya);
      x.scatter([&](int lane) -> typename Field::Stored& { return target[job[lane].out].x; });
      y.scatter([&](int lane) -> typename Field::Stored& { return target[job[lane].out].y; });
    }
  }

  bool sumCarefully(const Stored* table, const u32* references, u32 from, u32 to, Stored& sum) {
    Point<Single> total = Point<Single>::infinity();
    for (u32 at = from; at < to; at++) {
      Affine<Single> point = unpack(table[references[at] >> 1]);
      total = Point<Single>::add(total, (references[at] & 1) != 0 ? Affine<Single>::neg(point) : point);
    }
    if (total.isInfinity()) return false;
    sum = pack(total.affine());
    return true;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
