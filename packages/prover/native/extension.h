// The quadratic extension of the base field, u² = -1, over any of the representations of it.
#pragma once
#include "types.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** One element at a time, over Element. */
template <class Field>
struct SingleExtension {
  Field c0, c1;

  static SingleExtension zero() { return {Field::zero(), Field::zero()}; }
  static SingleExtension one() { return {Field::one(), Field::zero()}; }
  bool isZero() const { return c0.isZero() && c1.isZero(); }
  static bool equal(const SingleExtension& a, const SingleExtension& b) {
    return Field::equal(a.c0, b.c0) && Field::equal(a.c1, b.c1);
  }
  static SingleExtension add(const SingleExtension& a, const SingleExtension& b) {
    return {Field::add(a.c0, b.c0), Field::add(a.c1, b.c1)};
  }
  static SingleExtension sub(const SingleExtension& a, const SingleExtension& b) {
    return {Field::sub(a.c0, b.c0), Field::sub(a.c1, b.c1)};
  }
  static SingleExtension neg(const SingleExtension& a) { return {Field::neg(a.c0), Field::neg(a.c1)}; }
  static SingleExtension dbl(const SingleExtension& a) { return add(a, a); }
  /** Three products instead of four (Karatsuba). */
  static SingleExtension mul(const SingleExtension& a, const SingleExtension& b) {
    Field low = Field::mul(a.c0, b.c0), high = Field::mul(a.c1, b.c1);
    Field both = Field::mul(Field::add(a.c0, a.c1), Field::add(b.c0, b.c1));
    return {Field::sub(low, high), Field::sub(Field::sub(both, low), high)};
  }
  static SingleExtension sqr(const SingleExtension& a) {
    return {Field::mul(Field::add(a.c0, a.c1), Field::sub(a.c0, a.c1)), Field::dbl(Field::mul(a.c0, a.c1))};
  }
  /** (c0 - c1·u) / (c0² + c1²). */
  static SingleExtension inverse(const SingleExtension& a) {
    Field norm = Field::inverse(Field::add(Field::sqr(a.c0), Field::sqr(a.c1)));
    return {Field::mul(a.c0, norm), Field::neg(Field::mul(a.c1, norm))};
  }
};

/** The same for the vectors of a backend: VectorElement or SingleElement. */
template <class Field>
struct VectorExtension {
  using Single = SingleExtension<typename Field::Single>;
  static constexpr int LANES = Field::LANES;

  Field c0, c1;

  struct Stored {
    typename Field::Stored c0, c1;
  };

  static BITCLOAK_INLINE VectorExtension add(const VectorExtension& a, const VectorExtension& b) {
    return {Field::add(a.c0, b.c0), Field::add(a.c1, b.c1)};
  }
  static BITCLOAK_INLINE VectorExtension sub(const VectorExtension& a, const VectorExtension& b) {
    return {Field::sub(a.c0, b.c0), Field::sub(a.c1, b.c1)};
  }
  /** Its products are sums of two, which must not become too large. */
  static BITCLOAK_INLINE VectorExtension factor(const VectorExtension& a, const VectorExtension& b) {
    return subReduced(a, b);
  }
  static BITCLOAK_INLINE VectorExtension subReduced(const VectorExtension& a, const VectorExtension& b) {
    return {Field::subReduced(a.c0, b.c0), Field::subReduced(a.c1, b.c1)};
  }
  static BITCLOAK_INLINE VectorExtension subReduced(const VectorExtension& a, const VectorExtension& b,
                                                    const VectorExtension& c) {
    return {Field::subReduced(a.c0, b.c0, c.c0), Field::subReduced(a.c1, b.c1, c.c1)};
  }
  static BITCLOAK_INLINE VectorExtension reduce(const VectorExtension& a) {
    return {Field::reduce(a.c0), Field::reduce(a.c1)};
  }
  /** Two reductions, of sums of two products each. */
  static VectorExtension mul(const VectorExtension& a, const VectorExtension& b) {
    return {Field::mulSum(a.c0, b.c0, Field::neg(a.c1), b.c1), Field::mulSum(a.c0, b.c1, a.c1, b.c0)};
  }
  static VectorExtension sqr(const VectorExtension& a) {
    const Field c0 = Field::reduce(a.c0), c1 = Field::reduce(a.c1);
    return {Field::mul(Field::add(c0, c1), Field::sub(c0, c1)), Field::dbl(Field::mul(c0, c1))};
  }

  static Stored pack(const Single& a) { return {Field::pack(a.c0), Field::pack(a.c1)}; }
  static Single unpack(const Stored& a) { return {Field::unpack(a.c0), Field::unpack(a.c1)}; }
  static BITCLOAK_INLINE VectorExtension broadcast(const Stored& a) {
    return {Field::broadcast(a.c0), Field::broadcast(a.c1)};
  }
  template <class At>
  static BITCLOAK_INLINE VectorExtension gather(const At& at) {
    return {Field::gather([&](int lane) -> const typename Field::Stored& { return at(lane).c0; }),
            Field::gather([&](int lane) -> const typename Field::Stored& { return at(lane).c1; })};
  }
  template <class At>
  BITCLOAK_INLINE void scatter(const At& at) const {
    c0.scatter([&](int lane) -> typename Field::Stored& { return at(lane).c0; });
    c1.scatter([&](int lane) -> typename Field::Stored& { return at(lane).c1; });
  }
  BITCLOAK_INLINE VectorExtension negatedWhereOdd(const u32* references) const {
    return {c0.negatedWhereOdd(references), c1.negatedWhereOdd(references)};
  }
  BITCLOAK_INLINE VectorExtension swapped(int distance) const { return {c0.swapped(distance), c1.swapped(distance)}; }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
