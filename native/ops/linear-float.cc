// LinearFloat: float32 activations times weights of 2, 3, 4 or 8 bits.
//
//   out[m][n] = clamp(total(sums of x[m][k] * w[n][k]) + bias[n])
// with kSums partial sums, in the order of rows.h, on every instruction set. A clamp leaves NaN alone. Work is split by
// tiles of outputs.
#include "float-tile.h"
#include "ops.h"
#include "stored-rows.h"

namespace lowbit {
namespace {

class LinearFloat : public Operator {
 public:
  LinearFloat(OpReader& reader, const Filter& filter, int32_t inFeatures, int32_t outFeatures,
              const Activation& activation)
      : Operator(reader.label()),
        weights_(reader, filter, outFeatures, inFeatures),
        bias_(static_cast<size_t>(outFeatures)),
        low_(activation.floatMin),
        high_(activation.floatMax) {
    if (filter.biasOffset == -1) return;
    bias_ = reader.floats("bias", filter.biasOffset, outFeatures);
    for (size_t n = 0; n < bias_.size(); ++n) {
      if (!std::isfinite(bias_[n])) {
        fail(LOWBIT_INVALID_PROGRAM, "%s: bias %zu is %g, expected a finite number.", reader.label().c_str(), n,
             static_cast<double>(bias_[n]));
      }
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape shape = inputs[0];
    if (shape.rank < 1 || shape.channels() != weights_.depth()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected %d elements along the last axis.", label().c_str(),
           shape.toString().c_str(), weights_.depth());
    }
    shape.dims[shape.rank - 1] = weights_.rows();
    return shape;
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const int32_t outputs = weights_.rows();
    float* out = context.output.floats();
    FloatTile::product(
        context.kernels, context.pool, input.floats(), input.shape->rows(), weights_.depth(), outputs,
        [&](const Tile& tile, float* values) { weights_.decode(context.kernels, tile, values, FloatTile::kPiece); },
        [&](int64_t m, int32_t n, float total) { out[m * outputs + n] = clamp(total + bias_[n]); });
  }

  size_t packedBytes() const override { return weights_.bytes() + sizeof(float) * bias_.size(); }

 private:
  float clamp(float value) const { return value < low_ ? low_ : value > high_ ? high_ : value; }

  StoredRows weights_;
  std::vector<float> bias_;
  float low_;
  float high_;
};

}  // namespace

std::unique_ptr<Operator> makeLinearFloat(OpReader& reader, const LinearFloatParams& params, const Tensor& input,
                                          const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kFloat32);
  expectNoTable(reader, params.activation, "a float32 output");
  return std::make_unique<LinearFloat>(reader, params.filter, params.inFeatures, params.outFeatures, params.activation);
}

}  // namespace lowbit
