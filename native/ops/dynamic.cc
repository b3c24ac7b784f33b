// QuantizeDynamic, and products of its codes: int8 activations whose scale and zero point fit the values at hand. No
// range can cut off anything, and a group of small values keeps as many codes as one of large values.
//
// Yao et al. 2022, "ZeroQuant", section 4.2 (a scale for every token); ONNX DynamicQuantizeLinear (the whole tensor).
#include "dynamic.h"

#include <algorithm>
#include <cmath>

#include "../isa/dynamic.h"
#include "ops.h"
#include "rows.h"

namespace lowbit {
namespace {

class QuantizeDynamic : public Operator {
 public:
  QuantizeDynamic(OpReader& reader, Granularity granularity) : Operator(reader.label()), granularity_(granularity) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape&) const override {
    return 2 * sizeof(float) * static_cast<size_t>(inputs[0].channels());
  }

  void run(const RunContext& context) const override {
    const Shape& shape = *context.inputs[0].shape;
    const DynamicGroups groups(context.output, granularity_);
    if (granularity_ == Granularity::kRow) {
      forRows(
          context, shape,
          [&](int64_t first, int64_t rows, int) {
            context.kernels.dynamic.quantizeRows(context.inputs[0].floats() + first * shape.channels(),
                                                 static_cast<size_t>(rows), shape.channels(), context.output.row(first),
                                                 context.output.pitch(), groups.scale + first, groups.shift + first);
          },
          kChunkElements);
      return;
    }
    const int64_t samples = shape.samples();
    const int64_t perSample = shape.rows() / samples;
    for (int64_t s = 0; s < samples; ++s) {
      Shape sample{2, {static_cast<int32_t>(perSample), shape.channels()}};
      const float* values = context.inputs[0].floats() + s * perSample * shape.channels();
      uint8_t* codes = context.output.row(s * perSample);
      granularity_ == Granularity::kSample ? quantizeSample(context, sample, values, codes, groups, s)
                                           : quantizeChannels(context, sample, values, codes, groups, s);
    }
  }

 private:
  static constexpr int64_t kChunkElements = 8192;

  static void put(const DynamicGroups& groups, int64_t group, const DynamicRange& range) {
    groups.scale[group] = range.scale;
    groups.shift[group] = range.scale * range.zero;
    groups.inverse[group] = range.inverse;
    groups.zero[group] = range.zero;
  }

  // The extrema of each thread's part: low at its scratch, `count` of them, then high.
  template <class Extend>
  static void extremaOf(const RunContext& context, const Shape& shape, size_t count, Extend&& extend) {
    for (int t = 0; t < context.pool.threads(); ++t) {
      std::fill_n(context.threadScratch<float>(t), 2 * count, 0.0f);
    }
    forRows(context, shape, extend, kChunkElements);
    float* all = context.threadScratch<float>(0);
    for (int t = 1; t < context.pool.threads(); ++t) {
      const float* part = context.threadScratch<float>(t);
      for (size_t i = 0; i < count; ++i) {
        all[i] = std::min(all[i], part[i]);
        all[count + i] = std::max(all[count + i], part[count + i]);
      }
    }
  }

  static void quantizeSample(const RunContext& context, const Shape& shape, const float* values, uint8_t* codes,
                             const DynamicGroups& groups, int64_t sample) {
    const size_t channels = shape.channels(), pitch = context.output.pitch();
    const DynamicKernels& kernels = context.kernels.dynamic;
    extremaOf(context, shape, 1, [&](int64_t first, int64_t rows, int thread) {
      float* own = context.threadScratch<float>(thread);
      kernels.extrema(values + first * channels, static_cast<size_t>(rows) * channels, own, own + 1);
    });
    const float* extrema = context.threadScratch<float>(0);
    const DynamicRange range = dynamicRange(extrema[0], extrema[1]);
    put(groups, sample, range);
    forRows(
        context, shape,
        [&](int64_t first, int64_t rows, int) {
          kernels.quantize(values + first * channels, static_cast<size_t>(rows), channels, range, codes + first * pitch,
                           pitch);
        },
        kChunkElements);
  }

  static void quantizeChannels(const RunContext& context, const Shape& shape, const float* values, uint8_t* codes,
                               const DynamicGroups& groups, int64_t sample) {
    const size_t channels = shape.channels(), pitch = context.output.pitch();
    const DynamicKernels& kernels = context.kernels.dynamic;
    extremaOf(context, shape, channels, [&](int64_t first, int64_t rows, int thread) {
      float* own = context.threadScratch<float>(thread);
      kernels.channelExtrema(values + first * channels, static_cast<size_t>(rows), channels, own, own + channels);
    });
    const float* extrema = context.threadScratch<float>(0);
    const int64_t group = sample * static_cast<int64_t>(channels);
    for (size_t c = 0; c < channels; ++c) {
      put(groups, group + static_cast<int64_t>(c), dynamicRange(extrema[c], extrema[channels + c]));
    }
    forRows(
        context, shape,
        [&](int64_t first, int64_t rows, int) {
          kernels.quantizeChannels(values + first * channels, static_cast<size_t>(rows), channels,
                                   groups.inverse + group, groups.zero + group, codes + first * pitch, pitch);
        },
        kChunkElements);
  }

  Granularity granularity_;
};

// Values that are known to lie on a grid, such as pixels: every sample has the grid's own codes, which lose nothing.
// Zero need not be on the grid, as a scale and a zero point would have it.
class QuantizeGrid : public Operator {
 public:
  QuantizeGrid(OpReader& reader, float first, float step)
      : Operator(reader.label()),
        first_(first),
        range_{step, 1.0f / step, std::min(std::max(-first / step, 0.0f), 255.0f)} {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

  void run(const RunContext& context) const override {
    const Shape& shape = *context.inputs[0].shape;
    const DynamicGroups groups(context.output, Granularity::kSample);
    for (int64_t s = 0; s < shape.samples(); ++s) {
      groups.scale[s] = range_.scale;
      groups.shift[s] = -first_;
      groups.zero[s] = std::nearbyintf(range_.zero);
    }
    forRows(context, shape, [&](int64_t first, int64_t rows, int) {
      context.kernels.dynamic.quantize(context.inputs[0].floats() + first * shape.channels(), static_cast<size_t>(rows),
                                       shape.channels(), range_, context.output.row(first), context.output.pitch());
    });
  }

 private:
  float first_;
  DynamicRange range_;
};

class DynamicProduct : public Operator {
 public:
  DynamicProduct(std::unique_ptr<Operator> product, DynamicStage stage, Granularity granularity, int32_t paddedChannels)
      : Operator(product->label()),
        product_(std::move(product)),
        stage_(std::move(stage)),
        granularity_(granularity),
        paddedChannels_(paddedChannels) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return product_->outputShape(inputs); }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape& output) const override {
    return product_->scratchBytes(inputs, output);
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const DynamicGroups groups(input, granularity_);
    if (granularity_ == Granularity::kRow) {
      multiply(context, input, context.output, groups.scale, groups.shift);
      return;
    }
    const int64_t samples = input.shape->samples();
    const int64_t perSample = dynamicGroups(*input.shape, granularity_) / samples;
    Shape inShape = *input.shape, outShape = *context.output.shape;
    inShape.dims[0] = outShape.dims[0] = 1;
    std::vector<uint8_t> padding;
    for (int64_t s = 0; s < samples; ++s) {
      const int64_t group = s * perSample;
      padding = paddingOf(groups.zero + group, perSample);
      const View in{input.row(s * inShape.rows()), &inShape, padding.data()};
      const View out{context.output.data + sizeof(float) * s * outShape.elements(), &outShape};
      multiply(context, in, out, groups.scale + group, groups.shift + group);
    }
  }

  void runRows(const Kernels& kernels, const View* groups, const View& output, const Rows& rows) const override {
    const size_t outputs = stage_.bias.size(), first = rows.firstChannel;
    const float *scale = groups[0].floats(), *shift = groups[1].floats();
    float* values = output.floats() + rows.first * outputs + first;
    const float *bias = stage_.bias.data() + first, *sums = stage_.weightSums.data() + first;
    if (granularity_ == Granularity::kChannel) {
      kernels.dynamic.finishChannels(values, rows.count, outputs, rows.channels, scale + first, shift + first, bias,
                                     sums, stage_.low, stage_.high);
      return;
    }
    const size_t step = granularity_ == Granularity::kRow ? 1 : 0;
    kernels.dynamic.finish(values, rows.count, outputs, rows.channels, scale + step * rows.first,
                           shift + step * rows.first, step, bias, sums, stage_.low, stage_.high);
  }

  size_t packedBytes() const override { return product_->packedBytes() + 2 * sizeof(float) * stage_.bias.size(); }

 private:
  // Each piece of the product is finished while it is in the cache.
  void multiply(const RunContext& context, const View& input, const View& output, float* scale, float* shift) const {
    const View groups[2] = {View{reinterpret_cast<uint8_t*>(scale)}, View{reinterpret_cast<uint8_t*>(shift)}};
    product_->run(RunContext{context.kernels, context.pool, &input, output, context.scratch, context.scratchStride,
                             Epilogue{this, groups}});
  }

  std::vector<uint8_t> paddingOf(const float* zeros, int64_t count) const {
    constexpr size_t kOverRead = 64;
    std::vector<uint8_t> row(static_cast<size_t>(paddedChannels_) + kOverRead, static_cast<uint8_t>(zeros[0]));
    for (int64_t c = 1; c < count; ++c) row[c] = static_cast<uint8_t>(zeros[c]);
    return row;
  }

  std::unique_ptr<Operator> product_;
  DynamicStage stage_;
  Granularity granularity_;
  int32_t paddedChannels_;
};

}  // namespace

DynamicStage::DynamicStage(OpReader& reader, const Filter& filter, const Activation& activation, const Tensor& output,
                           const std::vector<int64_t>& weightSums)
    : bias(weightSums.size()), weightSums(weightSums.size()), low(activation.floatMin), high(activation.floatMax) {
  expectType(reader, "output", output, TensorType::kFloat32);
  expectNoTable(reader, activation, "a float32 output");
  const int64_t channels = static_cast<int64_t>(weightSums.size());
  if (filter.biasOffset != -1) bias = reader.floats("bias", filter.biasOffset, channels);
  const std::vector<float> scales = reader.floats("filter scales", filter.scaleOffset, channels);
  for (size_t c = 0; c < weightSums.size(); ++c) {
    this->weightSums[c] = scales[c] * static_cast<float>(weightSums[c]);
    if (!std::isfinite(bias[c])) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: the bias of output channel %zu is %g, expected a finite number.",
           reader.label().c_str(), c, static_cast<double>(bias[c]));
    }
  }
}

std::unique_ptr<Operator> makeDynamicProduct(std::unique_ptr<Operator> product, DynamicStage stage,
                                             Granularity granularity, int32_t paddedChannels) {
  return std::make_unique<DynamicProduct>(std::move(product), std::move(stage), granularity, paddedChannels);
}

std::unique_ptr<Operator> makeQuantizeGrid(OpReader& reader, const QuantizeGridParams& params, const Tensor& input,
                                           const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kDynamicInt8);
  const auto [first, step] = params.grid;
  const float last = first + 255 * step;
  // The last value may be 0, but for rounding.
  if (output.granularity != Granularity::kSample || !(step > 1e-30f) || !(first <= 0) || !(last > -0.5f * step) ||
      !std::isfinite(first) || !std::isfinite(last)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: a grid from %g in steps of %g, expected one around 0 for whole samples.",
         reader.label().c_str(), static_cast<double>(first), static_cast<double>(step));
  }
  return std::make_unique<QuantizeGrid>(reader, first, step);
}

std::unique_ptr<Operator> makeQuantizeDynamic(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kDynamicInt8);
  return std::make_unique<QuantizeDynamic>(reader, output.granularity);
}

}  // namespace lowbit
