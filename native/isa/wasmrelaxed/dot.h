// i32x4.relaxed_dot_i8x16_i7x16_add_s multiplies 16 signed bytes with 16 bytes of 7 bits and adds fours into int32
// lanes. Where the second ones have 8 bits, as codes have, a machine may take them as signed or as unsigned, and may
// add pairs in int16 with saturation: which it does is found by asking it. It does the same for as long as the host
// runs.
//
// Where pairs saturate, the weights whose pairs cannot (as in isa/avx2) would still be exact. They are not treated
// apart: V8 makes five instructions of the dot product there (vpmaddubsw, vpmaddwd by ones that it makes anew each
// time, an addition), where the widened product takes four for as many codes. Measured on Zen 5 with V8's AVX-VNNI
// turned off: 56 billion products a second, 61 widened.
#pragma once
#include <wasm_simd128.h>

#include <cstdint>
#include <cstring>

namespace lowbit::wasmrelaxed {
namespace {

enum class DotForm { kSigned = 1, kUnsigned = 2, kSaturating = 3 };

#if defined(LOWBIT_DOT_FORM)
// In tests: any of the forms on every machine.
inline v128_t dot(v128_t a, v128_t b, v128_t sums) {
  int8_t left[16];
  uint8_t right[16];
  int32_t lanes[4];
  std::memcpy(left, &a, sizeof left);
  std::memcpy(right, &b, sizeof right);
  std::memcpy(lanes, &sums, sizeof lanes);
  for (int i = 0; i < 16; i += 2) {
    int32_t pair = 0;
    for (int k = i; k < i + 2; ++k) {
      pair += left[k] * (LOWBIT_DOT_FORM == 1 ? int32_t{static_cast<int8_t>(right[k])} : int32_t{right[k]});
    }
    if (LOWBIT_DOT_FORM == 3) pair = pair < -32768 ? -32768 : pair > 32767 ? 32767 : pair;
    lanes[i / 4] += pair;
  }
  std::memcpy(&sums, lanes, sizeof lanes);
  return sums;
}
#else
inline v128_t dot(v128_t a, v128_t b, v128_t sums) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, b, sums); }
#endif

inline DotForm askForm() {
  // Not known to any compiler.
  volatile int8_t most = -127;
  volatile uint8_t code = 255;
  const v128_t sums =
      dot(wasm_i8x16_splat(most), wasm_i8x16_splat(static_cast<int8_t>(code)), wasm_i32x4_const_splat(0));
  switch (wasm_i32x4_extract_lane(sums, 0)) {
    case 4 * 127: return DotForm::kSigned;
    case -4 * 127 * 255: return DotForm::kUnsigned;
    default: return DotForm::kSaturating;
  }
}

}  // namespace
}  // namespace lowbit::wasmrelaxed
