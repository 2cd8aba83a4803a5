// One element at a time, with the products of 64-bit words that every compiler has.
#define BITCLOAK_BACKEND portable
#include "backend.h"
#include "poseidon.h"
#include "singleField.h"
#include "verify.h"

namespace bitcloak {

extern const Backend PORTABLE_BACKEND;
const Backend PORTABLE_BACKEND =
    portable::BackendOf<portable::SingleElement<portable::BaseModulus>,
                        portable::SingleElement<portable::ScalarModulus>>::make("portable");

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
