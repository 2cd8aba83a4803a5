// One element at a time, with the products of 64-bit words that every compiler has.
#define BITCLOAK_BACKEND portable
#include "backend.h"
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

}  // namespace bitcloak
