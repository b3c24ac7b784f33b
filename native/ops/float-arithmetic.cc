// Arithmetic and functions on real values: sums, products, extrema with NumPy broadcasting; FloatAffine, FloatGate,
// FloatFunction; leaky rectifiers.
#include <algorithm>
#include <cmath>

#include "../base/exp.h"
#include "ops.h"
#include "float-ops.h"
#include "rows.h"

namespace lowbit {
namespace {

constexpr int64_t kChunkElements = 16384;

// Calls body(first element, elements) for chunks of a tensor.
template <class Body>
void forElements(const RunContext& context, Body&& body) {
  const int64_t elements = context.output.shape->elements();
  context.pool.parallelFor(static_cast<size_t>(ceilDiv(elements, kChunkElements)), [&](size_t chunk, int) {
    const int64_t first = static_cast<int64_t>(chunk) * kChunkElements;
    body(first, std::min(kChunkElements, elements - first));
  });
}

template <FloatBinaryKind kKind>
float apply(float a, float b) {
  switch (kKind) {
    case FloatBinaryKind::kAdd: return a + b;
    case FloatBinaryKind::kSub: return a - b;
    case FloatBinaryKind::kMul: return a * b;
    case FloatBinaryKind::kMaximum: return a > b ? a : b;
    case FloatBinaryKind::kMinimum: return a < b ? a : b;
  }
  return 0;
}

template <FloatBinaryKind kKind>
class FloatBinary : public Operator {
 public:
  FloatBinary(OpReader& reader, const Activation& activation)
      : Operator(reader.label()), low_(activation.floatMin), high_(activation.floatMax) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    return broadcastShape(label(), inputs[0], inputs[1]);
  }

  void run(const RunContext& context) const override {
    const View& a = context.inputs[0];
    const View& b = context.inputs[1];
    if (*a.shape == *b.shape) {
      forElements(context, [&](int64_t first, int64_t count) {
        combine(a.floats() + first, 1, b.floats() + first, 1, count, context.output.floats() + first);
      });
      return;
    }
    const Shape& shape = *context.output.shape;
    const int64_t channels = shape.channels();
    forRows(
        context, shape,
        [&](int64_t first, int64_t rows, int) {
          for (int64_t row = first, count; row < first + rows; row += count) {
            const Rows left(a, shape, row), right(b, shape, row);
            count = std::min({first + rows - row, left.count, right.count});
            float* out = context.output.floats() + row * channels;
            for (int64_t i = 0; i < count; ++i, out += channels) {
              combine(left.at(i), left.step, right.at(i), right.step, channels, out);
            }
          }
        },
        kChunkElements);
  }

 private:
  // The rows of an input that line up with those of the output from `row` on.
  struct Rows {
    const float* start;
    int64_t pitch;  // elements from one to the next
    int step;       // elements from one channel to the next
    int64_t count;

    Rows(const View& view, const Shape& out, int64_t row) {
      const int64_t channels = view.shape->channels();
      const RowRun run = rowRun(*view.shape, out, row);
      start = view.floats() + broadcastRow(*view.shape, out, row) * channels;
      pitch = run.step * channels;
      step = channels == out.channels() ? 1 : 0;
      count = run.rows;
    }

    const float* at(int64_t i) const { return start + i * pitch; }
  };

  void combine(const float* a, int stepA, const float* b, int stepB, int64_t count, float* out) const {
    const float low = low_, high = high_;
    if (stepA == 1 && stepB == 1) {
      for (int64_t i = 0; i < count; ++i) out[i] = clampFloat(apply<kKind>(a[i], b[i]), low, high);
    } else {
      for (int64_t i = 0; i < count; ++i) out[i] = clampFloat(apply<kKind>(a[i * stepA], b[i * stepB]), low, high);
    }
  }

  float low_, high_;
};

// min(max(x * a[c] + b[c], low), high), with one a and b for all channels or one for each; kGate: x times that.
template <bool kGate>
class FloatAffine : public Operator {
 public:
  FloatAffine(OpReader& reader, std::vector<float> a, std::vector<float> b, float low, float high)
      : Operator(reader.label()), a_(std::move(a)), b_(std::move(b)), low_(low), high_(high) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (a_.size() > 1 && static_cast<size_t>(inputs[0].channels()) != a_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: has %zu factors but the activation has shape %s.", label().c_str(), a_.size(),
           inputs[0].toString().c_str());
    }
    return inputs[0];
  }

  void run(const RunContext& context) const override {
    const float low = low_, high = high_;
    if (a_.size() == 1) {
      const float a = a_[0], b = b_[0];
      forElements(context, [&](int64_t first, int64_t count) {
        const float* x = context.inputs[0].floats() + first;
        float* out = context.output.floats() + first;
        for (int64_t i = 0; i < count; ++i) out[i] = finish(x[i], clampFloat(x[i] * a + b, low, high));
      });
      return;
    }
    const size_t channels = a_.size();
    forRows(context, *context.output.shape, [&](int64_t first, int64_t rows, int) {
      for (int64_t row = first; row < first + rows; ++row) {
        const float* x = context.inputs[0].floats() + row * channels;
        float* out = context.output.floats() + row * channels;
        for (size_t c = 0; c < channels; ++c) out[c] = finish(x[c], clampFloat(x[c] * a_[c] + b_[c], low, high));
      }
    });
  }

  size_t packedBytes() const override { return 2 * a_.size() * sizeof(float); }

 private:
  static float finish(float x, float clamped) { return kGate ? x * clamped : clamped; }

  std::vector<float> a_, b_;
  float low_, high_;
};

// max(x, 0) + min(x, 0) * alpha[c]
class FloatPrelu : public Operator {
 public:
  FloatPrelu(OpReader& reader, std::vector<float> alphas) : Operator(reader.label()), alphas_(std::move(alphas)) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (static_cast<size_t>(inputs[0].channels()) != alphas_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: has %zu slopes but the activation has shape %s.", label().c_str(), alphas_.size(),
           inputs[0].toString().c_str());
    }
    return inputs[0];
  }

  void run(const RunContext& context) const override {
    const size_t channels = alphas_.size();
    forRows(context, *context.output.shape, [&](int64_t first, int64_t rows, int) {
      for (int64_t row = first; row < first + rows; ++row) {
        const float* x = context.inputs[0].floats() + row * channels;
        float* out = context.output.floats() + row * channels;
        for (size_t c = 0; c < channels; ++c) {
          const float above = x[c] > 0 ? x[c] : 0, below = x[c] < 0 ? x[c] : 0;
          out[c] = above + below * alphas_[c];
        }
      }
    });
  }

  size_t packedBytes() const override { return alphas_.size() * sizeof(float); }

 private:
  std::vector<float> alphas_;
};

float hyperbolicTangent(float x) {
  const float e = expOfNonPositive(nonPositive(x) * 2.0f);
  const float magnitude = (1.0f - e) / (1.0f + e);
  return choose(x < 0, -magnitude, magnitude);
}

float elu(float x) { return choose(x < 0, expOfNonPositive(nonPositive(x)) - 1.0f, x); }

float magnitude(float x) { return -nonPositive(x); }

float swish(float x) { return x * sigmoid(x); }

template <float (*kFunction)(float)>
class FloatFunction : public Operator {
 public:
  explicit FloatFunction(OpReader& reader) : Operator(reader.label()) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

  void run(const RunContext& context) const override {
    forElements(context, [&](int64_t first, int64_t count) {
      const float* x = context.inputs[0].floats() + first;
      float* out = context.output.floats() + first;
      for (int64_t i = 0; i < count; ++i) out[i] = kFunction(x[i]);
    });
  }
};

template <FloatBinaryKind kKind>
std::unique_ptr<Operator> binary(OpReader& reader, const Activation& activation) {
  return std::make_unique<FloatBinary<kKind>>(reader, activation);
}

template <bool kGate>
std::unique_ptr<Operator> affine(OpReader& reader, const FloatAffineParams& params, const Tensor& input,
                                 const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kFloat32);
  std::vector<float> a = reader.floats("factors", params.aOffset, params.channels);
  std::vector<float> b = reader.floats("summands", params.bOffset, params.channels);
  return std::make_unique<FloatAffine<kGate>>(reader, std::move(a), std::move(b), params.floatMin, params.floatMax);
}

}  // namespace

std::unique_ptr<Operator> makeFloatBinary(OpReader& reader, FloatBinaryKind kind, const BinaryParams& params,
                                          const Tensor& b, const Tensor& output) {
  expectType(reader, "second input", b, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kFloat32);
  const Activation& activation = params.activation;
  expectNoTable(reader, activation, "a float32 output");
  switch (kind) {
    case FloatBinaryKind::kAdd: return binary<FloatBinaryKind::kAdd>(reader, activation);
    case FloatBinaryKind::kSub: return binary<FloatBinaryKind::kSub>(reader, activation);
    case FloatBinaryKind::kMul: return binary<FloatBinaryKind::kMul>(reader, activation);
    case FloatBinaryKind::kMaximum: return binary<FloatBinaryKind::kMaximum>(reader, activation);
    case FloatBinaryKind::kMinimum: return binary<FloatBinaryKind::kMinimum>(reader, activation);
  }
  return nullptr;
}

std::unique_ptr<Operator> makeFloatPrelu(OpReader& reader, const PreluParams& params, const Tensor& output) {
  expectType(reader, "output", output, TensorType::kFloat32);
  std::vector<float> alphas = reader.floats("alpha", params.alphaOffset, params.channels);
  for (float alpha : alphas) {
    if (!std::isfinite(alpha)) fail(LOWBIT_INVALID_PROGRAM, "%s: an alpha is not finite.", reader.label().c_str());
  }
  return std::make_unique<FloatPrelu>(reader, std::move(alphas));
}

std::unique_ptr<Operator> makeFloatAffine(OpReader& reader, const FloatAffineParams& params, const Tensor& input,
                                          const Tensor& output) {
  return affine<false>(reader, params, input, output);
}

std::unique_ptr<Operator> makeFloatGate(OpReader& reader, const FloatAffineParams& params, const Tensor& input,
                                        const Tensor& output) {
  return affine<true>(reader, params, input, output);
}

std::unique_ptr<Operator> makeFloatFunction(OpReader& reader, const FloatFunctionParams& params, const Tensor& input,
                                            const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kFloat32);
  switch (params.function) {
    case FloatFunctionKind::kSigmoid: return std::make_unique<FloatFunction<sigmoid>>(reader);
    case FloatFunctionKind::kTanh: return std::make_unique<FloatFunction<hyperbolicTangent>>(reader);
    case FloatFunctionKind::kElu: return std::make_unique<FloatFunction<elu>>(reader);
    case FloatFunctionKind::kAbs: return std::make_unique<FloatFunction<magnitude>>(reader);
    case FloatFunctionKind::kSwish: return std::make_unique<FloatFunction<swish>>(reader);
  }
  return nullptr;
}

}  // namespace lowbit
