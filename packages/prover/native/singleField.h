// What the vectors of vectorField.h are to their backends, for one element at a time: the same functions over scalarField.h.
#pragma once
#include "productSum.h"

namespace bitcloak::BITCLOAK_BACKEND {

template <class Modulus>
struct SingleElement {
  using Single = Element<Modulus>;
  using Stored = Single;
  static constexpr int LANES = 1;
  static constexpr u32 RADIX_BITS = 256;
  static constexpr u32 STAGES_PER_REDUCTION = 32;

  Single value;

  static BITCLOAK_INLINE SingleElement add(const SingleElement& a, const SingleElement& b) {
    return {Single::add(a.value, b.value)};
  }
  static BITCLOAK_INLINE SingleElement sub(const SingleElement& a, const SingleElement& b) {
    return {Single::sub(a.value, b.value)};
  }
  static BITCLOAK_INLINE SingleElement neg(const SingleElement& a) { return {Single::neg(a.value)}; }
  /** a - b, to be multiplied with what may be large: the extension has another one. */
  static BITCLOAK_INLINE SingleElement factor(const SingleElement& a, const SingleElement& b) { return sub(a, b); }

  static BITCLOAK_INLINE SingleElement dbl(const SingleElement& a) { return {Single::dbl(a.value)}; }
  static BITCLOAK_INLINE SingleElement mul(const SingleElement& a, const SingleElement& b) {
    return {Single::mul(a.value, b.value)};
  }
  static BITCLOAK_APART SingleElement mulSum(const SingleElement& a, const SingleElement& b, const SingleElement& c,
                                             const SingleElement& d) {
    ProductSum<Modulus> sum;
    sum.add(a.value, b.value);
    sum.add(c.value, d.value);
    return {sum.reduced()};
  }
  static BITCLOAK_INLINE SingleElement sqr(const SingleElement& a) { return {Single::sqr(a.value)}; }
  static BITCLOAK_INLINE SingleElement subReduced(const SingleElement& a, const SingleElement& b,
                                                  const SingleElement& c) {
    return sub(sub(sub(a, b), b), c);
  }
  static BITCLOAK_INLINE SingleElement subReduced(const SingleElement& a, const SingleElement& b) { return sub(a, b); }
  static BITCLOAK_INLINE SingleElement reduce(const SingleElement& a) { return a; }

  static Stored pack(const Single& a) { return a; }
  /** Of a plain number: it is not times 2^RADIX_BITS. */
  static Stored packNumber(const Words& number) { return Single::of(number); }
  static Single unpack(const Stored& a) { return a; }
  static BITCLOAK_INLINE SingleElement broadcast(const Stored& a) { return {a}; }
  template <class At>
  static BITCLOAK_INLINE SingleElement gather(const At& at) {
    return {at(0)};
  }
  template <class At>
  BITCLOAK_INLINE void scatter(const At& at) const {
    at(0) = value;
  }
  BITCLOAK_INLINE SingleElement negatedWhereOdd(const u32* references) const {
    return (*references & 1) != 0 ? neg(*this) : *this;
  }
  BITCLOAK_INLINE SingleElement swapped(int) const { return *this; }
  BITCLOAK_INLINE SingleElement negatedUpper(int) const { return *this; }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
