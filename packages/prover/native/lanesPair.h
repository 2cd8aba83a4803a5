// Two vectors as one: a product is a long chain of operations that wait for each other, and two of them side by side keep the processor busy.
#pragma once
#include "types.h"

namespace bitcloak::BITCLOAK_BACKEND {

template <class Half>
struct PairLanes {
  struct Number {
    typename Half::Number a, b;
  };
  static constexpr bool IS_COLUMN_WISE = Half::IS_COLUMN_WISE;
  static constexpr int LANES = 2 * Half::LANES;

  static BITCLOAK_INLINE Number broadcast(double value) { return {Half::broadcast(value), Half::broadcast(value)}; }
  static BITCLOAK_INLINE Number add(const Number& x, const Number& y) { return {Half::add(x.a, y.a), Half::add(x.b, y.b)}; }
  static BITCLOAK_INLINE Number sub(const Number& x, const Number& y) { return {Half::sub(x.a, y.a), Half::sub(x.b, y.b)}; }
  static BITCLOAK_INLINE Number mul(const Number& x, const Number& y) { return {Half::mul(x.a, y.a), Half::mul(x.b, y.b)}; }
  static BITCLOAK_INLINE Number fma(const Number& x, const Number& y, const Number& z) {
    return {Half::fma(x.a, y.a, z.a), Half::fma(x.b, y.b, z.b)};
  }

  static BITCLOAK_INLINE Number addWhole(const Number& x, const Number& y) {
    return {Half::addWhole(x.a, y.a), Half::addWhole(x.b, y.b)};
  }

  template <class At>
  static BITCLOAK_INLINE void gather(Number (&limbs)[5], const At& at) {
    typename Half::Number lower[5], upper[5];
    Half::gather(lower, at);
    Half::gather(upper, [&](int lane) BITCLOAK_LAMBDA { return at(lane + Half::LANES); });
    for (int i = 0; i < 5; i++) limbs[i] = {lower[i], upper[i]};
  }

  template <class At>
  static BITCLOAK_INLINE void scatter(const Number (&limbs)[5], const At& at) {
    typename Half::Number lower[5], upper[5];
    for (int i = 0; i < 5; i++) {
      lower[i] = limbs[i].a;
      upper[i] = limbs[i].b;
    }
    Half::scatter(lower, at);
    Half::scatter(upper, [&](int lane) BITCLOAK_LAMBDA { return at(lane + Half::LANES); });
  }

  static BITCLOAK_INLINE Number signsOf(const u32* references) {
    return {Half::signsOf(references), Half::signsOf(references + Half::LANES)};
  }
  static BITCLOAK_INLINE Number flip(const Number& x, const Number& signs) {
    return {Half::flip(x.a, signs.a), Half::flip(x.b, signs.b)};
  }

  static BITCLOAK_INLINE Number swapped(const Number& x, int distance) {
    return distance == Half::LANES ? Number{x.b, x.a} : Number{Half::swapped(x.a, distance), Half::swapped(x.b, distance)};
  }
  static BITCLOAK_INLINE Number negatedUpper(const Number& x, int distance) {
    if (distance == Half::LANES) return {x.a, Half::sub(Half::broadcast(0), x.b)};
    return {Half::negatedUpper(x.a, distance), Half::negatedUpper(x.b, distance)};
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
