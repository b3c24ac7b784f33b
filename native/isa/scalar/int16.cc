// The definition of the int16 kernels.
#include <cmath>

#include "kernels.h"
#include "store.h"

namespace lowbit {
namespace scalar {
namespace {

void gemm(const Int16GemmArgs& args) {
  const size_t panelSize = static_cast<size_t>(args.taps) * args.pairs * kInt16Panel * 2;
  for (int m = 0; m < args.rowCount; ++m) {
    for (int n = 0; n < args.outputs; ++n) {
      const int16_t* filter = args.packed + n / kInt16Panel * panelSize + n % kInt16Panel * 2;
      int32_t sum = 0;
      for (int t = 0; t < args.taps; ++t) {
        const int16_t* row = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + m]
                                       : args.base + static_cast<size_t>(m) * args.rowStride;
        for (int p = 0; p < args.pairs; ++p, filter += 2 * kInt16Panel) {
          sum += row[2 * p] * filter[0] + row[2 * p + 1] * filter[1];
        }
      }
      const float value = static_cast<float>(sum) * args.multiplier[n] + args.bias[n];
      args.out[static_cast<size_t>(m) * args.outputs + n] = clampFloat(value, args.low, args.high);
    }
  }
}

void depthwise(const Int16DepthwiseArgs& args) {
  for (int m = 0; m < args.pixelCount; ++m) {
    for (int c = 0; c < args.channels; ++c) {
      int32_t sum = 0;
      for (int t = 0; t < args.taps; ++t) {
        sum += args.pixels[static_cast<size_t>(t) * args.pixelCount + m][c] *
               args.packed[int16DepthwiseIndex(t, c, args.channels)];
      }
      const float value = static_cast<float>(sum) * args.multiplier[c] + args.bias[c];
      args.out[static_cast<size_t>(m) * args.channels + c] = clampFloat(value, args.low, args.high);
    }
  }
}

float largest(const float* values, size_t count) {
  float most = 0;
  for (size_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(values[i]);
    most = magnitude > most ? magnitude : most;
  }
  return most;
}

void quantize(const float* values, size_t count, float inverse, int16_t* codes) {
  for (size_t i = 0; i < count; ++i) {
    codes[i] = static_cast<int16_t>(std::nearbyintf(clampFloat(values[i] * inverse, -32767.0f, 32767.0f)));
  }
}

}  // namespace

void setInt16(Kernels& table) {
  table.int16.gemm = gemm;
  table.int16.depthwise = depthwise;
  table.int16.largest = largest;
  table.int16.quantize = quantize;
}

}  // namespace scalar
}  // namespace lowbit
