// Poseidon over the scalar field: Grassi, Khovratovich, Rechberger, Roy and Schofnegger, "Poseidon: A New Hash Function for Zero-Knowledge Proof
// Systems" (2021). Partial rounds have sparse matrices (its appendix B); src/poseidonTable.ts derives them.
#pragma once
#include "scalarField.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Arithmetic for machines with products of 64-bit words. */
struct WordArithmetic {
  using Value = Scalar;

  static Value read(const Words& number) { return Scalar::fromNumber(number); }
  static Words write(const Value& a) { return Scalar::toNumber(a); }
  static Value plus(const Value& a, const Value& b) { return Scalar::add(a, b); }
  static Value product(const Value& a, const Value& b) { return Scalar::mul(a, b); }
  static Value multiplyAdd(const Value& a, const Value& b, const Value& c) { return Scalar::add(Scalar::mul(a, b), c); }
  static Value sumOfProducts(const Value* left, const Value* right, u32 count) {
    Value sum = Scalar::mul(left[0], right[0]);
    for (u32 i = 1; i < count; i++) sum = multiplyAdd(left[i], right[i], sum);
    return sum;
  }
};

/** Ten limbs of 28 bits, the lowest first. */
struct Limbs {
  static constexpr int COUNT = 10, BITS = 28;
  static constexpr u32 MASK = (1u << BITS) - 1;

  u32 l[COUNT];

  static constexpr Limbs of(const Words& number) {
    Limbs result{};
    for (int i = 0; i < COUNT; i++) {
      const int bit = BITS * i, word = bit / 64, shift = bit % 64;
      u64 chunk = word < 4 ? number.w[word] >> shift : 0;
      if (shift > 64 - BITS && word < 3) chunk |= number.w[word + 1] << (64 - shift);
      result.l[i] = static_cast<u32>(chunk) & MASK;
    }
    return result;
  }

  /** The lowest 256 bits. */
  Words words() const {
    Words result{};
    for (int i = 0; i < COUNT; i++) {
      const int bit = BITS * i, word = bit / 64, shift = bit % 64;
      if (word == 4) break;
      result.w[word] |= static_cast<u64>(l[i]) << shift;
      if (shift > 64 - BITS && word < 3) result.w[word + 1] |= static_cast<u64>(l[i]) >> (64 - shift);
    }
    return result;
  }
};

/**
 * Arithmetic for WebAssembly, which has products of 32-bit words at best. An element x is x·2^280 mod P, never negative and below 128 P, which is far from
 * 2^280: so nothing is ever brought below P but the result. Products of limbs have 56 bits, so that 64 bits hold the sums of 17 products of elements, column by
 * column, without any carry.
 */
struct LimbArithmetic {
  using Value = Limbs;
  static constexpr int LIMBS = Limbs::COUNT;
  static constexpr Limbs P = Limbs::of(ScalarModulus::P);
  static constexpr u32 NEGATED_INVERSE = static_cast<u32>(negatedInverse(ScalarModulus::P.w[0])) & Limbs::MASK;

  struct Columns {
    u64 c[2 * LIMBS] = {};

    // Without loops two and a half times as fast.
    BITCLOAK_INLINE void add(const Value& a, const Value& b) {
#pragma GCC unroll 10
      for (int i = 0; i < LIMBS; i++) {
#pragma GCC unroll 10
        for (int j = 0; j < LIMBS; j++) c[i + j] += static_cast<u64>(a.l[i]) * b.l[j];
      }
    }

    /** Divided by 2^280 modulo P by Montgomery's method: less than 2^-280 of the number, and P. */
    BITCLOAK_INLINE Value reduced() {
#pragma GCC unroll 10
      for (int i = 0; i < LIMBS; i++) {
        const u32 multiple = (static_cast<u32>(c[i]) * NEGATED_INVERSE) & Limbs::MASK;
#pragma GCC unroll 10
        for (int j = 0; j < LIMBS; j++) c[i + j] += static_cast<u64>(multiple) * P.l[j];
        c[i + 1] += c[i] >> Limbs::BITS;
      }
      Value result;
      u64 carry = 0;
#pragma GCC unroll 10
      for (int i = 0; i < LIMBS; i++) {
        carry += c[LIMBS + i];
        result.l[i] = static_cast<u32>(carry) & Limbs::MASK;
        carry >>= Limbs::BITS;
      }
      return result;
    }
  };

  static Value read(const Words& number) {
    constexpr Limbs FACTOR = Limbs::of(powerOfTwo(2 * Limbs::COUNT * Limbs::BITS, ScalarModulus::P));
    return product(Limbs::of(number), FACTOR);
  }

  static Words write(const Value& a) {
    constexpr Limbs ONE{{1}};
    const Words number = product(a, ONE).words();
    // It is P where it should be 0.
    return lessThan(number, ScalarModulus::P) ? number : minus(number, ScalarModulus::P);
  }

  /** Without carries: limbs of a sum are below 2^29, and are multiplied once with limbs like them. */
  static BITCLOAK_INLINE Value plus(const Value& a, const Value& b) {
    Value sum;
    for (int i = 0; i < LIMBS; i++) sum.l[i] = a.l[i] + b.l[i];
    return sum;
  }

  static BITCLOAK_APART Value product(const Value& a, const Value& b) {
    Columns columns;
    columns.add(a, b);
    return columns.reduced();
  }

  static BITCLOAK_APART Value multiplyAdd(const Value& a, const Value& b, const Value& c) {
    Columns columns;
    columns.add(a, b);
    for (int i = 0; i < LIMBS; i++) columns.c[LIMBS + i] += c.l[i];
    return columns.reduced();
  }

  static BITCLOAK_APART Value sumOfProducts(const Value* left, const Value* right, u32 count) {
    Columns columns;
    for (u32 i = 0; i < count; i++) columns.add(left[i], right[i]);
    return columns.reduced();
  }
};

/** The hash of one number of inputs. */
template <class Arithmetic>
class Poseidon {
 public:
  static constexpr u32 WIDTH_MAX = 17;
  static constexpr u32 FULL_ROUNDS = 8;
  /** Each lets elements grow by 1.1 P at most. */
  static constexpr u32 PARTIAL_ROUNDS_MAX = 100;

  /** How many numbers the constructor reads. */
  static constexpr size_t numbers(u32 width, u32 partialRounds) {
    return FULL_ROUNDS * width + 2 * width * width + partialRounds * 2 * width;
  }

  /**
   * `bytes`: plain numbers below P, 32 bytes each, the lowest byte first. Constants of the full rounds, round by round; the matrix by rows; the one before the
   * partial rounds; then of every partial round a constant, the first row of its matrix, and its first column without the first element.
   */
  Poseidon(u32 width_, u32 partialRounds_, const u8* bytes)
      : width(width_), partialRounds(partialRounds_), table(numbers(width_, partialRounds_)) {
    for (size_t i = 0; i < table.size(); i++) table[i] = read(bytes + i * sizeof(Words));
  }

  /** `bytes`: as many plain numbers below P as the state is wide, the tag first. The first of them becomes the hash. */
  void hash(u8* bytes) const {
    Value state[WIDTH_MAX];
    for (u32 i = 0; i < width; i++) state[i] = read(bytes + i * sizeof(Words));
    const Value* constants = table.data();
    const Value* matrix = constants + FULL_ROUNDS * width;
    const Value* lastMatrix = matrix + width * width;
    for (u32 round = 1; round <= FULL_ROUNDS; round++) {
      runFullRound(state, constants, round == FULL_ROUNDS / 2 ? lastMatrix : matrix);
      constants += width;
      if (round == FULL_ROUNDS / 2) runPartialRounds(state, lastMatrix + width * width);
    }
    const Words result = Arithmetic::write(state[0]);
    __builtin_memcpy(bytes, result.w, sizeof result);
  }

 private:
  using Value = typename Arithmetic::Value;

  u32 width, partialRounds;
  Array<Value> table;

  static Value read(const u8* bytes) {
    Words number;
    __builtin_memcpy(number.w, bytes, sizeof number);
    return Arithmetic::read(number);
  }

  static BITCLOAK_INLINE Value fifthPower(const Value& a) {
    const Value square = Arithmetic::product(a, a);
    return Arithmetic::product(Arithmetic::product(square, square), a);
  }

  void runFullRound(Value* state, const Value* constants, const Value* matrix) const {
    Value powers[WIDTH_MAX];
    for (u32 i = 0; i < width; i++) powers[i] = fifthPower(Arithmetic::plus(state[i], constants[i]));
    for (u32 i = 0; i < width; i++) state[i] = Arithmetic::sumOfProducts(matrix + i * width, powers, width);
  }

  void runPartialRounds(Value* state, const Value* constants) const {
    for (u32 round = 0; round < partialRounds; round++) {
      const Value* row = constants + 1;
      const Value* column = row + width;
      state[0] = fifthPower(Arithmetic::plus(state[0], *constants));
      const Value first = Arithmetic::sumOfProducts(row, state, width);
      for (u32 i = 1; i < width; i++) state[i] = Arithmetic::multiplyAdd(column[i - 1], state[0], state[i]);
      state[0] = first;
      constants = column + width - 1;
    }
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
