// Makes a `Backend` of the fields that a backend computes with.
#pragma once
#include "operations.h"

namespace bitcloak::BITCLOAK_BACKEND {

template <class Base_, class Scalar_>
struct BackendOf {
  using Prover = Groth16<Base_, Scalar_>;
  using Key = typename Prover::Key;
  using Proof = typename Prover::Proof;

  static Status loadKey(const uint8_t* file, size_t size, void** key) {
    Key* loaded = nullptr;
    const Status status = Prover::loadKey({file, size}, loaded);
    *key = loaded;
    return status;
  }
  static void releaseKey(void* key) { destroy(static_cast<Key*>(key)); }
  static Status beginProof(void* key, const uint8_t* witness, size_t size, void** proof) {
    Proof* begun = nullptr;
    const Status status = Prover::beginProof(static_cast<Key*>(key), {witness, size}, begun);
    *proof = begun;
    return status;
  }
  static uint32_t tasks(const void* proof) { return Prover::tasks(*static_cast<const Proof*>(proof)); }
  static uint32_t witnessTasks(const void* proof) { return Prover::witnessTasks(*static_cast<const Proof*>(proof)); }
  static void computeQuotient(void* proof) { Prover::computeQuotient(*static_cast<Proof*>(proof)); }
  static void computeSum(void* proof, uint32_t task) { Prover::computeSum(*static_cast<Proof*>(proof), task); }
  static Status finish(const void* proof, const uint8_t* blinding, uint8_t* result) {
    return Prover::finish(*static_cast<const Proof*>(proof), blinding, result);
  }
  static void releaseProof(void* proof) { destroy(static_cast<Proof*>(proof)); }
  static bool apply(uint32_t operation, const uint8_t* left, const uint8_t* right, uint8_t* result, size_t count) {
    const u32 field = operation / 16, kind = operation % 16;
    if (field == 0) return FieldOperations<Base_>::apply(kind, left, right, result, count);
    if (field == 1) return FieldOperations<Scalar_>::apply(kind, left, right, result, count);
    if (field == 2) return FieldOperations<VectorExtension<Base_>>::apply(kind, left, right, result, count);
    if (operation == 64) sumOfMultiples<Base_>(left, right, result, count);
    if (operation == 65) sumOfMultiples<VectorExtension<Base_>>(left, right, result, count);
    return operation == 64 || operation == 65;
  }

  static constexpr Backend make(const char* name) {
    return {name,       loadKey, releaseKey, beginProof,   tasks, witnessTasks, computeQuotient,
            computeSum, finish,  releaseProof, apply};
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
