// What convolutions and linear layers share: packed filters, bias with the zero-point correction, multipliers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "operator.h"
#include "ops.h"

namespace lowbit {

// The numbers of an op with a filter, one entry an output channel.
class ChannelStage {
 public:
  // weightSums and weightMagnitudes: sum of w and of |w| over the taps and depth of each output channel.
  ChannelStage(OpReader& reader, const Filter& filter, int32_t channels, const Tensor& input, const Tensor& output,
               const Activation& activation, const std::vector<int64_t>& weightSums,
               const std::vector<int64_t>& weightMagnitudes)
      : bias_(channels), multiplier_(channels), table_(activation.table) {
    const bool toFloat = output.type == TensorType::kFloat32;
    if (toFloat) expectNoTable(reader, activation, "a float32 output");
    const bool hasTable = !table_.empty();
    const double outScale = toFloat ? 1.0 : hasTable ? activation.preScale : output.scale;
    const uint8_t* scales = reader.bytes("filter scales", filter.scaleOffset, 4ll * channels, 4);
    const uint8_t* bias = nullptr;
    if (filter.biasOffset != -1) bias = reader.bytes("bias", filter.biasOffset, 4ll * channels, 4);
    bool bounded = true;
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
      // Twice: the sum is rounded to float32, and so is the product.
      bounded = bounded && 2.0 * static_cast<double>(magnitude) * multiplier < 2147483648.0;
    }
    const int32_t zeroPoint = hasTable ? activation.preZeroPoint : output.zeroPoint;
    const CodeRange range(activation.codeMin, activation.codeMax, zeroPoint);
    stage_.low = toFloat ? activation.floatMin : range.low;
    stage_.high = toFloat ? activation.floatMax : range.high;
    stage_.zeroPoint = toFloat ? 0 : zeroPoint;
    stage_.bounded = bounded;
  }

  OutputStage output() const {
    OutputStage stage = stage_;
    stage.table = table_.empty() ? nullptr : table_.data();
    return stage;
  }

  ChannelConstants from(int32_t first) const {
    return ChannelConstants{bias_.data() + first, multiplier_.data() + first};
  }

 private:
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
  std::vector<uint8_t> table_;
  OutputStage stage_{};
};

// A filter matrix [outputs][taps][depth], packed in blocks of outputs that threads take one by one. The program holds
// them.
class PackedMatrix {
 public:
  static constexpr int32_t kBlock = 128;  // a multiple of every panel width

  // `constants` start at the first output of the matrix.
  PackedMatrix(const OpReader& reader, const int8_t* filter, int32_t outputs, int32_t taps, int32_t depth,
               const ChannelConstants& constants) {
    const Kernels& kernels = reader.kernels();
    std::vector<size_t> sizes;
    for (int32_t first = 0; first < outputs; first += kBlock) {
      sizes.push_back(kernels.packedGemmBytes(std::min(kBlock, outputs - first), taps, depth));
    }
    PackedBlocks packed(sizes);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const int32_t first = static_cast<int32_t>(i) * kBlock;
      kernels.packGemm(filter + static_cast<size_t>(first) * taps * depth, std::min(kBlock, outputs - first), taps,
                       depth, ChannelConstants{constants.bias + first, constants.multiplier + first}, packed.block(i));
    }
    PackedBlocks* const shared = reader.packings().share(std::move(packed));
    for (size_t i = 0; i < sizes.size(); ++i) {
      const int32_t first = static_cast<int32_t>(i) * kBlock;
      blocks_.push_back(Block{first, std::min(kBlock, outputs - first), shared->block(i)});
    }
  }

  struct Block {
    int32_t first;
    int32_t count;
    uint8_t* packed;
  };

  const std::vector<Block>& blocks() const { return blocks_; }

 private:
  std::vector<Block> blocks_;
};

// A chunk of work is `rows` rows of the output by `blocks` blocks of its channels.
struct Split {
  int64_t rows;
  int64_t rowChunks;
  size_t blocks;
  size_t blockChunks;

  size_t chunks() const { return static_cast<size_t>(rowChunks) * blockChunks; }
  int64_t firstRow(size_t chunk) const { return static_cast<int64_t>(chunk / blockChunks) * rows; }
  size_t firstBlock(size_t chunk) const { return chunk % blockChunks * blocks; }
};

struct SplitLimits {
  int64_t pixels;
  int threads;
  int64_t perRow;   // bytes of input
  int64_t maxRows;  // of a chunk
  size_t blocks;
  bool filterIsLarger;  // than the input
};

constexpr int64_t kTileRows = 12;  // a multiple of the tile heights of most kernels

// By rows: the filter passes through every core's cache, each core's rows stay in it from op to op. By blocks of
// outputs where the filter is the larger one, so that each core reads its own part alone.
inline Split splitWork(const SplitLimits& limits) {
  constexpr int64_t kCacheBytes = 128 * 1024;  // the input of a chunk, in the level-2 cache
  constexpr int64_t kChunksPerThread = 4;
  const bool byBlocks =
      limits.threads > 1 && limits.filterIsLarger && limits.blocks >= static_cast<size_t>(limits.threads);
  int64_t rows = std::min(limits.maxRows, std::max<int64_t>(1, kCacheBytes / limits.perRow));
  if (limits.threads > 1 && !byBlocks) rows = std::min(rows, limits.pixels / (kChunksPerThread * limits.threads));
  rows = std::max<int64_t>(1, rows / kTileRows) * kTileRows;
  return Split{rows, ceilDiv(limits.pixels, rows), byBlocks ? 1 : limits.blocks, byBlocks ? limits.blocks : 1};
}

}  // namespace lowbit
