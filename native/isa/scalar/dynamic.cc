// The definition of the kernels of dynamic activations.
#include "kernels.h"
#include "store.h"

namespace lowbit {
namespace scalar {
namespace {

uint8_t code(float value, float inverse, float zero) {
  return static_cast<uint8_t>(std::nearbyintf(clampFloat(value * inverse + zero, 0.0f, 255.0f)));
}

void extrema(const float* values, size_t count, float* low, float* high) {
  for (size_t i = 0; i < count; ++i) {
    *low = values[i] < *low ? values[i] : *low;
    *high = values[i] > *high ? values[i] : *high;
  }
}

void channelExtrema(const float* values, size_t rows, size_t channels, float* low, float* high) {
  for (size_t i = 0; i < rows * channels; ++i) extrema(values + i, 1, low + i % channels, high + i % channels);
}

void quantize(const float* values, size_t rows, size_t channels, const DynamicRange& range, uint8_t* codes,
              size_t pitch) {
  for (size_t r = 0; r < rows; ++r, values += channels, codes += pitch) {
    for (size_t c = 0; c < channels; ++c) codes[c] = code(values[c], range.inverse, range.zero);
  }
}

void quantizeChannels(const float* values, size_t rows, size_t channels, const float* inverse, const float* zero,
                      uint8_t* codes, size_t pitch) {
  for (size_t r = 0; r < rows; ++r, values += channels, codes += pitch) {
    for (size_t c = 0; c < channels; ++c) codes[c] = code(values[c], inverse[c], zero[c]);
  }
}

void quantizeRows(const float* values, size_t rows, size_t channels, uint8_t* codes, size_t pitch, float* scale,
                  float* shift) {
  for (size_t r = 0; r < rows; ++r, values += channels, codes += pitch) {
    float low = 0, high = 0;
    extrema(values, channels, &low, &high);
    const DynamicRange range = dynamicRange(low, high);
    quantize(values, 1, channels, range, codes, pitch);
    scale[r] = range.scale;
    shift[r] = range.scale * range.zero;
  }
}

void finish(float* values, size_t rows, size_t stride, size_t count, const float* scale, const float* shift,
            size_t step, const float* bias, const float* sum, float low, float high) {
  for (size_t m = 0; m < rows; ++m, values += stride, scale += step, shift += step) {
    for (size_t n = 0; n < count; ++n) {
      values[n] = clampFloat(values[n] * *scale + (bias[n] - *shift * sum[n]), low, high);
    }
  }
}

void finishChannels(float* values, size_t rows, size_t stride, size_t count, const float* scale, const float* shift,
                    const float* bias, const float* sum, float low, float high) {
  for (size_t m = 0; m < rows; ++m, values += stride) {
    for (size_t n = 0; n < count; ++n) {
      values[n] = clampFloat(values[n] * scale[n] + (bias[n] - shift[n] * sum[n]), low, high);
    }
  }
}

}  // namespace

void setDynamic(Kernels& table) {
  table.dynamic.extrema = extrema;
  table.dynamic.channelExtrema = channelExtrema;
  table.dynamic.quantize = quantize;
  table.dynamic.quantizeChannels = quantizeChannels;
  table.dynamic.quantizeRows = quantizeRows;
  table.dynamic.finish = finish;
  table.dynamic.finishChannels = finishChannels;
}

}  // namespace scalar
}  // namespace lowbit
