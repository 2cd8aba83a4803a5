// Points of y² = x³ + b, one at a time, for all that is not worth a vector: every case is handled. The formulas are those of Sutherland's
// (X, Y, ZZ, ZZZ) in the Explicit-Formulas Database (Bernstein, Lange): x = X/ZZ, y = Y/ZZZ, ZZ³ = ZZZ².
#pragma once
#include "extension.h"
#include "scalarField.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** A point as key files hold it: (0, 0), which is on neither curve, stands for infinity. */
template <class Field>
struct Affine {
  Field x, y;

  static Affine infinity() { return {Field::zero(), Field::zero()}; }
  bool isInfinity() const { return x.isZero() && y.isZero(); }
  static Affine neg(const Affine& a) { return {a.x, Field::neg(a.y)}; }
};

template <class Field>
struct Point {
  Field x, y, zz, zzz;

  static Point infinity() { return {Field::one(), Field::one(), Field::zero(), Field::zero()}; }
  bool isInfinity() const { return zz.isZero(); }

  static Point from(const Affine<Field>& a) {
    return a.isInfinity() ? infinity() : Point{a.x, a.y, Field::one(), Field::one()};
  }

  /** Neither curve has a point of order 2 among those of prime order, so y is never 0. */
  static Point dbl(const Point& a) {
    if (a.isInfinity()) return a;
    Field u = Field::dbl(a.y), v = Field::sqr(u), w = Field::mul(u, v), s = Field::mul(a.x, v);
    Field square = Field::sqr(a.x), m = Field::add(Field::dbl(square), square);
    Field x = Field::sub(Field::sqr(m), Field::dbl(s));
    return {x, Field::sub(Field::mul(m, Field::sub(s, x)), Field::mul(w, a.y)), Field::mul(v, a.zz),
            Field::mul(w, a.zzz)};
  }

  static Point add(const Point& a, const Point& b) {
    if (a.isInfinity()) return b;
    if (b.isInfinity()) return a;
    Field u = Field::mul(a.x, b.zz), s = Field::mul(a.y, b.zzz);
    Field p = Field::sub(Field::mul(b.x, a.zz), u), r = Field::sub(Field::mul(b.y, a.zzz), s);
    if (p.isZero()) return r.isZero() ? dbl(a) : infinity();
    Field pp = Field::sqr(p), ppp = Field::mul(p, pp), q = Field::mul(u, pp);
    Field x = Field::sub(Field::sub(Field::sqr(r), ppp), Field::dbl(q));
    Field y = Field::sub(Field::mul(r, Field::sub(q, x)), Field::mul(s, ppp));
    return {x, y, Field::mul(Field::mul(a.zz, b.zz), pp), Field::mul(Field::mul(a.zzz, b.zzz), ppp)};
  }

  static Point add(const Point& a, const Affine<Field>& b) {
    if (b.isInfinity()) return a;
    if (a.isInfinity()) return from(b);
    Field p = Field::sub(Field::mul(b.x, a.zz), a.x), r = Field::sub(Field::mul(b.y, a.zzz), a.y);
    if (p.isZero()) return r.isZero() ? dbl(a) : infinity();
    Field pp = Field::sqr(p), ppp = Field::mul(p, pp), q = Field::mul(a.x, pp);
    Field x = Field::sub(Field::sub(Field::sqr(r), ppp), Field::dbl(q));
    Field y = Field::sub(Field::mul(r, Field::sub(q, x)), Field::mul(a.y, ppp));
    return {x, y, Field::mul(a.zz, pp), Field::mul(a.zzz, ppp)};
  }

  static Point times(const Point& a, const Words& factor) {
    Point result = infinity();
    for (int bit = 255; bit >= 0; bit--) {
      result = dbl(result);
      if ((factor.w[bit / 64] >> (bit % 64)) & 1) result = add(result, a);
    }
    return result;
  }

  Affine<Field> affine() const {
    if (isInfinity()) return Affine<Field>::infinity();
    Field inverse = Field::inverse(zzz);
    // (ZZ/ZZZ)² = 1/ZZ.
    Field root = Field::mul(zz, inverse);
    return {Field::mul(x, Field::sqr(root)), Field::mul(y, inverse)};
  }
};

/** b of the curve: 3. */
constexpr Words CURVE_B{{3, 0, 0, 0}};

inline bool isOnCurve(const Affine<Base>& a) {
  return Base::equal(Base::sqr(a.y), Base::add(Base::mul(Base::sqr(a.x), a.x), Base::fromNumber(CURVE_B)));
}

using Extension = SingleExtension<Base>;

/** On the twist, whose b is 3 / (9 + u): (9 + u)·(y² - x³) = 3 needs no division. */
inline bool isOnCurve(const Affine<Extension>& a) {
  Extension nine{Base::fromNumber({{9, 0, 0, 0}}), Base::one()};
  Extension difference = Extension::sub(Extension::sqr(a.y), Extension::mul(Extension::sqr(a.x), a.x));
  return Extension::equal(Extension::mul(nine, difference), {Base::fromNumber(CURVE_B), Base::zero()});
}

}  // namespace bitcloak::BITCLOAK_BACKEND
