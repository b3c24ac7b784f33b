// The inner loops of layers whose int8 activations are quantized dynamically: scale and zero point come from the values
// of the run. Every element takes the same float32 operations on every instruction set.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace lowbit {

// Unsigned codes: x = (code - zero) * scale.
struct DynamicRange {
  float scale;
  float inverse;
  float zero;  // from 0 to 255
};

// The range [low, high] around 0, which is a code. A range too narrow for its inverse to be a float32 has code 0 for
// all values, and infinities end at its ends. Static: a copy that was compiled for one instruction set must not serve
// another.
static inline DynamicRange dynamicRange(float low, float high) {
  constexpr float kLargest = FLT_MAX / 2, kSmallest = 1e-30f;
  low = std::max(low, -kLargest);
  high = std::min(high, kLargest);
  const float width = high - low;
  if (width < kSmallest) return DynamicRange{1, 0, 0};
  const float inverse = 255.0f / width;
  return DynamicRange{width / 255.0f, inverse, std::nearbyintf(std::min(-low * inverse, 255.0f))};
}

struct DynamicKernels {
  // Lowers `low` and raises `high` to the extrema of the values; NaN counts for nothing.
  void (*extrema)(const float* values, size_t count, float* low, float* high);
  // The same for each channel of `rows` rows.
  void (*channelExtrema)(const float* values, size_t rows, size_t channels, float* low, float* high);
  // code = rint(min(max(x * inverse + zero, 0), 255)); NaN gives code 0. Rows of codes lie `pitch` bytes apart.
  void (*quantize)(const float* values, size_t rows, size_t channels, const DynamicRange& range, uint8_t* codes,
                   size_t pitch);
  // The same with an inverse and a zero a channel.
  void (*quantizeChannels)(const float* values, size_t rows, size_t channels, const float* inverse, const float* zero,
                           uint8_t* codes, size_t pitch);
  // The same with a range for every row, of which scale and scale * zero are stored.
  void (*quantizeRows)(const float* values, size_t rows, size_t channels, uint8_t* codes, size_t pitch, float* scale,
                       float* shift);
  // value = min(max(value * scale + (bias[n] - shift * sum[n]), low), high) on rows `stride` floats apart. Row m has
  // the scale and the shift at m * step.
  void (*finish)(float* values, size_t rows, size_t stride, size_t count, const float* scale, const float* shift,
                 size_t step, const float* bias, const float* sum, float low, float high);
  // The same with a scale and a shift a channel.
  void (*finishChannels)(float* values, size_t rows, size_t stride, size_t count, const float* scale,
                         const float* shift, const float* bias, const float* sum, float low, float high);
};

}  // namespace lowbit
