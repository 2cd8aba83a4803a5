// Eight elements at a time. Only this file is compiled for AVX2 and FMA, and only called where the processor has them.
#define BITCLOAK_BACKEND avx2
#include "backend.h"
#include "lanesAvx2.h"
#include "lanesPair.h"

namespace bitcloak {

extern const Backend AVX2_BACKEND;
const Backend AVX2_BACKEND =
    avx2::BackendOf<avx2::VectorElement<avx2::BaseModulus, avx2::PairLanes<avx2::Avx2Lanes>>,
                    avx2::VectorElement<avx2::ScalarModulus, avx2::PairLanes<avx2::Avx2Lanes>>>::make("avx2");

}  // namespace bitcloak
