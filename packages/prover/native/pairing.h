// The optimal ate pairing over BN254 (Vercauteren, "Optimal Pairings", 2010; Beuchat et al., "High-Speed Software Implementation of the Optimal Ate
// Pairing over Barreto-Naehrig Curves", 2010), as far as a product of pairings is compared with 1: to verify our own proofs.
#pragma once
#include "curve.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** xi = 9 + u, which is neither a square nor a cube: the extension of degree 12 is that by w with w^6 = xi. */
inline Extension xi() { return {Base::fromNumber({{9, 0, 0, 0}}), Base::one()}; }

inline Extension timesXi(const Extension& a) {
  const auto nine = [](const Base& x) { return Base::add(Base::dbl(Base::dbl(Base::dbl(x))), x); };
  return {Base::sub(nine(a.c0), a.c1), Base::add(nine(a.c1), a.c0)};
}

/** Σ c[i]·w^i. */
struct Target {
  Extension c[6];

  static Target one() {
    Target result;
    for (Extension& part : result.c) part = Extension::zero();
    result.c[0] = Extension::one();
    return result;
  }

  bool isOne() const {
    for (int i = 1; i < 6; i++) {
      if (!c[i].isZero()) return false;
    }
    return Extension::equal(c[0], Extension::one());
  }

  static Target mul(const Target& a, const Target& b) {
    Extension products[11];
    for (Extension& product : products) product = Extension::zero();
    for (int i = 0; i < 6; i++) {
      if (a.c[i].isZero()) continue;
      for (int j = 0; j < 6; j++) {
        if (!b.c[j].isZero()) products[i + j] = Extension::add(products[i + j], Extension::mul(a.c[i], b.c[j]));
      }
    }
    Target result;
    for (int i = 0; i < 6; i++) {
      result.c[i] = i < 5 ? Extension::add(products[i], timesXi(products[i + 6])) : products[i];
    }
    return result;
  }

  /** To the power of P^6: w^(P^6) = -w. */
  static Target conjugate(const Target& a) {
    Target result = a;
    for (int i = 1; i < 6; i += 2) result.c[i] = Extension::neg(a.c[i]);
    return result;
  }

  /** a^-1 = conjugate(a)·(a·conjugate(a))^-1, whose second factor has only even powers of w: three parts over v = w². */
  static Target inverse(const Target& a) {
    const Target norm = mul(a, conjugate(a));
    const Extension &x = norm.c[0], &y = norm.c[2], &z = norm.c[4];
    // The inverse of x + y·v + z·v² with v³ = xi, by cofactors.
    const Extension s = Extension::sub(Extension::sqr(x), timesXi(Extension::mul(y, z)));
    const Extension t = Extension::sub(timesXi(Extension::sqr(z)), Extension::mul(x, y));
    const Extension q = Extension::sub(Extension::sqr(y), Extension::mul(x, z));
    const Extension determinant = Extension::add(
        Extension::mul(x, s), timesXi(Extension::add(Extension::mul(z, t), Extension::mul(y, q))));
    const Extension factor = Extension::inverse(determinant);
    Target result;
    for (Extension& part : result.c) part = Extension::zero();
    result.c[0] = Extension::mul(s, factor);
    result.c[2] = Extension::mul(t, factor);
    result.c[4] = Extension::mul(q, factor);
    return mul(conjugate(a), result);
  }
};

inline Extension power(const Extension& a, const Words& exponent) {
  Extension result = Extension::one();
  for (int bit = 255; bit >= 0; bit--) {
    result = Extension::sqr(result);
    if ((exponent.w[bit / 64] >> (bit % 64)) & 1) result = Extension::mul(result, a);
  }
  return result;
}

constexpr Words dividedBySix(const Words& number) {
  Words result{};
  u64 rest = 0;
  // Sixteen bits at a time, so that the rest and the next bits fit into a word.
  for (int i = 15; i >= 0; i--) {
    const u64 part = rest << 16 | ((number.w[i / 4] >> (16 * (i % 4))) & 0xffff);
    result.w[i / 4] |= (part / 6) << (16 * (i % 4));
    rest = part % 6;
  }
  return result;
}

class PairingProduct {
 public:
  static constexpr int PAIRS = 4;
  using G1Point = Affine<Base>;
  using G2Point = Affine<Extension>;

  /** Whether the product of the pairings of g1[i] and g2[i] is 1. No point may be infinity, and those of G2 must be of its subgroup. */
  static bool isOne(const G1Point (&g1)[PAIRS], const G2Point (&g2)[PAIRS]) {
    return finalPower(millerLoop(g1, g2)).isOne();
  }

 private:
  /** xi^((P - 1)/6)^i: w^(i·P) = frobenius(i)·w^i. */
  static Extension frobenius(int power_) {
    // P = 1 mod 6.
    constexpr Words EXPONENT = dividedBySix(minus(BaseModulus::P, {{1, 0, 0, 0}}));
    static const Extension FACTOR = power(xi(), EXPONENT);
    Extension result = Extension::one();
    for (int i = 0; i < power_; i++) result = Extension::mul(result, FACTOR);
    return result;
  }

  static Extension conjugate(const Extension& a) { return {a.c0, Base::neg(a.c1)}; }

  /** (x, y) of the twist stands for (x·w², y·w³) of the curve: the P-th powers of these, brought back. */
  static G2Point frobeniusOf(const G2Point& a) {
    return {Extension::mul(conjugate(a.x), frobenius(2)), Extension::mul(conjugate(a.y), frobenius(3))};
  }

  /** f times the lines through t[i] with the slopes' numerators and denominators, at g1[i]; the third points of these lines, negated, become t[i]. */
  static Target step(const Target& f, const G1Point (&g1)[PAIRS], G2Point (&t)[PAIRS], const Extension (&numerators)[PAIRS],
                     const Extension (&denominators)[PAIRS], const G2Point (&others)[PAIRS]) {
    Extension products[PAIRS + 1];
    products[0] = Extension::one();
    for (int i = 0; i < PAIRS; i++) products[i + 1] = Extension::mul(products[i], denominators[i]);
    Extension inverse = Extension::inverse(products[PAIRS]);
    Target result = f;
    for (int i = PAIRS - 1; i >= 0; i--) {
      const Extension slope = Extension::mul(numerators[i], Extension::mul(inverse, products[i]));
      inverse = Extension::mul(inverse, denominators[i]);
      Target line;
      for (Extension& part : line.c) part = Extension::zero();
      line.c[0] = {g1[i].y, Base::zero()};
      line.c[1] = Extension::neg({Base::mul(slope.c0, g1[i].x), Base::mul(slope.c1, g1[i].x)});
      line.c[3] = Extension::sub(Extension::mul(slope, t[i].x), t[i].y);
      result = Target::mul(result, line);
      const Extension x = Extension::sub(Extension::sub(Extension::sqr(slope), t[i].x), others[i].x);
      t[i] = {x, Extension::sub(Extension::mul(slope, Extension::sub(t[i].x, x)), t[i].y)};
    }
    return result;
  }

  static Target doubleAll(const Target& f, const G1Point (&g1)[PAIRS], G2Point (&t)[PAIRS]) {
    Extension numerators[PAIRS], denominators[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
      const Extension square = Extension::sqr(t[i].x);
      numerators[i] = Extension::add(Extension::dbl(square), square);
      denominators[i] = Extension::dbl(t[i].y);
    }
    G2Point same[PAIRS];
    for (int i = 0; i < PAIRS; i++) same[i] = t[i];
    return step(f, g1, t, numerators, denominators, same);
  }

  static Target addAll(const Target& f, const G1Point (&g1)[PAIRS], G2Point (&t)[PAIRS], const G2Point (&others)[PAIRS]) {
    Extension numerators[PAIRS], denominators[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
      numerators[i] = Extension::sub(others[i].y, t[i].y);
      denominators[i] = Extension::sub(others[i].x, t[i].x);
    }
    return step(f, g1, t, numerators, denominators, others);
  }

  static Target millerLoop(const G1Point (&g1)[PAIRS], const G2Point (&g2)[PAIRS]) {
    // 6·z + 2 for the curve's z = 4965661367192848881, without its highest bit, 2^64.
    constexpr u64 LOOP = 0x9d797039be763ba8;
    G2Point t[PAIRS], others[PAIRS];
    for (int i = 0; i < PAIRS; i++) t[i] = g2[i];
    Target f = Target::one();
    for (int bit = 63; bit >= 0; bit--) {
      f = doubleAll(Target::mul(f, f), g1, t);
      if ((LOOP >> bit) & 1) f = addAll(f, g1, t, g2);
    }
    for (int i = 0; i < PAIRS; i++) others[i] = frobeniusOf(g2[i]);
    f = addAll(f, g1, t, others);
    for (int i = 0; i < PAIRS; i++) others[i] = G2Point::neg(frobeniusOf(others[i]));
    return addAll(f, g1, t, others);
  }

  /** To the power of (P^12 - 1)/r = (P^6 - 1)·(P² + 1)·(P⁴ - P² + 1)/r. */
  static Target finalPower(const Target& f) {
    constexpr u64 HARD[12] = {0xe81bb482ccdf42b1, 0x5abf5cc4f49c36d4, 0xf1154e7e1da014fd, 0xdcc7b44c87cdbacf, 0xaaa441e3954bcf8a, 0x6b887d56d5095f23, 0x79581e16f3fd90c6, 0x3b1b1355d189227d, 0x4e529a5861876f6b, 0x6c0eb522d5b12278, 0x331ec15183177faf, 0x01baaa710b0759ad};
    Target easy = Target::mul(Target::conjugate(f), Target::inverse(f));
    Target square;
    for (int i = 0; i < 6; i++) {
      const Extension factor = frobenius(i);
      square.c[i] = Extension::mul(easy.c[i], Extension::mul(conjugate(factor), factor));
    }
    easy = Target::mul(easy, square);
    Target result = Target::one();
    for (int bit = 767; bit >= 0; bit--) {
      result = Target::mul(result, result);
      if ((HARD[bit / 64] >> (bit % 64)) & 1) result = Target::mul(result, easy);
    }
    return result;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
