// Eight elements at a time, by products of 52-bit limbs. Only this file is compiled for AVX-512 IFMA, and only called where the processor has it.
#define BITCLOAK_BACKEND ifma
#include "backend.h"
#include "integerField.h"
#include "lanesIfma.h"

namespace bitcloak {

extern const Backend IFMA_BACKEND;
const Backend IFMA_BACKEND = ifma::BackendOf<ifma::IntegerElement<ifma::BaseModulus, ifma::IfmaLanes>,
                                             ifma::IntegerElement<ifma::ScalarModulus, ifma::IfmaLanes>>::make("ifma");

}  // namespace bitcloak
