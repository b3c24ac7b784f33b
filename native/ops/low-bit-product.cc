#include "low-bit-product.h"

#include <cfloat>

#include "low-bit-matrix.h"
#include "ops.h"
#include "weighted.h"
#include "window.h"

namespace lowbit {
namespace {

// The numbers of an op with a low-bit filter.
class LowBitNumbers {
 public:
  LowBitNumbers(OpReader& reader, const LowBitMatrix& matrix, const Filter& filter, const Activation& activation,
                const Tensor& input, const Tensor& output)
      : zero_(matrix.rows), bias_(matrix.rows), table_(activation.table) {
    const bool toFloat = output.type == TensorType::kFloat32;
    if (toFloat) expectNoTable(reader, activation, "a float32 output");
    checkSums(reader, matrix);
    const double outScale = toFloat ? 1.0 : !table_.empty() ? activation.preScale : output.scale;
    stage_.multiplier = static_cast<float>(static_cast<double>(input.scale) / outScale);
    if (!(stage_.multiplier > 0) || std::isinf(stage_.multiplier)) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: the scales of input and output, %g and %g, are too far apart.",
           reader.label().c_str(), static_cast<double>(input.scale), outScale);
    }
    const int32_t zeroPoint = !table_.empty() ? activation.preZeroPoint : output.zeroPoint;
    const CodeRange range(activation.codeMin, activation.codeMax, zeroPoint);
    stage_.low = toFloat ? activation.floatMin : range.low;
    stage_.high = toFloat ? activation.floatMax : range.high;
    stage_.zeroPoint = toFloat ? 0 : zeroPoint;
    for (int32_t n = 0; n < matrix.rows; ++n) zero_[n] = sumOfZeros(matrix, n, input.zeroPoint);
    if (filter.biasOffset != -1) readBias(reader, filter.biasOffset, outScale);
  }

  LowBitStage output() const {
    LowBitStage stage = stage_;
    stage.table = table_.empty() ? nullptr : table_.data();
    return stage;
  }

  LowBitConstants from(int32_t first) const { return LowBitConstants{zero_.data() + first, bias_.data() + first}; }

 private:
  // Refuses what could leave int32 within a group, or float32 over all.
  static void checkSums(const OpReader& reader, const LowBitMatrix& matrix) {
    int64_t greatest = 0;
    for (int8_t level : matrix.format.levels) greatest = std::max<int64_t>(greatest, std::abs(level));
    const int64_t perGroup = 128 * greatest * matrix.format.group;
    if (perGroup > INT32_MAX) {
      fail(LOWBIT_INVALID_PROGRAM,
           "%s: the sum of a group of %d inputs could reach %lld and overflow int32; quantize the model again with "
           "smaller groups.",
           reader.label().c_str(), matrix.format.group, static_cast<long long>(perGroup));
    }
    for (int32_t n = 0; n < matrix.rows; ++n) {
      double most = 0;
      for (int g = 0; g < matrix.groups(); ++g) {
        most += static_cast<double>(perGroup) * static_cast<double>(matrix.scale(n, g));
      }
      if (most > FLT_MAX / 4) {
        fail(LOWBIT_INVALID_PROGRAM, "%s: the weights of output channel %d are too large for float32 sums.",
             reader.label().c_str(), n);
      }
    }
  }

  // f of a row of zero points (see LowBitArgs).
  static float sumOfZeros(const LowBitMatrix& matrix, int32_t n, int32_t zeroPoint) {
    float sum = 0;
    if (zeroPoint == 128) return sum;
    for (int g = 0; g < matrix.groups(); ++g) {
      const int end = std::min(matrix.depth, (g + 1) * matrix.format.group);
      int32_t levels = 0;
      for (int k = g * matrix.format.group; k < end; ++k) levels += matrix.level(n, k);
      sum = sum + static_cast<float>((zeroPoint - 128) * levels) * matrix.scale(n, g);
    }
    return sum;
  }

  void readBias(OpReader& reader, int64_t offset, double outScale) {
    const uint8_t* bytes = reader.bytes("bias", offset, 4ll * bias_.size(), 4);
    for (size_t n = 0; n < bias_.size(); ++n) {
      float real;
      std::memcpy(&real, bytes + 4 * n, sizeof real);
      bias_[n] = static_cast<float>(static_cast<double>(real) / outScale);
      if (!std::isfinite(bias_[n])) {
        fail(LOWBIT_INVALID_PROGRAM, "%s: bias %zu is %g, expected a finite number of output steps.",
             reader.label().c_str(), n, static_cast<double>(real));
      }
    }
  }

  std::vector<float> zero_, bias_;
  std::vector<uint8_t> table_;
  LowBitStage stage_{};
};

class LowBitProduct : public Operator {
 public:
  LowBitProduct(OpReader& reader, const Window& window, const LowBitMatrix& matrix, const Filter& filter,
                const Activation& activation, const Tensor& input, const Tensor& output)
      : Operator(reader.label()),
        window_(window),
        format_(matrix.format),
        inChannels_(matrix.depth),
        outChannels_(matrix.rows),
        toFloat_(output.type == TensorType::kFloat32),
        productScratchBytes_(alignUp(reader.kernels().lowBitScratchBytes(matrix.format, matrix.depth))),
        numbers_(reader, matrix, filter, activation, input, output),
        zeroRow_(matrix.depth + 64, static_cast<uint8_t>(input.zeroPoint)) {
    std::vector<size_t> sizes;
    for (int32_t first = 0; first < matrix.rows; first += PackedMatrix::kBlock) {
      const int32_t count = std::min(PackedMatrix::kBlock, matrix.rows - first);
      sizes.push_back(reader.kernels().packedLowBitBytes(format_, count, matrix.depth));
    }
    packed_ = PackedBlocks(sizes);
    for (int32_t first = 0; first < matrix.rows; first += PackedMatrix::kBlock) {
      const int32_t count = std::min(PackedMatrix::kBlock, matrix.rows - first);
      blocks_.push_back(PackedMatrix::Block{first, count, packed_.block(blocks_.size())});
      reader.kernels().packLowBit(matrix.slice(first, count), numbers_.from(first), blocks_.back().packed);
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planWindow(label(), window_, inputs[0]);
    if (plan.channels != inChannels_) {
      fail(LOWBIT_INVALID_SHAPE, "%s: filter has %d input channels but the activation has %d.", label().c_str(),
           inChannels_, plan.channels);
    }
    return outputOf(plan, outChannels_);
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override {
    return productScratchBytes_ + sizeof(uint8_t*) * kMaxRows;
  }

  bool takesEpilogue() const override { return !toFloat_; }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const WindowPlan plan = planWindow(label(), window_, *input.shape);
    const bool direct = window_.strideH == 1 && window_.strideW == 1 && plan.outH == plan.inH && plan.outW == plan.inW;
    const Split split = splitWork(SplitLimits{plan.pixels(), context.pool.threads(), inChannels_, kMaxRows,
                                              blocks_.size(), outChannels_ > 2 * plan.pixels()});
    const LowBitStage stage = numbers_.output();
    context.pool.parallelFor(split.chunks(), [&](size_t chunk, int thread) {
      const int64_t first = split.firstRow(chunk);
      const int count = static_cast<int>(std::min(split.rows, plan.pixels() - first));
      uint8_t* scratch = context.threadScratch<uint8_t>(thread);
      LowBitArgs args{};
      if (!direct) {
        const uint8_t** pointers = reinterpret_cast<const uint8_t**>(scratch + productScratchBytes_);
        gatherRows(plan, window_, input, first, count, zeroRow_.data(), pointers);
        args.rows = pointers;
      }
      args.base = input.row(first);
      args.rowStride = input.pitch();
      args.rowCount = count;
      args.depth = inChannels_;
      args.format = &format_;
      args.stage = &stage;
      args.scratch = scratch;
      for (size_t b = split.firstBlock(chunk), end = b + split.blocks; b < end; ++b) {
        const PackedMatrix::Block& block = blocks_[b];
        args.packed = block.packed;
        args.outputs = block.count;
        if (toFloat_) {
          args.floatOut = context.output.floats() + first * outChannels_ + block.first;
          args.outStride = outChannels_;
        } else {
          args.out = context.output.row(first) + block.first;
          args.outStride = context.output.pitch();
        }
        context.kernels.lowBitProduct(args);
        context.runEpilogue(Rows{first, count, block.first, block.count});
      }
    });
  }

  size_t packedBytes() const override { return packed_.bytes(); }

 private:
  static constexpr int64_t kMaxRows = 576;

  Window window_;
  LowBitFormat format_;
  int32_t inChannels_, outChannels_;
  bool toFloat_;
  size_t productScratchBytes_;
  LowBitNumbers numbers_;
  std::vector<uint8_t> zeroRow_;
  PackedBlocks packed_;
  std::vector<PackedMatrix::Block> blocks_;
};

}  // namespace

std::unique_ptr<Operator> makeLowBitProduct(OpReader& reader, const Window& window, int32_t inChannels,
                                            int32_t outChannels, const Filter& filter, const Activation& activation,
                                            const Tensor& input, const Tensor& output) {
  const LowBitMatrix matrix = lowBitMatrix(reader, filter, outChannels, inChannels);
  return std::make_unique<LowBitProduct>(reader, window, matrix, filter, activation, input, output);
}

}  // namespace lowbit
