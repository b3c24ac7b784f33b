// The definition of every kernel, in the plainest code.
#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../base/exp.h"
#include "store.h"

namespace lowbit {
namespace scalar {
namespace {

// A packed filter: the constants of all outputs, then the canonical bytes.
struct Packed {
  const int32_t* bias;
  const float* multiplier;
  const int8_t* filter;

  Packed(const void* data, int outputs)
      : bias(static_cast<const int32_t*>(data)),
        multiplier(reinterpret_cast<const float*>(bias + outputs)),
        filter(reinterpret_cast<const int8_t*>(multiplier + outputs)) {}

  float value(uint32_t accumulator, int channel) const {
    const int32_t sum = static_cast<int32_t>(accumulator + static_cast<uint32_t>(bias[channel]));
    return static_cast<float>(sum) * multiplier[channel];
  }
};

size_t packedBytes(size_t outputs, size_t perOutput) { return outputs * (sizeof(int32_t) + sizeof(float) + perOutput); }

void pack(const int8_t* filter, size_t outputs, size_t perOutput, const ChannelConstants& constants, void* packed) {
  uint8_t* to = static_cast<uint8_t*>(packed);
  std::memcpy(to, constants.bias, outputs * sizeof(int32_t));
  std::memcpy(to += outputs * sizeof(int32_t), constants.multiplier, outputs * sizeof(float));
  std::memcpy(to + outputs * sizeof(float), filter, outputs * perOutput);
}

size_t packedGemmBytes(int outputs, int taps, int depth) {
  return packedBytes(outputs, static_cast<size_t>(taps) * depth);
}

void packGemm(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants, void* packed) {
  pack(filter, outputs, static_cast<size_t>(taps) * depth, constants, packed);
}

size_t gemmScratchBytes(int, int) { return 0; }

void gemm(const GemmArgs& args) {
  const OutputStage& stage = *args.stage;
  const Packed packed(args.packed, args.outputs);
  for (int m = 0; m < args.rowCount; ++m) {
    for (int n = 0; n < args.outputs; ++n) {
      const int8_t* filter = packed.filter + static_cast<size_t>(n) * args.taps * args.depth;
      uint32_t sum = 0;
      for (int t = 0; t < args.taps; ++t, filter += args.depth) {
        const uint8_t* row = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + m]
                                       : args.base + static_cast<size_t>(m) * args.rowStride;
        for (int k = 0; k < args.depth; ++k) sum += static_cast<uint32_t>(row[k] * filter[k]);
      }
      const float value = packed.value(sum, n);
      if (args.floatOut) {
        args.floatOut[m * args.outStride + n] = clampFloat(value, stage.low, stage.high);
      } else {
        args.out[m * args.outStride + n] = toCode(value, stage.low, stage.high, stage.zeroPoint, stage.table);
      }
    }
  }
}

size_t packedDepthwiseBytes(int channels, int kernelH, int kernelW) {
  return packedBytes(channels, static_cast<size_t>(kernelH) * kernelW);
}

void packDepthwise(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed) {
  pack(filter, channels, static_cast<size_t>(kernelH) * kernelW, constants, packed);
}

size_t depthwiseScratchBytes(int, int) { return 0; }

void depthwise(const DepthwiseArgs& args) {
  const OutputStage& stage = *args.stage;
  const Packed packed(args.packed, args.channels);
  for (int m = 0; m < args.outputs; ++m) {
    for (int c = 0; c < args.channels; ++c) {
      const int8_t* filter = packed.filter + c;
      uint32_t sum = 0;
      for (int ky = 0; ky < args.kernelH; ++ky) {
        const uint8_t* const* columns = args.columns + static_cast<size_t>(ky) * args.columnCount;
        for (int kx = 0; kx < args.kernelW; ++kx, filter += args.channels) {
          sum += static_cast<uint32_t>(columns[m * args.stride + kx * args.dilation][c] * *filter);
        }
      }
      const float value = packed.value(sum, c);
      if (args.floatOut) {
        args.floatOut[m * args.outStride + c] = clampFloat(value, stage.low, stage.high);
      } else {
        args.out[m * args.outStride + c] = toCode(value, stage.low, stage.high, stage.zeroPoint, stage.table);
      }
    }
  }
}

void quantize(const float* x, size_t count, float scale, int32_t zeroPoint, uint8_t* out) {
  const float low = static_cast<float>(-zeroPoint);
  const float high = static_cast<float>(255 - zeroPoint);
  for (size_t i = 0; i < count; ++i) out[i] = toCode(x[i] / scale, low, high, zeroPoint, nullptr);
}

void dequantize(const uint8_t* codes, size_t count, float scale, int32_t zeroPoint, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(codes[i] - zeroPoint) * scale;
}

void add(const uint8_t* a, const uint8_t* b, size_t count, const AddArgs& args, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const float left = static_cast<float>(a[i] - args.zeroA) * args.multiplierA;
    const float right = static_cast<float>(b[i] - args.zeroB) * args.multiplierB;
    out[i] = toCode(left + right, args.low, args.high, args.zeroPoint, args.table);
  }
}

void mul(const uint8_t* a, const uint8_t* b, size_t count, const MulArgs& args, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const float value = static_cast<float>((a[i] - args.zeroA) * (b[i] - args.zeroB)) * args.multiplier;
    out[i] = toCode(value, args.low, args.high, args.zeroPoint, args.table);
  }
}

void rescale(const uint8_t* in, size_t count, const RescaleArgs& args, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(in[i] - args.zeroIn) * args.multiplier;
    out[i] = toCode(value, args.low, args.high, args.zeroPoint, nullptr);
  }
}

void prelu(const uint8_t* in, size_t channels, const float* slopes, const RescaleArgs& args, uint8_t* out) {
  for (size_t c = 0; c < channels; ++c) {
    const int32_t steps = in[c] - args.zeroIn;
    const float value = static_cast<float>(steps) * (steps >= 0 ? args.multiplier : slopes[c]);
    out[c] = toCode(value, args.low, args.high, args.zeroPoint, nullptr);
  }
}

void lookup(const uint8_t* in, size_t count, const uint8_t* table, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = table[in[i]];
}

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
  for (int c = 0; c < channels; ++c) {
    uint8_t best = low;
    for (int r = 0; r < rowCount; ++r) best = rows[r][c] > best ? rows[r][c] : best;
    out[c] = best < high ? best : high;
  }
}

void sumRows(const uint8_t* const* rows, int rowCount, int channels, int32_t* sums) {
  for (int r = 0; r < rowCount; ++r) {
    for (int c = 0; c < channels; ++c) sums[c] += rows[r][c];
  }
}

void rescaleSums(const int32_t* sums, int channels, int32_t sumOfZeros, const RescaleArgs& args, uint8_t* out) {
  for (int c = 0; c < channels; ++c) {
    const float value = static_cast<float>(sums[c] - sumOfZeros) * args.multiplier;
    out[c] = toCode(value, args.low, args.high, args.zeroPoint, nullptr);
  }
}

void routingKeys(const float* scores, const float* bonus, int experts, float* keys, float* extremes) {
  extremes[0] = -INFINITY;
  extremes[1] = INFINITY;
  for (int e = 0; e < experts; ++e) {
    const float score = scores[e] > -INFINITY ? scores[e] : -INFINITY;
    const float key = bonus ? score + bonus[e] : score;
    keys[e] = key > -INFINITY ? key : -INFINITY;
    extremes[0] = std::max(extremes[0], score);
    if (score > -INFINITY) extremes[1] = std::min(extremes[1], score);
  }
  for (int i = 0; i < 2; ++i) extremes[i] += 0.0f;  // of two zeros that of no sign
  std::fill(keys + experts, keys + paddedExperts(experts), -INFINITY);
}

void routingSelect(const float* keys, int padded, int count, int32_t* ids) {
  for (int found = 0; found < count; ++found) {
    int best = -1;
    for (int e = 0; e < padded; ++e) {
      const bool taken = std::find(ids, ids + found, e) != ids + found;
      if (!taken && (best < 0 || keys[e] > keys[best])) best = e;
    }
    ids[found] = best;
  }
}

void exponentials(float* x, size_t count) {
  for (size_t i = 0; i < count; ++i) x[i] = expOfNonPositive(x[i]);
}

int routingPairs(const float* scores, const float* bonus, int tokens, int experts, float weightScale, int32_t* ids,
                 float* weights, double* ranges) {
  float keys[kMaxExperts];
  float block[kRangeBlock] = {};
  double sum = 0;
  for (int token = 0; token < tokens; ++token, scores += experts, ids += 2, weights += 2) {
    float extremes[2];
    routingKeys(scores, bonus, experts, keys, extremes);
    if (extremes[0] == -INFINITY) return token;
    block[token % kRangeBlock] = extremes[0] - extremes[1];
    if (token % kRangeBlock == kRangeBlock - 1 || token == tokens - 1) {
      sum += static_cast<double>(totalOf(block));
      std::fill_n(block, kRangeBlock, 0.0f);
    }
    routingSelect(keys, paddedExperts(experts), 2, ids);
    float first = cleanScore(scores[ids[0]]), second = cleanScore(scores[ids[1]]);
    if (second > first || (second == first && ids[1] < ids[0])) {
      std::swap(ids[0], ids[1]);
      std::swap(first, second);
    }
    const float e = expOfNonPositive(finiteScore(second) - finiteScore(first)), total = 1.0f + e;
    weights[0] = 1.0f / total * weightScale;
    weights[1] = e / total * weightScale;
  }
  if (ranges) *ranges = sum;
  return -1;
}

}  // namespace

void setKernels(Kernels& table) {
  table.packedGemmBytes = packedGemmBytes;
  table.packGemm = packGemm;
  table.gemmScratchBytes = gemmScratchBytes;
  table.gemm = gemm;
  table.packedDepthwiseBytes = packedDepthwiseBytes;
  table.packDepthwise = packDepthwise;
  table.depthwiseScratchBytes = depthwiseScratchBytes;
  table.depthwise = depthwise;
  table.quantize = quantize;
  table.dequantize = dequantize;
  table.add = add;
  table.mul = mul;
  table.rescale = rescale;
  table.prelu = prelu;
  table.lookup = lookup;
  table.maxRows = maxRows;
  table.sumRows = sumRows;
  table.rescaleSums = rescaleSums;
  table.routing.keys = routingKeys;
  table.routing.select = routingSelect;
  table.routing.exponentials = exponentials;
  table.routing.pairs = routingPairs;
  setLowBitProduct(table);
  setRows(table);
  setInt16(table);
  setDynamic(table);
  setProbe(table);
}

}  // namespace scalar

const Kernels& scalarKernels() {
  static const Kernels table = [] {
    Kernels kernels{};
    scalar::setKernels(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lowbit
