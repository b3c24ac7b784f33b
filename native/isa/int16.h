// The inner loops of layers with int16 activations and int16 weights: exact int32 sums, stored as real values.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/ceil-div.h"

namespace lowbit {

// out[m][n] = min(max((float)(sum over t, k of row(t, m)[k] * filter[n][t][k]) * multiplier[n] + bias[n], low), high)
// The sum fits int32 for all codes in [-32767, 32767] (checked when a program is compiled). Depth is padded with zeros
// to pairs, outputs to kInt16Panel: packed is [panel][tap][pair][kInt16Panel][2], multiplier and bias are as long.
constexpr int kInt16Panel = 16;

struct Int16GemmArgs {
  const int16_t* const* rows;  // as in GemmArgs
  const int16_t* base;
  size_t rowStride;  // elements
  int rowCount;
  int taps;
  int pairs;
  const int16_t* packed;
  int outputs;
  const float* multiplier;
  const float* bias;
  float low;
  float high;
  float* out;  // row m at out + m * outputs
};

// The same for one filter a channel: pixels[t * pixelCount + m] is the pixel below tap t of output m.
struct Int16DepthwiseArgs {
  const int16_t* const* pixels;
  int pixelCount;
  int taps;
  int channels;
  const int16_t* packed;  // see int16DepthwiseIndex
  const float* multiplier;
  const float* bias;
  float low;
  float high;
  float* out;  // pixel m at out + m * channels
};

// Where the weight of a channel and a tap lies: taps in pairs, as one instruction multiplies and adds them; 16 channels
// a block, in the order that interleaving two vectors of 16 gives: 0-3 and 8-11, then 4-7 and 12-15.
constexpr int kInt16Block = 16;

static inline size_t int16DepthwiseIndex(int tap, int channel, int channels) {
  const size_t blocks = static_cast<size_t>(ceilDiv(channels, kInt16Block));
  const size_t block = static_cast<size_t>(tap / 2) * blocks + static_cast<size_t>(channel / kInt16Block);
  const int within = channel % kInt16Block;
  const int half = within / 4 % 2, lane = within / 8 * 4 + within % 4;
  return (block * 2 + static_cast<size_t>(half)) * kInt16Block + static_cast<size_t>(2 * lane + tap % 2);
}

static inline size_t int16DepthwiseElements(int taps, int channels) {
  return static_cast<size_t>(ceilDiv(taps, 2) * ceilDiv(channels, kInt16Block)) * 2 * kInt16Block;
}

struct Int16Kernels {
  void (*gemm)(const Int16GemmArgs& args);
  void (*depthwise)(const Int16DepthwiseArgs& args);
  // The largest |x|; NaN counts for nothing.
  float (*largest)(const float* values, size_t count);
  // code = (int16)rint(min(max(x * inverse, -32767), 32767)); NaN gives -32767.
  void (*quantize)(const float* values, size_t count, float inverse, int16_t* codes);
};

}  // namespace lowbit
