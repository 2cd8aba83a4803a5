// Which backends there are here.
#pragma once
#include "interface.h"

namespace bitcloak {

struct Backends {
  /** Those that this processor can run, the fastest first, and null after the last. */
  const Backend* available[4];
  /** One whose instructions this processor has, but computes otherwise with than it should; null where there is none. */
  const Backend* refused;
};

/** Tried the first time that it is called. */
const Backends& backends();

}  // namespace bitcloak
