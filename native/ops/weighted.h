// What convolutions and linear layers share: packed filters, bias with the zero-point correction, multipliers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "operator.h"
#include "reader.h"

namespace lowbit {

// The numbers of an op with a filter, one entry an output channel.
class ChannelStage {
 public:
  // weightSums and weightMagnitudes: sum of w and of |w| over the taps and depth of each output channel.
  ChannelStage(OpReader& reader, const Filter& filter, int32_t channels, const Tensor& input, const Tensor& output,
               const Activation& activation, const std::vector<int64_t>& weightSums,
               const std::vector<int64_t>& weightMagnitudes)
      : bias_(channels + kPadding), multiplier_(channels + kPadding), table_(activation.table) {
    const bool toFloat = output.type == TensorType::kFloat32;
    if (toFloat && !table_.empty()) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: a float32 output takes no activation table.", reader.label().c_str());
    }
    const bool hasTable = !table_.empty();
    const double outScale = toFloat ? 1.0 : hasTable ? activation.preScale : output.scale;
    const uint8_t* scales = reader.bytes("filter scales", filter.scaleOffset, 4ll * channels, 4);
    const uint8_t* bias = nullptr;
    if (filter.biasOffset != -1) bias = reader.bytes("bias", filter.biasOffset, 4ll * channels, 4);
    for (int32_t c = 0; c < channels; ++c) {
      float scale;
      std::memcpy(&scale, scales + 4ll * c, sizeof scale);
      const double multiplier = static_cast<double>(input.scale) * static_cast<double>(scale) / outScale;
      multiplier_[c] = static_cast<float>(multiplier);
      if (!(scale > 0) || !std::isfinite(multiplier_[c])) {
        fail(LOWBIT_INVALID_PROGRAM, "%s: filter scale %d is %g, expected a positive number within float32 range.",
             reader.label().c_str(), c, static_cast<double>(scale));
      }
      int32_t offset = 0;
      if (bias) std::memcpy(&offset, bias + 4ll * c, sizeof offset);
      const int64_t magnitude = 255 * weightMagnitudes[c] + std::llabs(static_cast<long long>(offset));
      if (magnitude > INT32_MAX) {
        fail(LOWBIT_INVALID_PROGRAM,
             "%s: the accumulator of output channel %d could reach %lld and overflow int32; convert the model again "
             "with a wider filter scale.",
             reader.label().c_str(), c, static_cast<long long>(magnitude));
      }
      bias_[c] = static_cast<int32_t>(offset - input.zeroPoint * weightSums[c]);
    }
    const int32_t zeroPoint = hasTable ? activation.preZeroPoint : output.zeroPoint;
    const CodeRange range(activation.codeMin, activation.codeMax, zeroPoint);
    low_ = toFloat ? activation.realMin : range.low;
    high_ = toFloat ? activation.realMax : range.high;
    zeroPoint_ = toFloat ? 0 : zeroPoint;
  }

  // The stage as seen by a kernel that starts at output channel `first`.
  OutputStage from(int32_t first) const {
    return OutputStage{bias_.data() + first, multiplier_.data() + first,          low_, high_,
                       zeroPoint_,           table_.empty() ? nullptr : table_.data()};
  }

 private:
  static constexpr int kPadding = 64;  // kernels load whole vectors
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
  std::vector<uint8_t> table_;
  float low_;
  float high_;
  int32_t zeroPoint_;
};

// A filter matrix [outputs][taps][depth], packed in blocks of outputs that threads take one by one.
class PackedMatrix {
 public:
  static constexpr int32_t kBlock = 256;

  PackedMatrix(const Kernels& kernels, const int8_t* filter, int32_t outputs, int32_t taps, int32_t depth) {
    for (int32_t first = 0; first < outputs; first += kBlock) {
      const int32_t count = std::min(kBlock, outputs - first);
      blocks_.push_back(Block{first, count, PackedBytes(kernels.packedGemmBytes(count, taps, depth))});
      kernels.packGemm(filter + static_cast<size_t>(first) * taps * depth, count, taps, depth,
                       blocks_.back().packed.data());
    }
  }

  struct Block {
    int32_t first;
    int32_t count;
    PackedBytes packed;
  };

  const std::vector<Block>& blocks() const { return blocks_; }

  size_t bytes() const {
    size_t sum = 0;
    for (const Block& block : blocks_) sum += block.packed.bytes();
    return sum;
  }

 private:
  std::vector<Block> blocks_;
};

// Rows of a chunk: its input stays in the level-2 cache while it passes all blocks of the filter; a multiple of the
// tile heights of the kernels, and several chunks a thread where there are rows enough.
inline int64_t chunkRows(int64_t rows, int64_t bytesPerRow, int64_t maxRows, int threads) {
  constexpr int64_t kTile = 36;
  constexpr int64_t kCacheBytes = 128 * 1024;
  int64_t tiles = std::min(kCacheBytes / bytesPerRow, maxRows) / kTile;
  if (threads > 1) tiles = std::min(tiles, rows / (4 * threads) / kTile);
  return kTile * std::max<int64_t>(1, tiles);
}

}  // namespace lowbit
