// The int16 kernels: i32x4.dot_i16x8_s adds the products of two int16 codes with two weights to each int32 sum.
#include "../int16.h"

#include "vector.h"

namespace lowbit::wasmsimd {
namespace {

v128_t stageValue(v128_t sums, const float* multiplier, const float* bias, float low, float high) {
  const v128_t product = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sums), wasm_v128_load(multiplier));
  const v128_t value = wasm_f32x4_add(product, wasm_v128_load(bias));
  return wasm_f32x4_pmin(wasm_f32x4_splat(high), wasm_f32x4_pmax(wasm_f32x4_splat(low), value));
}

// The first `count` of 4 values, or all.
void storeFirst(float* out, v128_t values, int count) {
  if (count >= 4) {
    wasm_v128_store(out, values);
    return;
  }
  float lanes[4];
  wasm_v128_store(lanes, values);
  for (int i = 0; i < count; ++i) out[i] = lanes[i];
}

// R rows by 8 outputs.
template <int R>
void tile(const Int16GemmArgs& args, int first, const int16_t* filter, int output) {
  v128_t sums[R][2];
  for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = wasm_i32x4_const_splat(0);
  for (int t = 0; t < args.taps; ++t) {
    const int16_t* rows[R];
    for (int r = 0; r < R; ++r) {
      rows[r] = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + first + r]
                          : args.base + static_cast<size_t>(first + r) * args.rowStride;
    }
    for (int p = 0; p < args.pairs; ++p, filter += 2 * kInt16Panel) {
      const v128_t w0 = wasm_v128_load(filter), w1 = wasm_v128_load(filter + 8);
#pragma clang loop unroll(full)
      for (int r = 0; r < R; ++r) {
        const v128_t codes = wasm_v128_load32_splat(rows[r] + 2 * p);
        sums[r][0] = wasm_i32x4_add(sums[r][0], wasm_i32x4_dot_i16x8(codes, w0));
        sums[r][1] = wasm_i32x4_add(sums[r][1], wasm_i32x4_dot_i16x8(codes, w1));
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    float* out = args.out + static_cast<size_t>(first + r) * args.outputs + output;
    for (int v = 0; v < 2 && output + 4 * v < args.outputs; ++v) {
      const int n = output + 4 * v;
      storeFirst(out + 4 * v, stageValue(sums[r][v], args.multiplier + n, args.bias + n, args.low, args.high),
                 args.outputs - n);
    }
  }
}

void gemm(const Int16GemmArgs& args) {
  const size_t panelSize = static_cast<size_t>(args.taps) * args.pairs * kInt16Panel * 2;
  for (int output = 0; output < args.outputs; output += 8) {
    const int16_t* filter = args.packed + output / kInt16Panel * panelSize + output % kInt16Panel * 2;
    int m = 0;
    for (; m + 4 <= args.rowCount; m += 4) tile<4>(args, m, filter, output);
    for (; m < args.rowCount; ++m) tile<1>(args, m, filter, output);
  }
}

// One output of a block of channels: low and high hold the channels as int16DepthwiseIndex puts them.
void depthwiseBlock(const Int16DepthwiseArgs& args, int m, int channel) {
  const size_t step = int16DepthwiseElements(2, args.channels);
  const int16_t* filter = args.packed + int16DepthwiseIndex(0, channel, args.channels);
  v128_t sums[4];  // channels 0-3, 4-7, 8-11, 12-15
  for (v128_t& sum : sums) sum = wasm_i32x4_const_splat(0);
  for (int t = 0; t < args.taps; t += 2, filter += step) {
    const int16_t* even = args.pixels[static_cast<size_t>(t) * args.pixelCount + m] + channel;
    const int16_t* odd =
        t + 1 < args.taps ? args.pixels[static_cast<size_t>(t + 1) * args.pixelCount + m] + channel : even;
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; ++half) {
      const v128_t a = wasm_v128_load(even + 8 * half), b = wasm_v128_load(odd + 8 * half);
      const v128_t low = wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
      const v128_t high = wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
      v128_t* of = sums + 2 * half;
      of[0] = wasm_i32x4_add(of[0], wasm_i32x4_dot_i16x8(low, wasm_v128_load(filter + 8 * half)));
      of[1] = wasm_i32x4_add(of[1], wasm_i32x4_dot_i16x8(high, wasm_v128_load(filter + kInt16Block + 8 * half)));
    }
  }
  float* out = args.out + static_cast<size_t>(m) * args.channels + channel;
  for (int i = 0; i < 4 && channel + 4 * i < args.channels; ++i) {
    const int c = channel + 4 * i;
    storeFirst(out + 4 * i, stageValue(sums[i], args.multiplier + c, args.bias + c, args.low, args.high),
               args.channels - c);
  }
}

void depthwise(const Int16DepthwiseArgs& args) {
  for (int m = 0; m < args.pixelCount; ++m) {
    for (int c = 0; c < args.channels; c += kInt16Block) depthwiseBlock(args, m, c);
  }
}

float largest(const float* values, size_t count) {
  v128_t most = wasm_f32x4_splat(0);
  size_t i = 0;
  for (; i + 4 <= count; i += 4) most = wasm_f32x4_pmax(most, wasm_f32x4_abs(wasm_v128_load(values + i)));
  float lanes[4];
  wasm_v128_store(lanes, most);
  return std::max(*std::max_element(lanes, lanes + 4), scalarKernels().int16.largest(values + i, count - i));
}

void quantize(const float* values, size_t count, float inverse, int16_t* codes) {
  const auto four = [&](const float* at) {
    const v128_t value = wasm_f32x4_mul(wasm_v128_load(at), wasm_f32x4_splat(inverse));
    const v128_t raised = wasm_f32x4_pmax(wasm_f32x4_splat(-32767.0f), value);
    const v128_t clamped = wasm_f32x4_pmin(wasm_f32x4_splat(32767.0f), raised);
    return wasm_i32x4_sub(wasm_f32x4_add(clamped, wasm_f32x4_splat(kRound)), wasm_i32x4_splat(kRoundBits));
  };
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    wasm_v128_store(codes + i, wasm_i16x8_narrow_i32x4(four(values + i), four(values + i + 4)));
  }
  scalarKernels().int16.quantize(values + i, count - i, inverse, codes + i);
}

}  // namespace

void setInt16(Kernels& table) {
  table.int16.gemm = gemm;
  table.int16.depthwise = depthwise;
  table.int16.largest = largest;
  table.int16.quantize = quantize;
}

}  // namespace lowbit::wasmsimd
