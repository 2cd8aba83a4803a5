// One element at a time, with the products of 64-bit words that every compiler has.
#define BITCLOAK_BACKEND portable
#include "backend.h"
#include "poseidon.h"
#include "singleField.h"
#include "verify.h"
#include "witness.h"

namespace bitcloak {

extern const Backend PORTABLE_BACKEND;
const Backend PORTABLE_BACKEND =
    portable::BackendOf<portable::SingleElement<portable::BaseModulus>,
                        portable::SingleElement<portable::ScalarModulus>>::make("portable");

Status loadProgram(const uint8_t* file, size_t size, void** program) {
  portable::WitnessProgram* loaded = portable::create<portable::WitnessProgram>();
  const Status status = loaded->read({file, size});
  if (status != SUCCESS) portable::destroy(loaded);
  *program = status == SUCCESS ? loaded : nullptr;
  return status;
}
void releaseProgram(void* program) { portable::destroy(static_cast<portable::WitnessProgram*>(program)); }
size_t programInputs(const void* program) { return static_cast<const portable::WitnessProgram*>(program)->inputs; }
size_t programWires(const void* program) { return static_cast<const portable::WitnessProgram*>(program)->wires; }
Status computeWitness(const void* program, const uint8_t* inputs, uint8_t* witness) {
  return static_cast<const portable::WitnessProgram*>(program)->compute(inputs, witness);
}

bool verify(const uint8_t* key, const uint8_t* proof, const uint8_t* signals, size_t signalCount) {
  return portable::verifyProof(key, proof, signals, signalCount);
}

using NativePoseidon = portable::Poseidon<portable::WordArithmetic>;

size_t poseidonNumbers(uint32_t width, uint32_t partialRounds) { return NativePoseidon::numbers(width, partialRounds); }
void* makePoseidon(uint32_t width, uint32_t partialRounds, const uint8_t* numbers) {
  return portable::create<NativePoseidon>(width, partialRounds, numbers);
}
void releasePoseidon(void* poseidon) { portable::destroy(static_cast<NativePoseidon*>(poseidon)); }
void hashPoseidon(const void* poseidon, uint8_t* state) { static_cast<const NativePoseidon*>(poseidon)->hash(state); }

}  // namespace bitcloak
