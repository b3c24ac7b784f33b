// QuantizedPrelu: x where x >= 0, alpha[c] * x below, with one alpha a channel.
#include <cmath>

#include "ops.h"
#include "float-ops.h"
#include "rows.h"

namespace lowbit {
namespace {

// value = (float)(q - zero) * (q >= zero ? s_in / s_out : s_in * alpha[c] / s_out)
class Prelu : public Operator {
 public:
  Prelu(OpReader& reader, std::vector<float> slopes, float multiplier, const Tensor& input, const Tensor& output)
      : Operator(reader.label()), slopes_(std::move(slopes)) {
    const CodeRange range(-128, 127, output.zeroPoint);
    args_ = RescaleArgs{input.zeroPoint, multiplier, range.low, range.high, output.zeroPoint};
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (static_cast<size_t>(inputs[0].channels()) != slopes_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: has %zu slopes but the activation has shape %s.", label().c_str(), slopes_.size(),
           inputs[0].toString().c_str());
    }
    return inputs[0];
  }

  bool canBeEpilogue(const std::vector<Shape>&) const override { return true; }

  void runRows(const Kernels& kernels, const View* inputs, const View& output, const Rows& rows) const override {
    for (int64_t row = rows.first; row < rows.first + rows.count; ++row) {
      kernels.prelu(inputs[0].row(row) + rows.firstChannel, rows.channels, slopes_.data() + rows.firstChannel, args_,
                    output.row(row) + rows.firstChannel);
    }
  }

  void run(const RunContext& context) const override {
    const Shape& shape = *context.output.shape;
    forRows(
        context, shape,
        [&](int64_t first, int64_t rows, int) {
          runRows(context.kernels, context.inputs, context.output, Rows{first, rows, 0, shape.channels()});
        },
        16384);
  }

  size_t packedBytes() const override { return slopes_.size() * sizeof(float); }

 private:
  std::vector<float> slopes_;  // s_in * alpha[c] / s_out
  RescaleArgs args_;
};

}  // namespace

std::unique_ptr<Operator> makePrelu(OpReader& reader, const PreluParams& params, const Tensor& input,
                                    const Tensor& output) {
  if (input.type == TensorType::kFloat32) return makeFloatPrelu(reader, params, output);
  expectType(reader, "input", input, TensorType::kInt8);
  expectType(reader, "output", output, TensorType::kInt8);
  const std::vector<float> alphas = reader.floats("alpha", params.alphaOffset, params.channels);
  std::vector<float> slopes(alphas.size());
  for (int32_t c = 0; c < params.channels; ++c) {
    slopes[c] = static_cast<float>(static_cast<double>(input.scale) * static_cast<double>(alphas[c]) / output.scale);
    if (!std::isfinite(slopes[c])) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: alpha %d is %g, expected a number within float32 range.",
           reader.label().c_str(), c, static_cast<double>(alphas[c]));
    }
  }
  const float multiplier = static_cast<float>(static_cast<double>(input.scale) / output.scale);
  if (!std::isfinite(multiplier)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the ratio of its scales exceeds the float32 range.", reader.label().c_str());
  }
  return std::make_unique<Prelu>(reader, std::move(slopes), multiplier, input, output);
}

}  // namespace lowbit
