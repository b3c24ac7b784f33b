// QuantizedConv2D, QuantizedDepthwise and QuantizedLinear of int16 codes and int16 weights, with real results:
//   out = min(max((float)sum * (scale of the sample * scale[c]) + bias[c], low), high)
// A weight scale is as fine as the exact int32 sum allows: sum |w| <= 65536 a channel, times 32767.
#include <cstdlib>

#include "../isa/int16.h"
#include "int16.h"
#include "ops.h"
#include "window.h"

namespace lowbit {
namespace {

constexpr int64_t kMaxMagnitude = 65536;

struct Int16Filter {
  const int16_t* weights;         // until the op has packed them
  std::vector<int16_t> expanded;  // what they point to, of filters that are stored in 8 bits
  std::vector<float> scales;      // padded to whole panels with zeros, as the bias
  std::vector<float> bias;
};

// Codes of 8 bits less the zero points of their channels.
std::vector<int16_t> expand(OpReader& reader, const Filter& stored, int64_t perOutput, int32_t outputs,
                            bool channelsLast) {
  const int64_t count = perOutput * outputs;
  const int8_t* codes = reinterpret_cast<const int8_t*>(reader.bytes("filter", stored.filterOffset, count));
  const int16_t* zeroPoints =
      reinterpret_cast<const int16_t*>(reader.bytes("zero points", stored.zeroPointOffset, 2ll * outputs, 4));
  std::vector<int16_t> weights(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int32_t weight = codes[i] - zeroPoints[channelsLast ? i % outputs : i / perOutput];
    // What is cut off here is far beyond what the magnitude of a channel may be.
    weights[static_cast<size_t>(i)] = static_cast<int16_t>(std::clamp<int32_t>(weight, INT16_MIN, INT16_MAX));
  }
  return weights;
}

// channelsLast: [perOutput][outputs], else [outputs][perOutput]
Int16Filter makeFilter(OpReader& reader, const Filter& stored, int64_t perOutput, int32_t outputs, bool channelsLast) {
  const bool offset = stored.format == WeightFormat::kOffsetInt8;
  if (!offset && stored.format != WeightFormat::kInt16) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: weight format of an int16 activation is %d, expected %d or %d.",
         reader.label().c_str(), static_cast<int32_t>(stored.format), static_cast<int32_t>(WeightFormat::kInt16),
         static_cast<int32_t>(WeightFormat::kOffsetInt8));
  }
  if (perOutput * outputs > kMaxElements) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has more than %lld weights.", reader.label().c_str(),
         static_cast<long long>(kMaxElements));
  }
  Int16Filter filter;
  if (offset) {
    filter.expanded = expand(reader, stored, perOutput, outputs, channelsLast);
    filter.weights = filter.expanded.data();
  } else {
    const int64_t bytes = outputs * weightRowBytes(bitsOf(stored.format), perOutput);
    filter.weights = reinterpret_cast<const int16_t*>(reader.bytes("filter", stored.filterOffset, bytes, 4));
  }
  const size_t padded = static_cast<size_t>(ceilDiv(outputs, kInt16Panel) * kInt16Panel);
  filter.scales = reader.floats("filter scales", stored.scaleOffset, outputs);
  if (stored.biasOffset != -1) filter.bias = reader.floats("bias", stored.biasOffset, outputs);
  filter.scales.resize(padded);
  filter.bias.resize(padded);
  for (int32_t c = 0; c < outputs; ++c) {
    if (!(filter.scales[c] > 0) || std::isinf(filter.scales[c]) || !std::isfinite(filter.bias[c])) {
      fail(LOWBIT_INVALID_PROGRAM,
           "%s: output channel %d has scale %g and bias %g, expected finite numbers and a "
           "positive scale.",
           reader.label().c_str(), c, static_cast<double>(filter.scales[c]), static_cast<double>(filter.bias[c]));
    }
  }
  return filter;
}

void checkMagnitude(const std::string& label, int64_t magnitude, int32_t channel) {
  if (magnitude <= kMaxMagnitude) return;
  fail(LOWBIT_INVALID_PROGRAM,
       "%s: the weights of output channel %d add up to %lld, more than %lld, and could overflow int32; convert the "
       "model "
       "again with a wider filter scale.",
       label.c_str(), channel, static_cast<long long>(magnitude), static_cast<long long>(kMaxMagnitude));
}

struct FloatRange {
  float low, high;
};

FloatRange floatRange(OpReader& reader, const Activation& activation, const Tensor& output) {
  expectType(reader, "output", output, TensorType::kFloat32);
  expectNoTable(reader, activation, "a float32 output");
  return FloatRange{activation.floatMin, activation.floatMax};
}

// Ops over a window whose outputs are made in chunks of pixels of one sample.
class Int16WindowOp : public Operator {
 public:
  Int16WindowOp(OpReader& reader, const Window& window, int32_t inChannels, int32_t outChannels, Int16Filter filter,
                const FloatRange& range)
      : Operator(reader.label()),
        window_(window),
        inChannels_(inChannels),
        outChannels_(outChannels),
        filter_(std::move(filter)),
        range_(range),
        zeroRow_(static_cast<size_t>(inChannels) + 64) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planWindow(label(), window_, inputs[0]);
    if (plan.channels != inChannels_) {
      fail(LOWBIT_INVALID_SHAPE, "%s: filter has %d input channels but the activation has %d.", label().c_str(),
           inChannels_, plan.channels);
    }
    return outputOf(plan, outChannels_);
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override {
    return multiplierBytes() + sizeof(void*) * static_cast<size_t>(taps()) * maxRows();
  }

  void run(const RunContext& context) const override {
    const Shape bytes = int16Bytes(*context.inputs[0].shape);
    const View input{context.inputs[0].data, &bytes};
    const WindowPlan plan = planWindow(label(), window_, *context.inputs[0].shape);
    const float* scales = int16Scales(context.inputs[0]);
    const int64_t perSample = static_cast<int64_t>(plan.outH) * plan.outW;
    const int64_t step = std::min(maxRows(), std::max<int64_t>(6, ceilDiv(perSample, 4 * context.pool.threads())));
    const int64_t chunks = ceilDiv(perSample, step);
    const bool direct = runsDirect() && taps() == 1 && window_.strideH == 1 && window_.strideW == 1 &&
                        plan.outH == plan.inH && plan.outW == plan.inW;
    context.pool.parallelFor(static_cast<size_t>(chunks * plan.batch), [&](size_t chunk, int thread) {
      const int64_t sample = static_cast<int64_t>(chunk) / chunks;
      const int64_t within = static_cast<int64_t>(chunk) % chunks * step;
      const int count = static_cast<int>(std::min(step, perSample - within));
      float* multiplier = context.threadScratch<float>(thread);
      for (size_t c = 0; c < filter_.scales.size(); ++c) multiplier[c] = scales[sample] * filter_.scales[c];
      const int64_t first = sample * perSample + within;
      float* out = context.output.floats() + first * outChannels_;
      if (direct) {
        const Rows rows{nullptr, reinterpret_cast<const int16_t*>(input.row(first)), input.pitch() / sizeof(int16_t)};
        multiply(context.kernels, rows, count, multiplier, out);
        return;
      }
      const uint8_t** pointers =
          reinterpret_cast<const uint8_t**>(context.threadScratch<uint8_t>(thread) + multiplierBytes());
      gatherRows(plan, window_, input, first, count, reinterpret_cast<const uint8_t*>(zeroRow_.data()), pointers);
      multiply(context.kernels, Rows{reinterpret_cast<const int16_t* const*>(pointers), nullptr, 0}, count, multiplier,
               out);
    });
  }

 protected:
  // Rows below output pixels: by pointers for each tap, or `stride` elements apart from `base`.
  struct Rows {
    const int16_t* const* pointers;
    const int16_t* base;
    size_t stride;
  };

  virtual void multiply(const Kernels& kernels, const Rows& rows, int count, const float* multiplier,
                        float* out) const = 0;
  // Whether multiply takes rows without pointers.
  virtual bool runsDirect() const { return false; }

  int32_t taps() const { return window_.kernelH * window_.kernelW; }

  Window window_;
  int32_t inChannels_;
  int32_t outChannels_;
  Int16Filter filter_;
  FloatRange range_;

 private:
  size_t multiplierBytes() const { return alignUp(sizeof(float) * filter_.scales.size()); }
  int64_t maxRows() const { return std::clamp<int64_t>(16384 / taps(), 6, 384); }

  std::vector<int16_t> zeroRow_;
};

class Int16Convolution : public Int16WindowOp {
 public:
  // weights [outChannels][taps][inChannels]
  Int16Convolution(OpReader& reader, const Window& window, int32_t inChannels, int32_t outChannels, Int16Filter filter,
                   const FloatRange& range)
      : Int16WindowOp(reader, window, inChannels, outChannels, std::move(filter), range),
        pairs_(static_cast<int>(ceilDiv(inChannels, 2))),
        packed_(static_cast<size_t>(ceilDiv(outChannels, kInt16Panel)) * taps() * pairs_ * kInt16Panel * 2 *
                sizeof(int16_t)) {
    int16_t* packed = reinterpret_cast<int16_t*>(packed_.data());
    const int16_t* from = filter_.weights;
    for (int32_t n = 0; n < outChannels; ++n) {
      int64_t magnitude = 0;
      for (int32_t t = 0; t < taps(); ++t) {
        for (int32_t k = 0; k < inChannels; ++k, ++from) {
          const size_t pair = (static_cast<size_t>(n / kInt16Panel) * taps() + t) * pairs_ + k / 2;
          packed[(pair * kInt16Panel + n % kInt16Panel) * 2 + k % 2] = *from;
          magnitude += std::abs(static_cast<int>(*from));
        }
      }
      checkMagnitude(label(), magnitude, n);
    }
    filter_.weights = nullptr;
    filter_.expanded = {};
  }

  size_t packedBytes() const override { return packed_.bytes(); }

 protected:
  void multiply(const Kernels& kernels, const Rows& rows, int count, const float* multiplier,
                float* out) const override {
    Int16GemmArgs args{};
    args.rows = rows.pointers;
    args.base = rows.base;
    args.rowStride = rows.stride;
    args.rowCount = count;
    args.taps = taps();
    args.pairs = pairs_;
    args.packed = reinterpret_cast<const int16_t*>(packed_.data());
    args.outputs = outChannels_;
    args.multiplier = multiplier;
    args.bias = filter_.bias.data();
    args.low = range_.low;
    args.high = range_.high;
    args.out = out;
    kernels.int16.gemm(args);
  }

  bool runsDirect() const override { return true; }

 private:
  int pairs_;
  PackedBytes packed_;
};

class Int16Depthwise : public Int16WindowOp {
 public:
  // weights [taps][channels]
  Int16Depthwise(OpReader& reader, const Window& window, int32_t channels, Int16Filter filter, const FloatRange& range)
      : Int16WindowOp(reader, window, channels, channels, std::move(filter), range),
        packed_(int16DepthwiseElements(taps(), channels) * sizeof(int16_t)) {
    int16_t* packed = reinterpret_cast<int16_t*>(packed_.data());
    for (int32_t c = 0; c < channels; ++c) {
      int64_t magnitude = 0;
      for (int32_t t = 0; t < taps(); ++t) {
        const int16_t weight = filter_.weights[static_cast<size_t>(t) * channels + c];
        packed[int16DepthwiseIndex(t, c, channels)] = weight;
        magnitude += std::abs(static_cast<int>(weight));
      }
      checkMagnitude(label(), magnitude, c);
    }
    filter_.weights = nullptr;
    filter_.expanded = {};
  }

  size_t packedBytes() const override { return packed_.bytes(); }

 protected:
  void multiply(const Kernels& kernels, const Rows& rows, int count, const float* multiplier,
                float* out) const override {
    Int16DepthwiseArgs args{};
    args.pixels = rows.pointers;
    args.pixelCount = count;
    args.taps = taps();
    args.channels = outChannels_;
    args.packed = reinterpret_cast<const int16_t*>(packed_.data());
    args.multiplier = multiplier;
    args.bias = filter_.bias.data();
    args.low = range_.low;
    args.high = range_.high;
    args.out = out;
    kernels.int16.depthwise(args);
  }

 private:
  PackedBytes packed_;
};

// A matrix product over the last axis: a 1x1 convolution whose pixels are all other axes but the samples.
class Int16Linear : public Operator {
 public:
  Int16Linear(OpReader& reader, int32_t inFeatures, int32_t outFeatures, Int16Filter filter, const FloatRange& range)
      : Operator(reader.label()),
        inFeatures_(inFeatures),
        outFeatures_(outFeatures),
        product_(reader, kPointwiseWindow, inFeatures, outFeatures, std::move(filter), range) {}

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
    return product_.scratchBytes(inputs, output);
  }

  void run(const RunContext& context) const override {
    const Shape& shape = *context.inputs[0].shape;
    const int32_t samples = static_cast<int32_t>(shape.samples());
    const Shape pixels{4, {samples, static_cast<int32_t>(shape.rows() / samples), 1, inFeatures_}};
    const View input{context.inputs[0].data, &pixels};
    RunContext product = context;
    product.inputs = &input;
    product_.run(product);
  }

  size_t packedBytes() const override { return product_.packedBytes(); }

 private:
  int32_t inFeatures_;
  int32_t outFeatures_;
  Int16Convolution product_;
};

void expectOne(OpReader& reader, const char* name, int32_t value) {
  if (value != 1) fail(LOWBIT_INVALID_PROGRAM, "%s: %s is %d, expected 1.", reader.label().c_str(), name, value);
}

}  // namespace

std::unique_ptr<Operator> makeInt16Conv2D(OpReader& reader, const Conv2DParams& params, const Tensor& output) {
  const auto& [stored, inChannels, outChannels, groups, window, activation] = params;
  expectOne(reader, "groups", groups);
  const FloatRange range = floatRange(reader, activation, output);
  const int64_t perOutput = static_cast<int64_t>(window.kernelH) * window.kernelW * inChannels;
  Int16Filter filter = makeFilter(reader, stored, perOutput, outChannels, false);
  return std::make_unique<Int16Convolution>(reader, window, inChannels, outChannels, std::move(filter), range);
}

std::unique_ptr<Operator> makeInt16Depthwise(OpReader& reader, const DepthwiseConv2DParams& params,
                                             const Tensor& output) {
  const auto& [stored, channels, multiplier, window, activation] = params;
  expectOne(reader, "channel multiplier", multiplier);
  const FloatRange range = floatRange(reader, activation, output);
  const int64_t taps = static_cast<int64_t>(window.kernelH) * window.kernelW;
  Int16Filter filter = makeFilter(reader, stored, taps, channels, true);
  return std::make_unique<Int16Depthwise>(reader, window, channels, std::move(filter), range);
}

std::unique_ptr<Operator> makeInt16Linear(OpReader& reader, const LinearParams& params, const Tensor& output) {
  const auto& [stored, inFeatures, outFeatures, activation] = params;
  const FloatRange range = floatRange(reader, activation, output);
  Int16Filter filter = makeFilter(reader, stored, inFeatures, outFeatures, false);
  return std::make_unique<Int16Linear>(reader, inFeatures, outFeatures, std::move(filter), range);
}

}  // namespace lowbit
