// Two doubles at once: WebAssembly's SIMD, with the multiply-add of relaxed SIMD, which is fused where the processor can do it. `isFused` tells.
#pragma once
#include <wasm_simd128.h>
#include "types.h"

namespace bitcloak::BITCLOAK_BACKEND {

struct WasmLanes {
  using Number = v128_t;
  /** Each column of a product is done with before the next, as V8 keeps what it has no register for in memory with two instructions. */
  static constexpr bool IS_COLUMN_WISE = true;
  static constexpr int LANES = 2;

  static BITCLOAK_INLINE Number broadcast(double value) { return wasm_f64x2_splat(value); }
  static BITCLOAK_INLINE Number add(Number a, Number b) { return wasm_f64x2_add(a, b); }
  static BITCLOAK_INLINE Number sub(Number a, Number b) { return wasm_f64x2_sub(a, b); }
  static BITCLOAK_INLINE Number mul(Number a, Number b) { return wasm_f64x2_mul(a, b); }
  static BITCLOAK_INLINE Number fma(Number a, Number b, Number c) {
    using Doubles = double __attribute__((__vector_size__(16)));
    return __builtin_bit_cast(Number, __builtin_wasm_relaxed_madd_f64x2(__builtin_bit_cast(Doubles, a),
                                                                        __builtin_bit_cast(Doubles, b),
                                                                        __builtin_bit_cast(Doubles, c)));
  }

  /** A sum that is known to be a multiple of 2^51, for the checks of the bounds. */
  static BITCLOAK_INLINE Number addWhole(Number a, Number b) { return add(a, b); }

  template <class At>
  static BITCLOAK_INLINE void gather(Number (&limbs)[5], const At& at) {
    const double *a = at(0), *b = at(1);
    const Number rows[4] = {wasm_v128_load(a), wasm_v128_load(b), wasm_v128_load(a + 2), wasm_v128_load(b + 2)};
    limbs[0] = wasm_i64x2_shuffle(rows[0], rows[1], 0, 2);
    limbs[1] = wasm_i64x2_shuffle(rows[0], rows[1], 1, 3);
    limbs[2] = wasm_i64x2_shuffle(rows[2], rows[3], 0, 2);
    limbs[3] = wasm_i64x2_shuffle(rows[2], rows[3], 1, 3);
    limbs[4] = wasm_v128_load64_lane(b + 4, wasm_v128_load64_zero(a + 4), 1);
  }

  template <class At>
  static BITCLOAK_INLINE void scatter(const Number (&limbs)[5], const At& at) {
    double *a = at(0), *b = at(1);
    wasm_v128_store(a, wasm_i64x2_shuffle(limbs[0], limbs[1], 0, 2));
    wasm_v128_store(b, wasm_i64x2_shuffle(limbs[0], limbs[1], 1, 3));
    wasm_v128_store(a + 2, wasm_i64x2_shuffle(limbs[2], limbs[3], 0, 2));
    wasm_v128_store(b + 2, wasm_i64x2_shuffle(limbs[2], limbs[3], 1, 3));
    wasm_v128_store64_lane(a + 4, limbs[4], 0);
    wasm_v128_store64_lane(b + 4, limbs[4], 1);
  }

  static BITCLOAK_INLINE Number signsOf(const u32* references) {
    return wasm_i64x2_shl(wasm_u64x2_load32x2(references), 63);
  }
  static BITCLOAK_INLINE Number flip(Number a, Number signs) { return wasm_v128_xor(a, signs); }
  static BITCLOAK_INLINE Number swapped(Number a, int) { return wasm_i64x2_shuffle(a, a, 1, 0); }
  static BITCLOAK_INLINE Number negatedUpper(Number a, int) { return wasm_v128_xor(a, wasm_f64x2_make(0.0, -0.0)); }

  /** Whether the multiply-add rounds once: (2^27 + 1)² has 55 bits, and its last one survives only then. In both lanes. */
  static bool isFused() {
    volatile double opaque = 0x1p27 + 1;
    const Number factor = broadcast(opaque), rest = fma(factor, factor, broadcast(-(0x1p54 + 0x1p28)));
    return wasm_f64x2_extract_lane(rest, 0) == 1.0 && wasm_f64x2_extract_lane(rest, 1) == 1.0;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
