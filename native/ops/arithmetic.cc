// QuantizedAdd, QuantizedSub, QuantizedMul, QuantizedMaximum and QuantizedMinimum with NumPy broadcasting, and Lookup.
#include <algorithm>

#include "ops.h"
#include "float-ops.h"
#include "rows.h"
#include "store.h"

namespace lowbit {
namespace {

constexpr int64_t kChunkBytes = 16384;

// Flat ranges of whole tensors of one shape: the bytes between channels and pitch are computed along.
template <class Body>
void forFlat(const RunContext& context, Body&& body) {
  const int64_t bytes = context.output.shape->rows() * static_cast<int64_t>(context.output.pitch());
  context.pool.parallelFor(static_cast<size_t>(ceilDiv(bytes, kChunkBytes)), [&](size_t chunk, int) {
    const size_t first = chunk * kChunkBytes;
    body(first, std::min<size_t>(kChunkBytes, bytes - first));
  });
}

template <class Args>
using BinaryKernel = void (*)(const uint8_t*, const uint8_t*, size_t, const Args&, uint8_t*);

// Chooses an inner loop of the instruction set at hand.
template <class Args>
using BinaryChoice = BinaryKernel<Args> (*)(const Kernels&);

template <class Args>
class Binary : public Operator {
 public:
  Binary(OpReader& reader, BinaryChoice<Args> choose, const Args& args, std::vector<uint8_t> table)
      : Operator(reader.label()), choose_(choose), args_(args), table_(std::move(table)) {
    args_.table = table_.empty() ? nullptr : table_.data();
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    return broadcastShape(label(), inputs[0], inputs[1]);
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape& output) const override { return 2 * rowBytes(output); }

  bool canBeEpilogue(const std::vector<Shape>& inputs) const override { return inputs[0] == inputs[1]; }

  void runRows(const Kernels& kernels, const View* inputs, const View& output, const Rows& rows) const override {
    const BinaryKernel<Args> kernel = choose_(kernels);
    const size_t pitch = output.pitch();
    const uint8_t* a = inputs[0].row(rows.first) + rows.firstChannel;
    const uint8_t* b = inputs[1].row(rows.first) + rows.firstChannel;
    uint8_t* out = output.row(rows.first) + rows.firstChannel;
    if (rows.channels == output.shape->channels()) {
      kernel(a, b, static_cast<size_t>(rows.count) * pitch, args_, out);
      return;
    }
    for (int64_t r = 0; r < rows.count; ++r, a += pitch, b += pitch, out += pitch) {
      kernel(a, b, rows.channels, args_, out);
    }
  }

  void run(const RunContext& context) const override {
    const View& a = context.inputs[0];
    const View& b = context.inputs[1];
    const BinaryKernel<Args> kernel = choose_(context.kernels);
    if (*a.shape == *b.shape) {
      forFlat(context, [&](size_t first, size_t bytes) {
        kernel(a.data + first, b.data + first, bytes, args_, context.output.data + first);
      });
      return;
    }
    const Shape& shape = *context.output.shape;
    const int64_t rows = shape.rows();
    const int64_t step = std::max<int64_t>(1, kChunkBytes / shape.channels());
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(rows, step)), [&](size_t chunk, int thread) {
      uint8_t* spare = context.threadScratch<uint8_t>(thread);
      const int64_t end = std::min(rows, static_cast<int64_t>(chunk + 1) * step);
      for (int64_t row = static_cast<int64_t>(chunk) * step; row < end; ++row) {
        const uint8_t* left = alignedRow(a, shape, row, spare);
        const uint8_t* right = alignedRow(b, shape, row, spare + rowBytes(shape));
        kernel(left, right, shape.channels(), args_, context.output.row(row));
      }
    });
  }

 private:
  static size_t rowBytes(const Shape& shape) { return rowPitch(shape.channels()) + 64; }

  // The row of `view` that lines up with row `row` of the output; spread over `spare` where it has one channel.
  static const uint8_t* alignedRow(const View& view, const Shape& out, int64_t row, uint8_t* spare) {
    const uint8_t* data = view.row(broadcastRow(*view.shape, out, row));
    if (view.shape->channels() == out.channels()) return data;
    std::memset(spare, data[0], out.channels());
    return spare;
  }

  BinaryChoice<Args> choose_;
  Args args_;
  std::vector<uint8_t> table_;
};

// value = the greater or the lesser of (float)(a - zeroA) * multiplierA and (float)(b - zeroB) * multiplierB
template <bool kGreater>
void extremum(const uint8_t* a, const uint8_t* b, size_t count, const AddArgs& args, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const float left = static_cast<float>(a[i] - args.zeroA) * args.multiplierA;
    const float right = static_cast<float>(b[i] - args.zeroB) * args.multiplierB;
    const bool takeLeft = kGreater ? left > right : left < right;
    out[i] = codeOf(takeLeft ? left : right, args.low, args.high, args.zeroPoint);
  }
  if (!args.table) return;
  for (size_t i = 0; i < count; ++i) out[i] = args.table[out[i]];
}

class Lookup : public Operator {
 public:
  Lookup(OpReader& reader, std::vector<uint8_t> table) : Operator(reader.label()), table_(std::move(table)) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

  void run(const RunContext& context) const override {
    forFlat(context, [&](size_t first, size_t bytes) {
      context.kernels.lookup(context.inputs[0].data + first, bytes, table_.data(), context.output.data + first);
    });
  }

 private:
  std::vector<uint8_t> table_;
};

// int8 -> float32 through a table of 256 floats.
class FloatLookup : public Operator {
 public:
  FloatLookup(OpReader& reader, int64_t tableOffset)
      : Operator(reader.label()), table_(reader.floats("table of floats", tableOffset, 256)) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const int32_t channels = input.shape->channels();
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int) {
      for (int64_t row = first; row < first + rows; ++row) {
        const uint8_t* codes = input.row(row);
        float* out = context.output.floats() + row * channels;
        for (int32_t c = 0; c < channels; ++c) out[c] = table_[codes[c]];
      }
    });
  }

 private:
  std::vector<float> table_;  // by unsigned code, which is the int8 code + 128
};

// Scale and zero point that the result is requantized to: the output's, or those before the table.
struct Target {
  double scale;
  int32_t zeroPoint;
  Target(const Activation& activation, const Tensor& output)
      : scale(activation.table.empty() ? output.scale : activation.preScale),
        zeroPoint(activation.table.empty() ? output.zeroPoint : activation.preZeroPoint) {}
};

float checkedMultiplier(const OpReader& reader, double multiplier) {
  const float value = static_cast<float>(multiplier);
  if (!std::isfinite(value)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the ratio of its scales, %g, exceeds the float32 range.", reader.label().c_str(),
         multiplier);
  }
  return value;
}

void expectCodes(const OpReader& reader, const Tensor& a, const Tensor& b, const Tensor& output) {
  expectType(reader, "first input", a, TensorType::kInt8);
  expectType(reader, "second input", b, TensorType::kInt8);
  expectType(reader, "output", output, TensorType::kInt8);
}

// Ops that bring both operands to steps of the output; `sign` is the second one's.
std::unique_ptr<Operator> makeScaled(OpReader& reader, const Activation& activation, const Tensor& a, const Tensor& b,
                                     const Tensor& output, BinaryChoice<AddArgs> choose, float sign) {
  expectCodes(reader, a, b, output);
  const Target target(activation, output);
  const CodeRange range(activation.codeMin, activation.codeMax, target.zeroPoint);
  const AddArgs args{a.zeroPoint,
                     b.zeroPoint,
                     checkedMultiplier(reader, a.scale / target.scale),
                     sign * checkedMultiplier(reader, b.scale / target.scale),
                     range.low,
                     range.high,
                     target.zeroPoint,
                     nullptr};
  return std::make_unique<Binary<AddArgs>>(reader, choose, args, activation.table);
}

BinaryKernel<AddArgs> sum(const Kernels& kernels) { return kernels.add; }

}  // namespace

std::unique_ptr<Operator> makeAdd(OpReader& reader, const BinaryParams& params, const Tensor& a, const Tensor& b,
                                  const Tensor& output) {
  if (a.type == TensorType::kFloat32) return makeFloatBinary(reader, FloatBinaryKind::kAdd, params, b, output);
  return makeScaled(reader, params.activation, a, b, output, sum, 1);
}

std::unique_ptr<Operator> makeSub(OpReader& reader, const BinaryParams& params, const Tensor& a, const Tensor& b,
                                  const Tensor& output) {
  if (a.type == TensorType::kFloat32) return makeFloatBinary(reader, FloatBinaryKind::kSub, params, b, output);
  return makeScaled(reader, params.activation, a, b, output, sum, -1);
}

std::unique_ptr<Operator> makeMaximum(OpReader& reader, const BinaryParams& params, const Tensor& a, const Tensor& b,
                                      const Tensor& output) {
  if (a.type == TensorType::kFloat32) return makeFloatBinary(reader, FloatBinaryKind::kMaximum, params, b, output);
  return makeScaled(reader, params.activation, a, b, output, [](const Kernels&) { return &extremum<true>; }, 1);
}

std::unique_ptr<Operator> makeMinimum(OpReader& reader, const BinaryParams& params, const Tensor& a, const Tensor& b,
                                      const Tensor& output) {
  if (a.type == TensorType::kFloat32) return makeFloatBinary(reader, FloatBinaryKind::kMinimum, params, b, output);
  return makeScaled(reader, params.activation, a, b, output, [](const Kernels&) { return &extremum<false>; }, 1);
}

std::unique_ptr<Operator> makeMul(OpReader& reader, const BinaryParams& params, const Tensor& a, const Tensor& b,
                                  const Tensor& output) {
  if (a.type == TensorType::kFloat32) return makeFloatBinary(reader, FloatBinaryKind::kMul, params, b, output);
  expectCodes(reader, a, b, output);
  const Activation& activation = params.activation;
  const Target target(activation, output);
  const CodeRange range(activation.codeMin, activation.codeMax, target.zeroPoint);
  const double product = static_cast<double>(a.scale) * static_cast<double>(b.scale);
  const MulArgs args{a.zeroPoint, b.zeroPoint, checkedMultiplier(reader, product / target.scale),
                     range.low,   range.high,  target.zeroPoint,
                     nullptr};
  return std::make_unique<Binary<MulArgs>>(
      reader, [](const Kernels& kernels) { return kernels.mul; }, args, activation.table);
}

std::unique_ptr<Operator> makeLookup(OpReader& reader, const LookupParams& params, const Tensor& input,
                                     const Tensor& output) {
  expectType(reader, "input", input, TensorType::kInt8);
  expectFloatOrCodes(reader, "output", output);
  if (output.type == TensorType::kFloat32) return std::make_unique<FloatLookup>(reader, params.tableOffset);
  return std::make_unique<Lookup>(reader, reader.table("activation table", params.tableOffset));
}

}  // namespace lowbit
