// The table of the kernels in WebAssembly's 128-bit vectors.
#include "../vector-dynamic.h"
#include "../vector-probe.h"
#include "../vector-routing.h"
#include "../vector-rows.h"
#include "depthwise.h"
#include "gemm.h"
#include "low-bit-product.h"

namespace lowbit::wasmsimd {

void setInt16(Kernels& table);

namespace {

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
  for (int c = 0; c < channels; c += 16) {
    v128_t best = wasm_u8x16_splat(low);
    for (int r = 0; r < rowCount; ++r) best = wasm_u8x16_max(best, wasm_v128_load(rows[r] + c));
    storeBytes(out + c, wasm_u8x16_min(best, wasm_u8x16_splat(high)), channels - c);
  }
}

struct Products {
  using Vector = v128_t;
  static constexpr int bytes = 16;
  static constexpr int macs = 8;
  static constexpr int rows = 4;
  static constexpr int columns = 2;
  static Vector zero() { return wasm_i32x4_const_splat(0); }
  static Vector load(const uint8_t* p) { return wasm_v128_load(p); }
  static void store(uint8_t* p, Vector v) { wasm_v128_store(p, v); }
  static void stream(uint8_t* p, Vector v) { store(p, v); }
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) { return add(sum, wasm_i32x4_dot_i16x8(a, b)); }
  static Vector add(Vector a, Vector b) { return wasm_i32x4_add(a, b); }
};

}  // namespace

void setKernels(Kernels& table) {
  VectorKernels<Simd>::set(table);
  VectorRouting<Simd>::set(table);
  VectorDynamic<Simd>::set(table);
  VectorRows<Simd>::set(table);
  ProbeLoops<Products>::set(table);
  Gemm<WidenedProduct>::set(table);
  Depthwise::set(table);
  LowBitProducts<SimdProduct>::set(table);
  table.maxRows = maxRows;
  setInt16(table);
}

}  // namespace lowbit::wasmsimd
