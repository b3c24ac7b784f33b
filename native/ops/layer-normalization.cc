// QuantizedLayerNormalization: (x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c] along the last axis (Ba et
// al. 2016, "Layer Normalization").
#include <cmath>

#include "ops.h"
#include "rows.h"

namespace lowbit {
namespace {

// x is float32, of codes (code - zero point) * scale. Mean and variance are float64, of sums that are the same on every
// instruction set: kLanes partial sums, element i in number i % kLanes, then added up in order. The rest is float32:
//   y = (float)((x - mean) * (1 / sqrt(variance + epsilon))) * gamma[c] + beta[c]
// An int8 output is quantized from that.
class LayerNormalization : public Operator {
 public:
  LayerNormalization(OpReader& reader, const LayerNormalizationParams& params, const Tensor& input,
                     const Tensor& output)
      : Operator(reader.label()),
        gamma_(reader.floats("gamma", params.gammaOffset, params.channels)),
        beta_(reader.floats("beta", params.betaOffset, params.channels)),
        epsilon_(static_cast<double>(params.epsilon)),
        input_(input),
        output_(output) {
    for (size_t c = 0; c < gamma_.size(); ++c) {
      if (!std::isfinite(gamma_[c]) || !std::isfinite(beta_[c])) {
        fail(LOWBIT_INVALID_PROGRAM, "%s: gamma and beta of channel %zu are %g and %g, expected finite numbers.",
             label().c_str(), c, static_cast<double>(gamma_[c]), static_cast<double>(beta_[c]));
      }
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (inputs[0].rank < 1 || static_cast<size_t>(inputs[0].channels()) != gamma_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected %zu elements along the last axis.", label().c_str(),
           inputs[0].toString().c_str(), gamma_.size());
    }
    return inputs[0];
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override {
    return 2 * sizeof(float) * gamma_.size();
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const size_t channels = gamma_.size();
    const bool toCodes = output_.type == TensorType::kInt8;
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int thread) {
      float* scratch = context.threadScratch<float>(thread);
      for (int64_t row = first; row < first + rows; ++row) {
        const float* x = input.floats() + row * static_cast<int64_t>(channels);
        if (input_.type == TensorType::kInt8) {
          context.kernels.dequantize(input.row(row), channels, input_.scale, input_.zeroPoint, scratch);
          x = scratch;
        }
        float* y = toCodes ? scratch + channels : context.output.floats() + row * static_cast<int64_t>(channels);
        normalize(x, y);
        if (toCodes) {
          context.kernels.quantize(y, channels, output_.scale, output_.zeroPoint, context.output.row(row));
        }
      }
    });
  }

  size_t packedBytes() const override { return 2 * sizeof(float) * gamma_.size(); }

 private:
  static constexpr size_t kLanes = 8;

  // The mean of term(0), term(1)...
  template <class Term>
  double mean(Term&& term) const {
    const size_t count = gamma_.size();
    double lanes[kLanes] = {};
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
    }
    for (; i < count; ++i) lanes[i % kLanes] += term(i);
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    return sum / static_cast<double>(count);
  }

  void normalize(const float* x, float* y) const {
    const double center = mean([&](size_t i) { return static_cast<double>(x[i]); });
    const double variance = mean([&](size_t i) {
      const double distance = static_cast<double>(x[i]) - center;
      return distance * distance;
    });
    const double inverse = 1 / std::sqrt(variance + epsilon_);
    for (size_t c = 0; c < gamma_.size(); ++c) {
      y[c] = static_cast<float>((static_cast<double>(x[c]) - center) * inverse) * gamma_[c] + beta_[c];
    }
  }

  std::vector<float> gamma_, beta_;
  double epsilon_;
  Tensor input_, output_;
};

}  // namespace

std::unique_ptr<Operator> makeLayerNormalization(OpReader& reader, const LayerNormalizationParams& params,
                                                 const Tensor& input, const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectFloatOrCodes(reader, "output", output);
  return std::make_unique<LayerNormalization>(reader, params, input, output);
}

}  // namespace lowbit
