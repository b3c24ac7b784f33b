// QuantizedConv2D, QuantizedDepthwise and QuantizedLinear.
#include "dynamic.h"
#include "low-bit-product.h"
#include "ops.h"
#include "strips.h"
#include "weighted.h"
#include "window.h"

#include <limits>

namespace lowbit {
namespace {

// Throws unless tensors and weights go together, for any input but int16.
void checkWeighted(const OpReader& reader, const Filter& filter, const Tensor& input, const Tensor& output) {
  const bool dynamic = input.type == TensorType::kDynamicInt8;
  const bool codes = input.type == TensorType::kInt8;
  if (!dynamic && (!codes || (output.type != TensorType::kInt8 && output.type != TensorType::kFloat32))) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: expected an int8 input and an int8 or float32 output.", reader.label().c_str());
  }
  const bool ofInt16 = filter.format == WeightFormat::kInt16 || filter.format == WeightFormat::kOffsetInt8;
  if (ofInt16 || (dynamic && isLowBit(filter.format))) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: takes no weights of format %d with an input of %s.", reader.label().c_str(),
         static_cast<int32_t>(filter.format), nameOf(input.type));
  }
}

// Dynamic codes as plain ones of which the caller knows what they stand for.
Tensor plainCodes() {
  Tensor tensor;
  tensor.type = TensorType::kInt8;
  return tensor;
}

Activation noActivation() {
  Activation activation{};
  activation.codeMin = -128;
  activation.codeMax = 127;
  activation.preScale = 1;
  activation.floatMin = -std::numeric_limits<float>::infinity();
  activation.floatMax = std::numeric_limits<float>::infinity();
  return activation;
}

void checkGranularity(const OpReader& reader, const Tensor& input, bool suits) {
  if (suits) return;
  fail(LOWBIT_INVALID_PROGRAM, "%s: does not take codes of granularity %d.", reader.label().c_str(),
       static_cast<int32_t>(input.granularity));
}

struct WeightSums {
  std::vector<int64_t> sums;
  std::vector<int64_t> magnitudes;

  // Filter element i belongs to output channel channelOf(i).
  template <class ChannelOf>
  WeightSums(const int8_t* filter, int64_t count, int32_t channels, ChannelOf channelOf)
      : sums(channels), magnitudes(channels) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c = channelOf(i);
      sums[c] += filter[i];
      magnitudes[c] += std::abs(static_cast<int>(filter[i]));
    }
  }
};

// Convolution as a GEMM over rows of the input: direct for 1x1 kernels of stride 1, through pointers to the input rows
// of each tap otherwise; over few channels a tap is a row of the kernel.
class Convolution : public Operator {
 public:
  struct Geometry {
    Window window;
    int32_t inChannels, outChannels, groups;
  };

  static WeightSums weightSums(const Geometry& geometry, const int8_t* filter) {
    const int64_t perOutput = static_cast<int64_t>(geometry.window.kernelH) * geometry.window.kernelW *
                              (geometry.inChannels / geometry.groups);
    return WeightSums(filter, perOutput * geometry.outChannels, geometry.outChannels,
                      [=](int64_t i) { return i / perOutput; });
  }

  // filter [outChannels][taps][inChannels / groups]
  Convolution(OpReader& reader, const Geometry& geometry, const int8_t* filter, const WeightSums& sums,
              const Filter& offsets, const Activation& activation, const Tensor& input, const Tensor& output)
      : Operator(reader.label()),
        geometry_(geometry),
        strips_(geometry.groups == 1 && Strips::serve(geometry.window, geometry.inChannels)),
        toFloat_(output.type == TensorType::kFloat32),
        gemmScratchBytes_(alignUp(reader.kernels().gemmScratchBytes(taps(), depth()))),
        stage_(reader, offsets, geometry.outChannels, input, output, activation, sums.sums, sums.magnitudes),
        zeroRow_(std::max(geometry.inChannels, depth()) + 64, static_cast<uint8_t>(input.zeroPoint)) {
    const int32_t groupOutputs = geometry.outChannels / geometry.groups;
    const size_t groupBytes = static_cast<size_t>(groupOutputs) * taps() * depth();
    for (int32_t g = 0; g < geometry.groups; ++g) {
      matrices_.emplace_back(reader, filter + g * groupBytes, groupOutputs, taps(), depth(),
                             stage_.from(g * groupOutputs));
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planWindow(label(), geometry_.window, inputs[0]);
    if (plan.channels != geometry_.inChannels) {
      fail(LOWBIT_INVALID_SHAPE, "%s: filter has %d input channels but the activation has %d.", label().c_str(),
           geometry_.inChannels, plan.channels);
    }
    return outputOf(plan, geometry_.outChannels);
  }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape&) const override {
    const size_t bytes = gemmScratchBytes_ + pointerBytes();
    if (!strips_) return bytes;
    return bytes + Strips::scratchBytes(planWindow(label(), geometry_.window, inputs[0]), geometry_.window, maxRows());
  }

  bool takesEpilogue() const override { return !toFloat_; }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const WindowPlan plan = planWindow(label(), geometry_.window, *input.shape);
    const int64_t pixels = plan.pixels();
    const bool direct = !strips_ && taps() == 1 && geometry_.window.strideH == 1 && geometry_.window.strideW == 1 &&
                        plan.outH == plan.inH && plan.outW == plan.inW;
    const Split split = splitWork(SplitLimits{
        pixels, context.pool.threads(), static_cast<int64_t>(taps()) * depth() * geometry_.groups, maxRows(),
        matrices_[0].blocks().size(), geometry_.groups == 1 && geometry_.outChannels > 2 * pixels});
    const OutputStage stage = stage_.output();
    const uint8_t* padding = input.padding ? input.padding : zeroRow_.data();
    context.pool.parallelFor(split.chunks(), [&](size_t chunk, int thread) {
      const int64_t first = split.firstRow(chunk);
      const int count = static_cast<int>(std::min(split.rows, pixels - first));
      const size_t firstBlock = split.firstBlock(chunk);
      uint8_t* scratch = context.threadScratch<uint8_t>(thread);
      const uint8_t** pointers = nullptr;
      if (!direct) {
        pointers = reinterpret_cast<const uint8_t**>(scratch + gemmScratchBytes_);
        if (strips_) {
          Strips::gather(plan, geometry_.window, input, first, count, padding,
                         scratch + gemmScratchBytes_ + pointerBytes(), pointers);
        } else {
          gatherRows(plan, geometry_.window, input, first, count, padding, pointers);
        }
      }
      for (int32_t g = 0; g < geometry_.groups; ++g) {
        if (g > 0 && pointers) {
          for (size_t i = 0; i < static_cast<size_t>(taps()) * count; ++i) pointers[i] += depth();
        }
        for (size_t b = firstBlock; b < firstBlock + split.blocks; ++b) {
          const PackedMatrix::Block& block = matrices_[g].blocks()[b];
          const int32_t channel = g * (geometry_.outChannels / geometry_.groups) + block.first;
          GemmArgs args{};
          args.rows = pointers;
          args.base = input.row(first) + static_cast<size_t>(g) * depth();
          args.rowStride = input.pitch();
          args.rowCount = count;
          args.taps = taps();
          args.depth = depth();
          args.packed = block.packed;
          args.outputs = block.count;
          args.stage = &stage;
          args.scratch = scratch;
          if (toFloat_) {
            args.floatOut = context.output.floats() + first * geometry_.outChannels + channel;
            args.outStride = geometry_.outChannels;
          } else {
            args.out = context.output.row(first) + channel;
            args.outStride = context.output.pitch();
          }
          context.kernels.gemm(args);
          context.runEpilogue(Rows{first, count, channel, block.count});
        }
      }
    });
  }

 private:
  int32_t taps() const { return geometry_.window.kernelH * (strips_ ? 1 : geometry_.window.kernelW); }
  int32_t depth() const { return geometry_.inChannels / geometry_.groups * (strips_ ? geometry_.window.kernelW : 1); }
  size_t pointerBytes() const { return sizeof(uint8_t*) * static_cast<size_t>(taps()) * maxRows(); }
  // Bounds the pointers that a chunk needs, and the real values that it makes: dynamic products pass over these again.
  int64_t maxRows() const {
    constexpr int64_t kFloats = 4096;
    const int64_t most = toFloat_ ? kFloats / std::min(geometry_.outChannels, PackedMatrix::kBlock) : 576;
    return std::clamp<int64_t>(16384 / taps(), kTileRows, std::max(most, kTileRows));
  }

  Geometry geometry_;
  bool strips_;
  bool toFloat_;
  size_t gemmScratchBytes_;
  ChannelStage stage_;
  std::vector<uint8_t> zeroRow_;
  std::vector<PackedMatrix> matrices_;
};

// One filter a channel, multiplier 1.
class Depthwise : public Operator {
 public:
  static WeightSums weightSums(int32_t channels, int64_t taps, const int8_t* filter) {
    return WeightSums(filter, taps * channels, channels, [=](int64_t i) { return i % channels; });
  }

  // filter [taps][channels]
  Depthwise(OpReader& reader, const Window& window, int32_t channels, const int8_t* filter, const WeightSums& sums,
            const Filter& offsets, const Activation& activation, const Tensor& input, const Tensor& output)
      : Operator(reader.label()),
        window_(window),
        channels_(channels),
        toFloat_(output.type == TensorType::kFloat32),
        stage_(reader, offsets, channels, input, output, activation, sums.sums, sums.magnitudes),
        zeroRow_(channels + 64, static_cast<uint8_t>(input.zeroPoint)),
        columnScratchBytes_(
            alignUp(reader.kernels().depthwiseScratchBytes(static_cast<int>(columns(maxOutputs())), window.kernelH))),
        packed_(reader.kernels().packedDepthwiseBytes(channels, window.kernelH, window.kernelW)) {
    reader.kernels().packDepthwise(filter, channels, window.kernelH, window.kernelW, stage_.from(0), packed_.data());
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planWindow(label(), window_, inputs[0]);
    if (plan.channels != channels_) {
      fail(LOWBIT_INVALID_SHAPE, "%s: filter has %d channels but the activation has %d.", label().c_str(), channels_,
           plan.channels);
    }
    return outputOf(plan, channels_);
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override {
    return columnScratchBytes_ + sizeof(uint8_t*) * static_cast<size_t>(window_.kernelH) * columns(maxOutputs());
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const WindowPlan plan = planWindow(label(), window_, *input.shape);
    const OutputStage stage = stage_.output();
    const int64_t segments = ceilDiv(plan.outW, maxOutputs());
    const int64_t width = ceilDiv(plan.outW, segments);
    const int64_t rows = static_cast<int64_t>(plan.batch) * plan.outH;
    context.pool.parallelFor(static_cast<size_t>(rows * segments), [&](size_t chunk, int thread) {
      const int64_t row = static_cast<int64_t>(chunk) / segments;
      const int32_t firstX = static_cast<int32_t>(static_cast<int64_t>(chunk) % segments * width);
      DepthwiseArgs args{};
      args.outputs = static_cast<int>(std::min<int64_t>(width, plan.outW - firstX));
      args.columnCount = static_cast<int>(columns(args.outputs));
      uint8_t* scratch = context.threadScratch<uint8_t>(thread);
      const uint8_t** pointers = reinterpret_cast<const uint8_t**>(scratch + columnScratchBytes_);
      findColumns(plan, input, row, firstX, args.columnCount, pointers);
      args.columns = pointers;
      args.kernelH = window_.kernelH;
      args.kernelW = window_.kernelW;
      args.stride = window_.strideW;
      args.dilation = window_.dilationW;
      args.channels = channels_;
      args.packed = packed_.data();
      args.stage = &stage;
      args.scratch = scratch;
      if (toFloat_) {
        args.floatOut = context.output.floats() + (row * plan.outW + firstX) * channels_;
        args.outStride = channels_;
      } else {
        args.out = context.output.row(row * plan.outW + firstX);
        args.outStride = context.output.pitch();
      }
      context.kernels.depthwise(args);
      context.runEpilogue(Rows{row * plan.outW + firstX, args.outputs, 0, channels_});
    });
  }

  bool takesEpilogue() const override { return !toFloat_; }

  size_t packedBytes() const override { return packed_.bytes(); }

 private:
  // The pixels that a call makes of one row: their columns stay in the level-1 cache while all channels pass.
  int64_t maxOutputs() const {
    constexpr int64_t kCacheBytes = 24 * 1024;
    const int64_t columnBytes = window_.kernelH * static_cast<int64_t>(rowPitch(channels_));
    return std::clamp<int64_t>(kCacheBytes / (columnBytes * window_.strideW), 4, 128);
  }

  // Columns that the windows of `outputs` neighbouring pixels span.
  int64_t columns(int64_t outputs) const {
    return (outputs - 1) * window_.strideW + static_cast<int64_t>(window_.kernelW - 1) * window_.dilationW + 1;
  }

  // Pointers to the pixels of the columns below output pixels `firstX` and on of output row `row` (of all images).
  void findColumns(const WindowPlan& plan, const View& input, int64_t row, int32_t firstX, int columnCount,
                   const uint8_t** pointers) const {
    const int64_t image = row / plan.outH;
    const int64_t top = row % plan.outH * window_.strideH - plan.top;
    const int64_t left = static_cast<int64_t>(firstX) * window_.strideW - plan.left;
    for (int32_t ky = 0; ky < window_.kernelH; ++ky, pointers += columnCount) {
      const int64_t y = top + static_cast<int64_t>(ky) * window_.dilationH;
      const bool rowInside = y >= 0 && y < plan.inH;
      const uint8_t* first = input.row((image * plan.inH + (rowInside ? y : 0)) * plan.inW);
      const int before = static_cast<int>(std::clamp<int64_t>(-left, 0, columnCount));
      const int end = rowInside ? static_cast<int>(std::clamp<int64_t>(plan.inW - left, before, columnCount)) : before;
      const uint8_t* padding = input.padding ? input.padding : zeroRow_.data();
      std::fill(pointers, pointers + before, padding);
      const uint8_t* pixel = first + (left + before) * static_cast<int64_t>(input.pitch());
      for (int x = before; x < end; ++x, pixel += input.pitch()) pointers[x] = pixel;
      std::fill(pointers + end, pointers + columnCount, padding);
    }
  }

  int32_t taps() const { return window_.kernelH * window_.kernelW; }

  Window window_;
  int32_t channels_;
  bool toFloat_;
  ChannelStage stage_;
  std::vector<uint8_t> zeroRow_;
  size_t columnScratchBytes_;
  PackedBytes packed_;
};

// A matrix product over the last axis: a 1x1 convolution whose pixels are all other axes.
class Linear : public Operator {
 public:
  // product: the convolution
  Linear(int32_t inFeatures, int32_t outFeatures, std::unique_ptr<Operator> product)
      : Operator(product->label()), inFeatures_(inFeatures), product_(std::move(product)), outFeatures_(outFeatures) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape shape = inputs[0];
    if (shape.rank < 1 || shape.channels() != inFeatures_) {
      fail(LOWBIT_INVALID_SHAPE, "%s: filter has %d input features but the activation has shape %s.", label().c_str(),
           inFeatures_, shape.toString().c_str());
    }
    shape.dims[shape.rank - 1] = outFeatures_;
    return shape;
  }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape& output) const override {
    return product_->scratchBytes(inputs, output);
  }

  void run(const RunContext& context) const override {
    const Shape pixels{4, {static_cast<int32_t>(context.inputs[0].shape->rows()), 1, 1, inFeatures_}};
    const View input{context.inputs[0].data, &pixels};
    RunContext product = context;
    product.inputs = &input;
    product_->run(product);
  }

  bool takesEpilogue() const override { return product_->takesEpilogue(); }

  size_t packedBytes() const override { return product_->packedBytes(); }

 private:
  int32_t inFeatures_;
  std::unique_ptr<Operator> product_;
  int32_t outFeatures_;
};

const int8_t* filterBytes(OpReader& reader, const Filter& filter, int64_t taps, int64_t depth, int64_t outputs) {
  if (depth * outputs > kMaxElements || taps * depth * outputs > kMaxElements) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has more than %lld weights.", reader.label().c_str(),
         static_cast<long long>(kMaxElements));
  }
  return reader.weights(filter, taps * depth * outputs);
}

// A bias of real values is not for the product of the codes.
Filter withoutBias(Filter filter) {
  filter.biasOffset = -1;
  return filter;
}

// A convolution of plain codes, or of dynamic ones.
std::unique_ptr<Operator> makeConvolution(OpReader& reader, const Convolution::Geometry& geometry, const int8_t* bytes,
                                          const Filter& filter, const Activation& activation, const Tensor& input,
                                          const Tensor& output) {
  const WeightSums sums = Convolution::weightSums(geometry, bytes);
  if (input.type == TensorType::kInt8) {
    return std::make_unique<Convolution>(reader, geometry, bytes, sums, filter, activation, input, output);
  }
  DynamicStage stage(reader, filter, activation, output, sums.sums);
  auto product = std::make_unique<Convolution>(reader, geometry, bytes, sums, withoutBias(filter), noActivation(),
                                               plainCodes(), output);
  // Strips take a row of the kernel at once.
  const int32_t padded = geometry.inChannels * geometry.window.kernelW;
  return makeDynamicProduct(std::move(product), std::move(stage), input.granularity, padded);
}

// Each row of the input makes one of the output.
bool isPointwise(const Window& w) {
  const Padding& p = w.padding;
  const bool padded = p.mode == PaddingMode::kExplicit && (p.top || p.bottom || p.left || p.right);
  return w.kernelH == 1 && w.kernelW == 1 && w.strideH == 1 && w.strideW == 1 && !padded;
}

}  // namespace

std::unique_ptr<Operator> makeConv2D(OpReader& reader, const Conv2DParams& params, const Tensor& input,
                                     const Tensor& output) {
  if (input.type == TensorType::kInt16) return makeInt16Conv2D(reader, params, output);
  checkWeighted(reader, params.filter, input, output);
  const auto& [filter, inChannels, outChannels, groups, window, activation] = params;
  if (inChannels % groups != 0 || outChannels % groups != 0) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: %d groups do not divide %d input and %d output channels.", reader.label().c_str(),
         groups, inChannels, outChannels);
  }
  const int64_t taps = static_cast<int64_t>(window.kernelH) * window.kernelW;
  if (isLowBit(filter.format)) {
    if (taps != 1 || groups != 1 || window.dilationH != 1 || window.dilationW != 1) {
      fail(LOWBIT_INVALID_PROGRAM,
           "%s: weights of format %d are for 1x1 kernels without dilation and groups; this one is %d x %d, of %d "
           "groups.",
           reader.label().c_str(), static_cast<int32_t>(filter.format), window.kernelH, window.kernelW, groups);
    }
    return makeLowBitProduct(reader, window, inChannels, outChannels, filter, activation, input, output);
  }
  const int8_t* bytes = filterBytes(reader, filter, taps, inChannels / groups, outChannels);
  if (input.type == TensorType::kDynamicInt8) {
    checkGranularity(
        reader, input,
        input.granularity == Granularity::kSample || (input.granularity == Granularity::kRow && isPointwise(window)));
  }
  const Convolution::Geometry geometry{window, inChannels, outChannels, groups};
  return makeConvolution(reader, geometry, bytes, filter, activation, input, output);
}

std::unique_ptr<Operator> makeDepthwiseConv2D(OpReader& reader, const DepthwiseConv2DParams& params,
                                              const Tensor& input, const Tensor& output) {
  if (input.type == TensorType::kInt16) return makeInt16Depthwise(reader, params, output);
  checkWeighted(reader, params.filter, input, output);
  const auto& [filter, channels, multiplier, window, activation] = params;
  const bool dynamic = input.type == TensorType::kDynamicInt8;
  const int64_t taps = static_cast<int64_t>(window.kernelH) * window.kernelW;
  const int32_t outputs = channels * multiplier;
  const int8_t* bytes = filterBytes(reader, filter, taps, 1, outputs);
  if (dynamic) {
    checkGranularity(reader, input, input.granularity == Granularity::kChannel && multiplier == 1);
  }
  if (multiplier == 1) {
    const WeightSums sums = Depthwise::weightSums(channels, taps, bytes);
    if (!dynamic) {
      return std::make_unique<Depthwise>(reader, window, channels, bytes, sums, filter, activation, input, output);
    }
    DynamicStage stage(reader, filter, activation, output, sums.sums);
    auto product = std::make_unique<Depthwise>(reader, window, channels, bytes, sums, withoutBias(filter),
                                               noActivation(), plainCodes(), output);
    return makeDynamicProduct(std::move(product), std::move(stage), input.granularity, channels);
  }
  // A grouped convolution, one input channel a group: [taps][outputs] becomes [outputs][taps].
  std::vector<int8_t> transposed(static_cast<size_t>(taps) * outputs);
  for (int64_t t = 0; t < taps; ++t) {
    for (int32_t o = 0; o < outputs; ++o) transposed[o * taps + t] = bytes[t * outputs + o];
  }
  return makeConvolution(reader, Convolution::Geometry{window, channels, outputs, channels}, transposed.data(), filter,
                         activation, input, output);
}

std::unique_ptr<Operator> makeLinear(OpReader& reader, const LinearParams& params, const Tensor& input,
                                     const Tensor& output) {
  if (input.type == TensorType::kInt16) return makeInt16Linear(reader, params, output);
  checkWeighted(reader, params.filter, input, output);
  const auto& [filter, inFeatures, outFeatures, activation] = params;
  std::unique_ptr<Operator> product;
  if (filter.format == WeightFormat::kInt8) {
    const int8_t* bytes = filterBytes(reader, filter, 1, inFeatures, outFeatures);
    const Convolution::Geometry geometry{kPointwiseWindow, inFeatures, outFeatures, 1};
    if (input.type == TensorType::kDynamicInt8) {
      checkGranularity(reader, input, input.granularity == Granularity::kRow);
    }
    product = makeConvolution(reader, geometry, bytes, filter, activation, input, output);
  } else {
    product = makeLowBitProduct(reader, kPointwiseWindow, inFeatures, outFeatures, filter, activation, input, output);
  }
  return std::make_unique<Linear>(inFeatures, outFeatures, std::move(product));
}

}  // namespace lowbit
