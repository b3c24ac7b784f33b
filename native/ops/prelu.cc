// QuantizedPrelu: x where x >= 0, alpha[c] * x below, with one alpha a channel.
#include <cmath>

#include "ops.h"
#include "rows.h"
#include "store.h"

namespace lowbit {
namespace {

constexpr int32_t kMaxChannels = 1 << 20;

// value = (float)(q - zero) * (q >= zero ? s_in / s_out : s_in * alpha[c] / s_out)
class Prelu : public Operator {
 public:
  Prelu(OpReader& reader, std::vector<float> slopes, float multiplier, const Tensor& input, const Tensor& output)
      : Operator(reader.label()),
        slopes_(std::move(slopes)),
        multiplier_(multiplier),
        zeroIn_(input.zeroPoint),
        zeroOut_(output.zeroPoint),
        range_(-128, 127, output.zeroPoint) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (static_cast<size_t>(inputs[0].channels()) != slopes_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: has %zu slopes but the activation has shape %s.", label().c_str(),
           slopes_.size(), inputs[0].toString().c_str());
    }
    return inputs[0];
  }

  void run(const RunContext& context) const override {
    const int32_t channels = context.output.shape->channels();
    forRows(context, *context.output.shape, [&](int64_t first, int64_t rows, int) {
      for (int64_t row = first; row < first + rows; ++row) {
        apply(context.inputs[0].row(row), channels, context.output.row(row));
      }
    }, 16384);
  }

  size_t packedBytes() const override { return slopes_.size() * sizeof(float); }

 private:
  void apply(const uint8_t* codes, int32_t channels, uint8_t* out) const {
    const float* slopes = slopes_.data();
    for (int32_t c = 0; c < channels; ++c) {
      const int32_t steps = codes[c] - zeroIn_;
      const float value = static_cast<float>(steps) * (steps >= 0 ? multiplier_ : slopes[c]);
      out[c] = codeOf(value, range_.low, range_.high, zeroOut_);
    }
  }

  std::vector<float> slopes_;  // s_in * alpha[c] / s_out
  float multiplier_;
  int32_t zeroIn_;
  int32_t zeroOut_;
  CodeRange range_;
};

}  // namespace

std::unique_ptr<Operator> makePrelu(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kInt8);
  expectType(reader, "output", output, TensorType::kInt8);
  const int32_t channels = reader.word("channels", 1, kMaxChannels);
  const uint8_t* alphas = reader.bytes("alpha", reader.word(), 4ll * channels, 4);
  std::vector<float> slopes(channels);
  for (int32_t c = 0; c < channels; ++c) {
    float alpha;
    std::memcpy(&alpha, alphas + 4ll * c, sizeof alpha);
    slopes[c] = static_cast<float>(static_cast<double>(input.scale) * static_cast<double>(alpha) / output.scale);
    if (!std::isfinite(slopes[c])) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: alpha %d is %g, expected a number within float32 range.",
           reader.label().c_str(), c, static_cast<double>(alpha));
    }
  }
  const float multiplier = static_cast<float>(static_cast<double>(input.scale) / output.scale);
  if (!std::isfinite(multiplier)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the ratio of its scales exceeds the float32 range.", reader.label().c_str());
  }
  return std::make_unique<Prelu>(reader, std::move(slopes), multiplier, input, output);
}

}  // namespace lowbit
