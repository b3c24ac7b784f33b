// The matrix product by the relaxed dot product, where it is exact; all else, and all where it saturates, is that of
// the base.
#include "../wasmsimd/gemm.h"
#include "dot.h"

namespace lowbit::wasmrelaxed {
namespace {

// What makes codes of those that the instruction takes: 0, or 128 where they have to be signed.
uint8_t flip = 0;

// Four codes and weights a lane, without widening. Codes become signed by taking 128 away; the sums are short by 128
// times the weights then.
struct DotProduct {
  static constexpr int kDepth = 4;
  static constexpr bool kPrepares = false;
  static v128_t codes(const uint8_t* p) { return wasm_v128_xor(wasm_v128_load(p), wasm_u8x16_splat(flip)); }
  static v128_t weights(const int8_t* p) { return wasm_v128_load(p); }
  static v128_t multiplyAdd(v128_t sums, v128_t codes, v128_t weights) { return dot(weights, codes, sums); }
  static int32_t bias(int32_t bias, const int8_t* weights, size_t count) {
    int64_t sum = bias;
    for (size_t k = 0; k < count; ++k) sum += flip * weights[k];
    return static_cast<int32_t>(static_cast<uint32_t>(sum));
  }
};

}  // namespace

void setKernels(Kernels& table) {
  const DotForm form = askForm();
  if (form == DotForm::kSaturating) return;
  flip = form == DotForm::kSigned ? 128 : 0;
  Gemm<DotProduct>::set(table);
}

}  // namespace lowbit::wasmrelaxed
