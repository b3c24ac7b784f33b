#include <algorithm>
#include <cstring>

#include "kernels.h"
#include "store.h"

namespace lowbit {
namespace scalar {
namespace {

// A packed matrix: the constants of all outputs, then scales and codes as the program has them.
struct Packed {
  const float* zero;
  const float* bias;
  LowBitMatrix matrix;

  Packed(const void* data, const LowBitFormat& format, int outputs, int depth)
      : zero(static_cast<const float*>(data)), bias(zero + outputs), matrix{format, outputs, depth, nullptr, nullptr} {
    matrix.scales = reinterpret_cast<const uint16_t*>(bias + outputs);
    matrix.codes = reinterpret_cast<const uint8_t*>(matrix.scales + static_cast<size_t>(outputs) * matrix.groups());
  }
};

float product(const LowBitMatrix& matrix, int n, const uint8_t* row) {
  float sum = 0;
  for (int g = 0; g < matrix.groups(); ++g) {
    const int first = g * matrix.format.group, end = std::min(matrix.depth, first + matrix.format.group);
    int32_t steps = 0;
    for (int k = first; k < end; ++k) steps += (row[k] - 128) * matrix.level(n, k);
    sum = sum + static_cast<float>(steps) * matrix.scale(n, g);
  }
  return sum;
}

size_t packedLowBitBytes(const LowBitFormat& format, int outputs, int depth) {
  const LowBitMatrix matrix{format, outputs, depth, nullptr, nullptr};
  const size_t perOutput = 2 * sizeof(float) + matrix.groups() * sizeof(uint16_t) + matrix.rowBytes();
  return static_cast<size_t>(outputs) * perOutput;
}

void packLowBit(const LowBitMatrix& matrix, const LowBitConstants& constants, void* packed) {
  const size_t rows = static_cast<size_t>(matrix.rows);
  uint8_t* to = static_cast<uint8_t*>(packed);
  const auto append = [&to](const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
    to += bytes;
  };
  append(constants.zero, rows * sizeof(float));
  append(constants.bias, rows * sizeof(float));
  append(matrix.scales, rows * matrix.groups() * sizeof(uint16_t));
  append(matrix.codes, rows * matrix.rowBytes());
}

size_t lowBitScratchBytes(const LowBitFormat&, int) { return 0; }

void lowBitProduct(const LowBitArgs& args) {
  const LowBitStage& stage = *args.stage;
  const Packed packed(args.packed, *args.format, args.outputs, args.depth);
  for (int m = 0; m < args.rowCount; ++m) {
    const uint8_t* row = args.rows ? args.rows[m] : args.base + static_cast<size_t>(m) * args.rowStride;
    for (int n = 0; n < args.outputs; ++n) {
      const float scaled = (product(packed.matrix, n, row) - packed.zero[n]) * stage.multiplier;
      const float value = scaled + packed.bias[n];
      if (args.floatOut) {
        args.floatOut[m * args.outStride + n] = clampFloat(value, stage.low, stage.high);
      } else {
        args.out[m * args.outStride + n] = toCode(value, stage.low, stage.high, stage.zeroPoint, stage.table);
      }
    }
  }
}

}  // namespace

void setLowBitProduct(Kernels& table) {
  table.packedLowBitBytes = packedLowBitBytes;
  table.packLowBit = packLowBit;
  table.lowBitScratchBytes = lowBitScratchBytes;
  table.lowBitProduct = lowBitProduct;
}

}  // namespace scalar
}  // namespace lowbit
