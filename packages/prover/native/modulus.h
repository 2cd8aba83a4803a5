// The two primes of BN254. All else is derived from them by the compiler.
#pragma once
#include "types.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** 256 bits, the lowest word first. */
struct Words {
  u64 w[4];
};

constexpr bool lessThan(const Words& left, const Words& right) {
  for (int i = 3; i >= 0; i--) {
    if (left.w[i] != right.w[i]) return left.w[i] < right.w[i];
  }
  return false;
}

constexpr bool isZero(const Words& value) { return (value.w[0] | value.w[1] | value.w[2] | value.w[3]) == 0; }

/** left - right modulo 2^256. */
constexpr Words minus(const Words& left, const Words& right) {
  Words result{};
  u64 borrow = 0;
  for (int i = 0; i < 4; i++) {
    u64 difference = left.w[i] - right.w[i];
    u64 next = difference - borrow;
    borrow = static_cast<u64>(left.w[i] < right.w[i]) | static_cast<u64>(difference < borrow);
    result.w[i] = next;
  }
  return result;
}

/** left + right modulo 2^256. */
constexpr Words plus(const Words& left, const Words& right) {
  Words result{};
  u64 carry = 0;
  for (int i = 0; i < 4; i++) {
    u64 sum = left.w[i] + right.w[i];
    u64 next = sum + carry;
    carry = static_cast<u64>(sum < left.w[i]) | static_cast<u64>(next < sum);
    result.w[i] = next;
  }
  return result;
}

constexpr Words halved(const Words& value) {
  Words result{};
  for (int i = 0; i < 4; i++) result.w[i] = (value.w[i] >> 1) | (i < 3 ? value.w[i + 1] << 63 : 0);
  return result;
}

/** 2^exponent·value mod modulus, where value < modulus < 2^255. */
constexpr Words powerOfTwo(int exponent, const Words& modulus, Words value = {{1, 0, 0, 0}}) {
  for (int i = 0; i < exponent; i++) {
    value = plus(value, value);
    if (!lessThan(value, modulus)) value = minus(value, modulus);
  }
  return value;
}

/** value/2 mod modulus, where value < modulus. */
constexpr Words half(const Words& value, const Words& modulus) {
  return halved((value.w[0] & 1) != 0 ? plus(value, modulus) : value);
}

/** 2^-exponent mod modulus. */
constexpr Words inversePowerOfTwo(int exponent, const Words& modulus) {
  Words value{{1, 0, 0, 0}};
  for (int i = 0; i < exponent; i++) value = half(value, modulus);
  return value;
}

/** -1/odd mod 2^64: each Newton step doubles the bits that are right, and an odd number is its own inverse mod 8. */
constexpr u64 negatedInverse(u64 odd) {
  u64 inverse = odd;
  for (int i = 0; i < 5; i++) inverse *= 2 - odd * inverse;
  return 0 - inverse;
}

/** The field of the curve's coordinates. */
struct BaseModulus {
  static constexpr Words P{{0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029}};
};

/** The field of scalars: the order of the groups. */
struct ScalarModulus {
  static constexpr Words P{{0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029}};
};

}  // namespace bitcloak::BITCLOAK_BACKEND
