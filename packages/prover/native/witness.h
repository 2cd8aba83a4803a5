// Computes witnesses by the program that scripts/bootstrap/witness made of a circuit's constraints. Each step makes a value of others before it, or compares
// two; the first values are the witness. Nothing in a program is believed before it was checked.
#pragma once
#include "interface.h"
#include "keyFile.h"
#include "productSum.h"

namespace bitcloak::BITCLOAK_BACKEND {

class WitnessProgram {
 public:
  u32 wires = 0, inputs = 0;

  /** A program in its file: six counts, the inputs' places, the constants as plain numbers, the steps. */
  Status read(const Bytes& file) {
    constexpr u32 VERSION = 1, COUNTS = 6;
    if (file.size < COUNTS * WORD_BYTES || loadHalfWord(file.data) != VERSION) return PROGRAM_KIND;
    u32 counts[COUNTS];
    for (u32 i = 0; i < COUNTS; i++) counts[i] = loadHalfWord(file.data + i * WORD_BYTES);
    wires = counts[1];
    inputs = counts[2];
    const u32 slots = counts[3], constantCount = counts[4], wordCount = counts[5];
    const u64 size = (u64{COUNTS} + inputs + wordCount) * WORD_BYTES + u64{constantCount} * ELEMENT_BYTES;
    if (file.size != size) return PROGRAM_SIZE;
    if (wires == 0 || wires > slots || slots > SLOTS_MAX) return PROGRAM_RANGE;
    const u8* at = file.data + COUNTS * WORD_BYTES;
    places = wordsFrom(at, inputs);
    constants = Array<Scalar>(constantCount);
    for (u32 i = 0; i < constantCount; i++, at += ELEMENT_BYTES) {
      const Words number = readWords(at);
      if (!lessThan(number, ScalarModulus::P)) return PROGRAM_RANGE;
      constants[i] = Scalar::fromNumber(number);
    }
    steps = wordsFrom(at, wordCount);
    slotCount = slots;
    return isSound() ? SUCCESS : PROGRAM_RANGE;
  }

  /** The witness as plain numbers from inputs as plain numbers; `STATEMENT_FALSE` where there is none. */
  Status compute(const u8* input, u8* witness) const {
    Array<Scalar> values(slotCount);
    values[0] = Scalar::one();
    for (u32 i = 0; i < inputs; i++) {
      const Words number = readWords(input + i * ELEMENT_BYTES);
      if (!lessThan(number, ScalarModulus::P)) return WITNESS_RANGE;
      values[places[i]] = Scalar::fromNumber(number);
    }
    for (size_t at = 0; at < steps.size();) {
      const u32* words = steps.data() + at;
      if (!run(words, values.data())) return STATEMENT_FALSE;
      at += static_cast<size_t>(sizeOf(words));
    }
    for (u32 wire = 0; wire < wires; wire++) {
      const Words number = Scalar::toNumber(values[wire]);
      __builtin_memcpy(witness + wire * ELEMENT_BYTES, number.w, ELEMENT_BYTES);
    }
    return SUCCESS;
  }

 private:
  /** As scripts/bootstrap/witness/program.mjs has them, with what follows each. */
  enum Operation : u32 {
    SUM = 0,       // target, count, then that many times: slot, constant
    PRODUCT = 1,   // target, left, right
    QUOTIENT = 2,  // target, dividend, divisor; 0 where both are 0
    BITS = 3,      // source, count, then the target of each bit
    IS_ZERO = 4,   // target, source
    EQUAL = 5,     // left, right
  };
  /** The first two constants are 1 and -1. */
  static constexpr u32 PLUS = 0, MINUS = 1;
  /** Instead of a bit's target: none, or none because the bit must be 0. */
  static constexpr u32 ABSENT = 0xffffffff, CLEAR = 0xfffffffe;
  static constexpr u32 WORD_BYTES = 4, BITS_MAX = 254, SLOTS_MAX = u32{1} << 24;

  u32 slotCount = 0;
  Array<u32> places, steps;
  Array<Scalar> constants;

  static Array<u32> wordsFrom(const u8*& at, u32 count) {
    Array<u32> words(count);
    for (u32 i = 0; i < count; i++, at += WORD_BYTES) words[i] = loadHalfWord(at);
    return words;
  }

  /** Of a step, whatever it says: where addresses have 32 bits, two words for each term may be more than those can count. */
  static u64 sizeOf(const u32* words) {
    switch (words[0]) {
      case SUM:
        return 3 + 2 * u64{words[2]};
      case BITS:
        return 3 + u64{words[2]};
      case PRODUCT:
      case QUOTIENT:
        return 4;
      default:
        return 3;
    }
  }

  bool run(const u32* words, Scalar* values) const {
    switch (words[0]) {
      case SUM:
        values[words[1]] = sum(words[2], words + 3, values);
        return true;
      case PRODUCT:
        values[words[1]] = Scalar::mul(values[words[2]], values[words[3]]);
        return true;
      case QUOTIENT:
        values[words[1]] = Scalar::mul(values[words[2]], Scalar::inverse(values[words[3]]));
        return !values[words[3]].isZero() || values[words[2]].isZero();
      case BITS:
        return split(Scalar::toNumber(values[words[1]]), words[2], words + 3, values);
      case IS_ZERO:
        values[words[1]] = values[words[2]].isZero() ? Scalar::one() : Scalar::zero();
        return true;
      default:
        return Scalar::equal(values[words[1]], values[words[2]]);
    }
  }

  Scalar sum(u32 count, const u32* terms, const Scalar* values) const {
    using Products = ProductSum<ScalarModulus>;
    Scalar result = Scalar::zero();
    Products products;
    u32 waiting = 0;
    for (u32 i = 0; i < count; i++) {
      const Scalar& value = values[terms[2 * i]];
      const u32 constant = terms[2 * i + 1];
      if (constant == PLUS) {
        result = Scalar::add(result, value);
      } else if (constant == MINUS) {
        result = Scalar::sub(result, value);
      } else {
        products.add(value, constants[constant]);
        waiting++;
      }
      if (waiting == Products::COUNT_MAX || (waiting > 0 && i + 1 == count)) {
        result = Scalar::add(result, products.reduced());
        waiting = 0;
      }
    }
    return result;
  }

  /** False where the number has other bits than those that it may have. */
  static bool split(const Words& number, u32 count, const u32* targets, Scalar* values) {
    for (u32 bit = 0; bit < 256; bit++) {
      const bool isSet = (number.w[bit / 64] >> (bit % 64) & 1) != 0;
      const u32 target = bit < count ? targets[bit] : CLEAR;
      if (target == CLEAR && isSet) return false;
      if (target < CLEAR) values[target] = isSet ? Scalar::one() : Scalar::zero();
    }
    return true;
  }

  /** Whether each step is whole and has what it needs from those before, each value is made once, and each wire is. */
  bool isSound() const {
    if (constants.size() <= MINUS) return false;
    if (!Scalar::equal(constants[PLUS], Scalar::one()) || !Scalar::equal(constants[MINUS], Scalar::neg(Scalar::one()))) {
      return false;
    }
    Array<u8> made(slotCount);
    made.fill(0);
    made[0] = 1;
    const auto has = [&](u32 slot) { return slot < slotCount && made[slot] != 0; };
    const auto make = [&](u32 slot) { return slot < slotCount && made[slot]++ == 0; };
    for (size_t i = 0; i < places.size(); i++) {
      if (!make(places[i])) return false;
    }
    for (size_t at = 0; at < steps.size();) {
      const u32* words = steps.data() + at;
      if (steps.size() - at < 3) return false;
      const u64 size = sizeOf(words);
      if (steps.size() - at < size || !isStep(words, has, make)) return false;
      at += static_cast<size_t>(size);
    }
    for (u32 wire = 0; wire < wires; wire++) {
      if (made[wire] == 0) return false;
    }
    return true;
  }

  template <class Has, class Make>
  bool isStep(const u32* words, const Has& has, const Make& make) const {
    switch (words[0]) {
      case SUM:
        for (u32 i = 0; i < words[2]; i++) {
          if (!has(words[3 + 2 * i]) || words[4 + 2 * i] >= constants.size()) return false;
        }
        return make(words[1]);
      case PRODUCT:
      case QUOTIENT:
        return has(words[2]) && has(words[3]) && make(words[1]);
      case BITS:
        if (!has(words[1]) || words[2] > BITS_MAX) return false;
        for (u32 i = 0; i < words[2]; i++) {
          if (words[3 + i] < CLEAR && !make(words[3 + i])) return false;
        }
        return true;
      case IS_ZERO:
        return has(words[2]) && make(words[1]);
      case EQUAL:
        return has(words[1]) && has(words[2]);
      default:
        return false;
    }
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
