// Discrete Fourier transforms over the scalar field, of 2^k values. Lane l of vector j holds value l·(size / lanes) + j: so all stages but the first
// log2(lanes) work within lanes. Both directions use the butterfly (u + w·v, u - w·v), whose results grow by one product's bound a stage only.
#pragma once
#include "vectorField.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** A primitive 2^logSize-th root of unity: a power of 5, which is no square. */
inline Scalar rootOfUnity(u32 logSize) {
  constexpr u32 TWO_ADICITY = 28;
  Words exponent = minus(ScalarModulus::P, {{1, 0, 0, 0}});
  for (u32 i = 0; i < TWO_ADICITY; i++) exponent = halved(exponent);
  Scalar root = Scalar::power(Scalar::fromNumber({{5, 0, 0, 0}}), exponent);
  for (u32 i = logSize; i < TWO_ADICITY; i++) root = Scalar::sqr(root);
  return root;
}

inline u32 reversedBits(u32 value, u32 bits) {
  u32 result = 0;
  for (u32 i = 0; i < bits; i++) result |= ((value >> i) & 1) << (bits - 1 - i);
  return result;
}

/**
 * Takes the values of a polynomial at all 2^logSize-th roots of unity to its values at these times a root of twice that order, where the vanishing
 * polynomial of the first is -2 everywhere: Groth16's quotient is computed there.
 */
template <class Field>
class CosetShift {
 public:
  using Stored = typename Field::Stored;

  explicit CosetShift(u32 logSizeOfDomain)
      : logSize(logSizeOfDomain),
        vectors((u32{1} << logSizeOfDomain) / LANES),
        backward(vectors),
        forward(size_t{1} << logSizeOfDomain),
        factors(vectors) {
    const u32 size = u32{1} << logSize;
    const Scalar root = rootOfUnity(logSize), inverseRoot = Scalar::inverse(root);
    Array<Scalar> powers(size), inversePowers(size), shifts(size);
    const Scalar shift = rootOfUnity(logSize + 1);
    Scalar inverseSize = Scalar::inverse(Scalar::fromNumber({{size, 0, 0, 0}}));
    powers[0] = inversePowers[0] = Scalar::one();
    shifts[0] = inverseSize;
    for (u32 i = 1; i < size; i++) {
      powers[i] = Scalar::mul(powers[i - 1], root);
      inversePowers[i] = Scalar::mul(inversePowers[i - 1], inverseRoot);
      shifts[i] = Scalar::mul(shifts[i - 1], shift);
    }
    // backward: stage by stage, one factor a block; the blocks of a stage follow each other as the reversed bits of their numbers do.
    // forward: stage by stage, half a block of factors for all blocks.
    Stored lanes[LANES];
    const auto write = [&](Field& target) {
      target = Field::gather([&](int lane) -> const Stored& { return lanes[lane]; });
    };
    u32 nextBackward = 0;
    for (u32 stage = LOG_LANES; stage < logSize; stage++) {
      const u32 blocksOfLane = (u32{1} << stage) / LANES;
      for (u32 block = 0; block < blocksOfLane; block++) {
        for (u32 lane = 0; lane < LANES; lane++) {
          const u32 exponent = reversedBits(lane * blocksOfLane + block, stage) << (logSize - 1 - stage);
          lanes[lane] = Field::pack(inversePowers[exponent]);
        }
        write(backward[nextBackward++]);
      }
    }
    u32 nextForward = 0;
    for (u32 stage = 0; stage < logSize - LOG_LANES; stage++) {
      const u32 half = u32{1} << stage;
      for (u32 i = 0; i < half; i++) forward[nextForward++] = Field::pack(powers[i << (logSize - 1 - stage)]);
    }
    for (u32 vector = 0; vector < vectors; vector++) {
      for (u32 lane = 0; lane < LANES; lane++) {
        lanes[lane] = Field::pack(shifts[reversedBits(lane * vectors + vector, logSize)]);
      }
      write(factors[vector]);
    }
    // The stages that go across lanes.
    for (u32 distance = 1; distance < LANES; distance *= 2) {
      const u32 stage = LOG_LANES - 1 - log2(distance);
      const u32 half = size >> (stage + 1);
      for (u32 lane = 0; lane < LANES; lane++) {
        const bool isUpper = (lane & distance) != 0;
        const u32 exponent = reversedBits(lane / (2 * distance), stage) << (logSize - 1 - stage);
        lanes[lane] = Field::pack(isUpper ? inversePowers[exponent] : Scalar::one());
      }
      write(acrossBackward[log2(distance)]);
      // Forward, the factor of value i within its half block is a power that depends on the vector too.
      acrossForward[log2(distance)] = Array<Field>(vectors);
      for (u32 vector = 0; vector < vectors; vector++) {
        for (u32 lane = 0; lane < LANES; lane++) {
          const bool isUpper = (lane & distance) != 0;
          const u32 within = (lane * vectors + vector) & (half - 1);
          lanes[lane] = Field::pack(isUpper ? powers[within << stage] : Scalar::one());
        }
        write(acrossForward[log2(distance)][vector]);
      }
    }
  }

  u32 vectorCount() const { return vectors; }

  void apply(Field* values) const {
    toCoefficients(values);
    for (u32 vector = 0; vector < vectors; vector++) values[vector] = Field::mul(values[vector], factors[vector]);
    toValues(values);
  }

 private:
  static constexpr u32 LANES = static_cast<u32>(Field::LANES);
  static constexpr u32 log2(u32 value) { return value <= 1 ? 0 : 1 + log2(value / 2); }
  static constexpr u32 LOG_LANES = log2(LANES);

  u32 logSize, vectors;
  Array<Field> backward;
  Array<Stored> forward;
  Array<Field> factors;
  Field acrossBackward[LOG_LANES + 1];
  Array<Field> acrossForward[LOG_LANES + 1];

  static BITCLOAK_INLINE void butterfly(Field& u, Field& v, const Field& factor, bool isReduced) {
    const Field product = Field::mul(v, factor), sum = isReduced ? Field::reduce(u) : u;
    u = Field::add(sum, product);
    v = Field::sub(sum, product);
  }

  static BITCLOAK_INLINE void acrossLanes(Field& value, const Field& factor, u32 distance) {
    const Field product = Field::mul(value, factor);
    const int places = static_cast<int>(distance);
    value = Field::add(product.swapped(places), product.negatedUpper(places));
  }

  /** From natural order to that of reversed bits, times the size. */
  void toCoefficients(Field* values) const {
    for (u32 distance = LANES / 2; distance > 0; distance /= 2) {
      const Field& factor = acrossBackward[log2(distance)];
      for (u32 vector = 0; vector < vectors; vector++) acrossLanes(values[vector], factor, distance);
    }
    const Field* factor = backward.data();
    u32 stage = 0;
    for (u32 half = vectors / 2; half > 0; half /= 2) {
      const bool isReduced = stage++ % Field::STAGES_PER_REDUCTION == 0;
      for (u32 block = 0; block < vectors; block += 2 * half, factor++) {
        for (u32 i = block; i < block + half; i++) butterfly(values[i], values[i + half], *factor, isReduced);
      }
    }
  }

  /** From the order of reversed bits to the natural one. */
  void toValues(Field* values) const {
    const Stored* factorsOfStage = forward.data();
    u32 stage = 0;
    for (u32 half = 1; half < vectors; half *= 2) {
      const bool isReduced = stage++ % Field::STAGES_PER_REDUCTION == 0;
      for (u32 i = 0; i < half; i++) {
        const Field factor = Field::broadcast(factorsOfStage[i]);
        for (u32 block = i; block < vectors; block += 2 * half) {
          butterfly(values[block], values[block + half], factor, isReduced);
        }
      }
      factorsOfStage += half;
    }
    for (u32 distance = 1; distance < LANES; distance *= 2) {
      const Field* factor = acrossForward[log2(distance)].data();
      for (u32 vector = 0; vector < vectors; vector++) acrossLanes(values[vector], factor[vector], distance);
    }
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
