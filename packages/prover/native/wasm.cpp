// The WebAssembly: the same prover for browsers, and for Node where there is no compiler. It has no threads: each worker has an instance of its own and
// computes some of a proof's sums, which one of them puts together. With BITCLOAK_RELAXED it uses relaxed SIMD, otherwise no SIMD at all.
#ifdef BITCLOAK_RELAXED
#define BITCLOAK_BACKEND relaxed
#else
#define BITCLOAK_BACKEND plain
#endif
#include "backend.h"
#include "poseidon.h"
#include "singleField.h"
#include "verify.h"
#include "witness.h"
#ifdef BITCLOAK_RELAXED
#include "lanesPair.h"
#include "lanesWasm.h"
#endif

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace bitcloak::BITCLOAK_BACKEND {
namespace {

#ifdef BITCLOAK_RELAXED
using Base_ = VectorElement<BaseModulus, PairLanes<WasmLanes>>;
using Scalar_ = VectorElement<ScalarModulus, PairLanes<WasmLanes>>;
#else
using Base_ = SingleElement<BaseModulus>;
using Scalar_ = SingleElement<ScalarModulus>;
#endif
using Prover = Groth16<Base_, Scalar_>;
using Key = Prover::Key;
using Proof = Prover::Proof;

Key* key = nullptr;
Proof* proof = nullptr;
WitnessProgram* program = nullptr;
u8 result[PROOF_BYTES];

}  // namespace

EXPORT(isSound) bool isSound() {
#ifdef BITCLOAK_RELAXED
  return WasmLanes::isFused();
#else
  return true;
#endif
}

EXPORT(allocate) void* allocate(size_t bytes) { return bitcloakAllocate(bytes); }
EXPORT(release) void release(void* memory) { bitcloakRelease(memory); }

/** One key an instance. */
EXPORT(loadKey) Status loadKey(const u8* file, size_t size) { return Prover::loadKey({file, size}, key); }

/** One program an instance. */
EXPORT(loadProgram) Status loadProgram(const u8* file, size_t size) {
  program = create<WitnessProgram>();
  return program->read({file, size});
}
EXPORT(programInputs) size_t programInputs() { return program->inputs; }
EXPORT(programWires) size_t programWires() { return program->wires; }
EXPORT(computeWitness) Status computeWitness(const u8* inputs, u8* witness) { return program->compute(inputs, witness); }

EXPORT(beginProof) Status beginProof(const u8* witness, size_t size) {
  return Prover::beginProof(key, {witness, size}, proof);
}
EXPORT(endProof) void endProof() {
  if (proof != nullptr) destroy(proof);
  proof = nullptr;
}
EXPORT(tasks) u32 tasks() { return Prover::tasks(*proof); }
EXPORT(witnessTasks) u32 witnessTasks() { return Prover::witnessTasks(*proof); }
EXPORT(computeQuotient) void computeQuotient() { Prover::computeQuotient(*proof); }
EXPORT(quotient) Words* quotient() { return proof->quotient.data(); }
EXPORT(quotientSize) size_t quotientSize() { return proof->quotient.size() * sizeof(Words); }
/** After another instance's quotient was written to `quotient()`. */
EXPORT(acceptQuotient) void acceptQuotient() { Prover::splitQuotient(*proof); }
EXPORT(computeSum) void computeSum(u32 task) { Prover::computeSum(*proof, task); }
/** Where the sum of a task is, and its size: to be taken from the instance that computed it to the one that finishes. */
EXPORT(sum) void* sum(u32 task) {
  const u32 runs = proof->runs();
  return task < runs ? static_cast<void*>(&proof->sums2[task]) : &proof->sums1[task - runs];
}
EXPORT(sumSize) size_t sumSize(u32 task) {
  return task < proof->runs() ? sizeof(Point<Extension>) : sizeof(Point<Base>);
}
EXPORT(finish) Status finish(const u8* blinding) { return Prover::finish(*proof, blinding, result); }
EXPORT(result) u8* resultPlace() { return result; }

EXPORT(verify) bool verify(const u8* verifyingKey, const u8* proofBytes, const u8* signals, size_t signalCount) {
  return verifyProof(verifyingKey, proofBytes, signals, signalCount);
}
#ifndef BITCLOAK_RELAXED
using WasmPoseidon = Poseidon<LimbArithmetic>;

EXPORT(makePoseidon) void* makePoseidon(u32 width, u32 partialRounds, const u8* numbers) {
  return create<WasmPoseidon>(width, partialRounds, numbers);
}
EXPORT(hashPoseidon) void hashPoseidon(const void* poseidon, u8* state) {
  static_cast<const WasmPoseidon*>(poseidon)->hash(state);
}
#endif
EXPORT(apply) bool apply(u32 operation, const u8* left, const u8* right, u8* target, size_t count) {
  return BackendOf<Base_, Scalar_>::apply(operation, left, right, target, count);
}

}  // namespace bitcloak::BITCLOAK_BACKEND
