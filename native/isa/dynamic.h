// The inner loops of layers whose int8 activations take their scale and zero point from the values at hand. Plain loops
// that the compiler turns into vectors in the folder of each instruction set: every element takes the same float32
// operations in the same order everywhere, so the variants agree to the bit.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lowbit {

// Unsigned codes of a range [low, high] around 0: x = (code - zero) * scale.
struct DynamicRange {
  float scale;
  float inverse;
  float zero;  // a whole number from 0 to 255

  // A range too narrow for its inverse to be a float32 has code 0 for all values, and infinities end at its ends.
  DynamicRange(float low, float high) : scale(1), inverse(0), zero(0) {
    constexpr float kLargest = FLT_MAX / 2, kSmallest = 1e-30f;
    low = std::max(low, -kLargest);
    high = std::min(high, kLargest);
    const float width = high - low;
    if (width < kSmallest) return;
    scale = width / 255.0f;
    inverse = 255.0f / width;
    zero = std::nearbyintf(std::min(-low * inverse, 255.0f));
  }
};

struct DynamicKernels {
  // Lowers `low` and raises `high` to the extrema of the values; NaN counts for nothing.
  void (*extrema)(const float* values, size_t count, float* low, float* high);
  // The same for each channel of `rows` rows.
  void (*channelExtrema)(const float* values, size_t rows, size_t channels, float* low, float* high);
  // code = rint(min(max(x * inverse, -zero), 255 - zero)) + zero; NaN gives code 0. Rows of codes lie `pitch` bytes apart.
  void (*quantize)(const float* values, size_t rows, size_t channels, const DynamicRange& range, uint8_t* codes,
                   size_t pitch);
  // The same with an inverse and a zero a channel.
  void (*quantizeChannels)(const float* values, size_t rows, size_t channels, const float* inverse, const float* zero,
                           uint8_t* codes, size_t pitch);
  // The same with a range for every row, of which scale and scale * zero are stored.
  void (*quantizeRows)(const float* values, size_t rows, size_t channels, uint8_t* codes, size_t pitch, float* scale,
                       float* shift);
  // value = min(max(value * scale + (bias[n] - shift * sum[n]), low), high) on rows `stride` floats apart. Row m has the
  // scale and the shift at m * step.
  void (*finish)(float* values, size_t rows, size_t stride, size_t count, const float* scale, const float* shift,
                 size_t step, const float* bias, const float* sum, float low, float high);
  // The same with a scale and a shift a channel.
  void (*finishChannels)(float* values, size_t rows, size_t stride, size_t count, const float* scale,
                         const float* shift, const float* bias, const float* sum, float low, float high);
};

namespace {
namespace dynamic {

inline float clamp(float value, float low, float high) {
  const float above = value > low ? value : low;
  return above < high ? above : high;
}

// Adding 1.5 * 2^23 rounds half to even into the lowest bits.
inline uint8_t code(float value, float inverse, float zero) {
  const float rounded = clamp(value * inverse, -zero, 255.0f - zero) + (zero + 12582912.0f);
  uint32_t bits;
  std::memcpy(&bits, &rounded, sizeof bits);
  return static_cast<uint8_t>(bits);
}

inline void extrema(const float* values, size_t count, float* low, float* high) {
  constexpr size_t kLanes = 16;
  float lows[kLanes], highs[kLanes];
  std::fill(lows, lows + kLanes, *low);
  std::fill(highs, highs + kLanes, *high);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      const float x = values[i + l];
      lows[l] = x < lows[l] ? x : lows[l];
      highs[l] = x > highs[l] ? x : highs[l];
    }
  }
  for (size_t l = 0; i < count; ++i, ++l) {
    lows[l] = values[i] < lows[l] ? values[i] : lows[l];
    highs[l] = values[i] > highs[l] ? values[i] : highs[l];
  }
  *low = *std::min_element(lows, lows + kLanes);
  *high = *std::max_element(highs, highs + kLanes);
}

inline void channelExtrema(const float* values, size_t rows, size_t channels, float* __restrict low,
                           float* __restrict high) {
  for (size_t r = 0; r < rows; ++r, values += channels) {
    for (size_t c = 0; c < channels; ++c) {
      low[c] = values[c] < low[c] ? values[c] : low[c];
      high[c] = values[c] > high[c] ? values[c] : high[c];
    }
  }
}

inline void quantize(const float* values, size_t rows, size_t channels, const DynamicRange& range,
                     uint8_t* __restrict codes, size_t pitch) {
  const float inverse = range.inverse, zero = range.zero;
  for (size_t r = 0; r < rows; ++r, values += channels, codes += pitch) {
    for (size_t c = 0; c < channels; ++c) codes[c] = code(values[c], inverse, zero);
  }
}

inline void quantizeChannels(const float* values, size_t rows, size_t channels, const float* inverse,
                             const float* zero, uint8_t* __restrict codes, size_t pitch) {
  for (size_t r = 0; r < rows; ++r, values += channels, codes += pitch) {
    for (size_t c = 0; c < channels; ++c) codes[c] = code(values[c], inverse[c], zero[c]);
  }
}

inline void quantizeRows(const float* values, size_t rows, size_t channels, uint8_t* codes, size_t pitch, float* scale,
                         float* shift) {
  for (size_t r = 0; r < rows; ++r, values += channels, codes += pitch) {
    float low = 0, high = 0;
    extrema(values, channels, &low, &high);
    const DynamicRange range(low, high);
    quantize(values, 1, channels, range, codes, pitch);
    scale[r] = range.scale;
    shift[r] = range.scale * range.zero;
  }
}

inline void finish(float* __restrict values, size_t rows, size_t stride, size_t count, const float* scale,
                   const float* shift, size_t step, const float* bias, const float* sum, float low, float high) {
  for (size_t m = 0; m < rows; ++m, values += stride, scale += step, shift += step) {
    const float a = *scale, b = *shift;
    for (size_t n = 0; n < count; ++n) values[n] = clamp(values[n] * a + (bias[n] - b * sum[n]), low, high);
  }
}

inline void finishChannels(float* __restrict values, size_t rows, size_t stride, size_t count, const float* scale,
                           const float* shift, const float* bias, const float* sum, float low, float high) {
  for (size_t m = 0; m < rows; ++m, values += stride) {
    for (size_t n = 0; n < count; ++n) {
      values[n] = clamp(values[n] * scale[n] + (bias[n] - shift[n] * sum[n]), low, high);
    }
  }
}

constexpr DynamicKernels kernels = {extrema,      channelExtrema, quantize,      quantizeChannels,
                                    quantizeRows, finish,         finishChannels};

}  // namespace dynamic
}  // namespace
}  // namespace lowbit
