// Ops at the border of a region: Quantize, Dequantize, Cast. Outside, data is dense; inside, codes lie in pitched rows.
#include <algorithm>

#include "../isa/spread-rows.h"
#include "ops.h"

namespace lowbit {

void expectType(const OpReader& reader, const char* what, const Tensor& tensor, TensorType type) {
  if (tensor.type != type) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: %s is %s, expected %s.", reader.label().c_str(), what, nameOf(tensor.type),
         nameOf(type));
  }
}

void expectFloatOrCodes(const OpReader& reader, const char* what, const Tensor& tensor) {
  if (tensor.type != TensorType::kFloat32) expectType(reader, what, tensor, TensorType::kInt8);
}

void expectSameQuantization(const OpReader& reader, const Tensor& input, const Tensor& output) {
  if (input.type != output.type || input.scale != output.scale || input.zeroPoint != output.zeroPoint) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: input and output must have the same type, scale and zero point.",
         reader.label().c_str());
  }
}

void expectNoTable(const OpReader& reader, const Activation& activation, const char* taker) {
  if (!activation.table.empty()) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: %s takes no activation table.", reader.label().c_str(), taker);
  }
}

namespace {

// An element-wise op between dense data and pitched rows, in chunks of whole rows.
class BorderOp : public Operator {
 public:
  explicit BorderOp(OpReader& reader) : Operator(reader.label()) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

 protected:
  static constexpr int64_t kChunkElements = 4096;

  // Calls body(first row, rows, thread) for chunks of rows of about kChunkElements elements.
  template <class Body>
  static void forRows(const RunContext& context, const Shape& shape, Body&& body) {
    const int64_t rows = shape.rows();
    const int64_t step = std::max<int64_t>(1, kChunkElements / shape.channels());
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(rows, step)), [&](size_t chunk, int thread) {
      const int64_t first = static_cast<int64_t>(chunk) * step;
      body(first, std::min(step, rows - first), thread);
    });
  }

  static size_t chunkElements(const Shape& shape) {
    return static_cast<size_t>(std::max<int64_t>(kChunkElements, shape.channels()));
  }
};

class Quantize : public BorderOp {
 public:
  Quantize(OpReader& reader, const Tensor& output)
      : BorderOp(reader), scale_(output.scale), zeroPoint_(output.zeroPoint) {}

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape&) const override {
    return chunkElements(inputs[0]) + 64;
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const size_t channels = input.shape->channels();
    const size_t pitch = context.output.pitch();
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int thread) {
      const float* from = input.floats() + first * channels;
      uint8_t* to = context.output.row(first);
      if (pitch == channels) {
        context.kernels.quantize(from, rows * channels, scale_, zeroPoint_, to);
        return;
      }
      uint8_t* dense = context.threadScratch<uint8_t>(thread);
      context.kernels.quantize(from, rows * channels, scale_, zeroPoint_, dense);
      spreadRows(dense, static_cast<size_t>(rows), channels, to, pitch);
    });
  }

 private:
  float scale_;
  int32_t zeroPoint_;
};

class Dequantize : public BorderOp {
 public:
  Dequantize(OpReader& reader, const Tensor& input)
      : BorderOp(reader), scale_(input.scale), zeroPoint_(input.zeroPoint) {}

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const size_t channels = input.shape->channels();
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int) {
      float* to = context.output.floats() + first * channels;
      if (input.pitch() == channels) {
        context.kernels.dequantize(input.row(first), rows * channels, scale_, zeroPoint_, to);
        return;
      }
      for (int64_t r = 0; r < rows; ++r) {
        context.kernels.dequantize(input.row(first + r), channels, scale_, zeroPoint_, to + r * channels);
      }
    });
  }

 private:
  float scale_;
  int32_t zeroPoint_;
};

// int32 elements carry int8 codes across the border: narrowing saturates to [-128, 127].
class Cast : public BorderOp {
 public:
  Cast(OpReader& reader, bool narrow) : BorderOp(reader), narrow_(narrow) {}

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const size_t channels = input.shape->channels();
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int) {
      for (int64_t r = first; r < first + rows; ++r) {
        if (narrow_) {
          narrow(input.ints() + r * channels, channels, context.output.row(r));
        } else {
          widen(input.row(r), channels, context.output.ints() + r * channels);
        }
      }
    });
  }

 private:
  static void narrow(const int32_t* values, size_t count, uint8_t* codes) {
    for (size_t i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(std::clamp(values[i], -128, 127) + 128);
  }

  static void widen(const uint8_t* codes, size_t count, int32_t* values) {
    for (size_t i = 0; i < count; ++i) values[i] = codes[i] - 128;
  }

  bool narrow_;
};

}  // namespace

std::unique_ptr<Operator> makeQuantize(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kInt8);
  return std::make_unique<Quantize>(reader, output);
}

std::unique_ptr<Operator> makeDequantize(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kInt8);
  expectType(reader, "output", output, TensorType::kFloat32);
  return std::make_unique<Dequantize>(reader, input);
}

std::unique_ptr<Operator> makeCast(OpReader& reader, const Tensor& input, const Tensor& output) {
  const bool narrow = input.type == TensorType::kInt32;
  expectType(reader, "input", input, narrow ? TensorType::kInt32 : TensorType::kInt8);
  expectType(reader, "output", output, narrow ? TensorType::kInt8 : TensorType::kInt32);
  return std::make_unique<Cast>(reader, narrow);
}

}  // namespace lowbit
