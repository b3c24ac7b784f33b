// QuantizedSoftmax: exp(x - max) / sum of exp(x - max) along the last axis.
#include "../base/exp.h"
#include "ops.h"
#include "rows.h"

namespace lowbit {
namespace {

// The exponentials are float32, their sum is float64 in the order of the channels, and each quotient is a float64
// division rounded to float32. An int8 output is quantized from that.
class Softmax : public Operator {
 public:
  Softmax(OpReader& reader, const Tensor& input, const Tensor& output)
      : Operator(reader.label()),
        fromCodes_(input.type == TensorType::kInt8),
        toCodes_(output.type == TensorType::kInt8),
        scale_(output.scale),
        zeroPoint_(output.zeroPoint) {
    for (int i = 0; fromCodes_ && i < 256; ++i) {
      exponentials_[i] = expOfNonPositive(-static_cast<float>(i) * input.scale);
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (inputs[0].rank < 1) fail(LOWBIT_INVALID_SHAPE, "%s: a scalar has no last axis.", label().c_str());
    return inputs[0];
  }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape&) const override {
    return sizeof(float) * static_cast<size_t>(inputs[0].channels());
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const int32_t channels = input.shape->channels();
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int thread) {
      for (int64_t row = first; row < first + rows; ++row) {
        float* values = toCodes_ ? context.threadScratch<float>(thread) : context.output.floats() + row * channels;
        if (fromCodes_) {
          exponentialsOfCodes(input.row(row), channels, values);
        } else {
          exponentialsOfFloats(input.floats() + row * channels, channels, values);
        }
        divideBySum(values, channels);
        if (toCodes_) context.kernels.quantize(values, channels, scale_, zeroPoint_, context.output.row(row));
      }
    });
  }

 private:
  void exponentialsOfCodes(const uint8_t* codes, int32_t count, float* out) const {
    const uint8_t max = *std::max_element(codes, codes + count);
    for (int32_t i = 0; i < count; ++i) out[i] = exponentials_[max - codes[i]];
  }

  static void exponentialsOfFloats(const float* values, int32_t count, float* out) {
    float max = values[0];
    for (int32_t i = 1; i < count; ++i) max = values[i] > max ? values[i] : max;
    for (int32_t i = 0; i < count; ++i) out[i] = expOfNonPositive(values[i] - max);
  }

  static void divideBySum(float* values, int32_t count) {
    double sum = 0;
    for (int32_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]);
    for (int32_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<double>(values[i]) / sum);
  }

  bool fromCodes_;
  bool toCodes_;
  float scale_;
  int32_t zeroPoint_;
  float exponentials_[256] = {};  // of -i * scale of the input
};

}  // namespace

std::unique_ptr<Operator> makeSoftmax(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectFloatOrCodes(reader, "output", output);
  return std::make_unique<Softmax>(reader, input, output);
}

}  // namespace lowbit
