// Ops that move data: QuantizedConcat (which may rescale its inputs) and Reshape.
#include <algorithm>
#include <numeric>

#include "ops.h"
#include "rows.h"

namespace lowbit {
namespace {

class Concat : public Operator {
 public:
  Concat(OpReader& reader, int axis, const std::vector<Tensor>& inputs, const Tensor& output)
      : Operator(reader.label()), bytes_(elementBytes(output.type)), axis_(axis) {
    for (const Tensor& input : inputs) {
      const bool same = input.scale == output.scale && input.zeroPoint == output.zeroPoint;
      const float multiplier = static_cast<float>(static_cast<double>(input.scale) / output.scale);
      if (!std::isfinite(multiplier)) {
        fail(LOWBIT_INVALID_PROGRAM, "%s: the ratio of its scales exceeds the float32 range.", label().c_str());
      }
      const CodeRange range(-128, 127, output.zeroPoint);
      const RescaleArgs rescale{input.zeroPoint, multiplier, range.low, range.high, output.zeroPoint};
      std::vector<uint8_t> table(256);
      std::iota(table.begin(), table.end(), uint8_t{0});
      if (!same) scalarKernels().rescale(table.data(), table.size(), rescale, table.data());
      parts_.push_back(Part{same, rescale, std::move(table)});
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape out = inputs[0];
    const int axis = axisOf(out);
    int64_t extent = 0;
    for (const Shape& input : inputs) {
      bool matches = input.rank == out.rank;
      for (int i = 0; matches && i < out.rank; ++i) matches = i == axis || input.dims[i] == inputs[0].dims[i];
      if (!matches) {
        fail(LOWBIT_INVALID_SHAPE, "%s: shapes %s and %s differ in more than axis %d.", label().c_str(),
             inputs[0].toString().c_str(), input.toString().c_str(), axis);
      }
      extent += input.dims[axis];
    }
    if (extent > INT32_MAX) fail(LOWBIT_INVALID_SHAPE, "%s: the output is too large.", label().c_str());
    out.dims[axis] = static_cast<int32_t>(extent);
    return out;
  }

  void run(const RunContext& context) const override {
    const Shape& shape = *context.output.shape;
    const int axis = axisOf(shape);
    const bool alongChannels = axis == shape.rank - 1;
    int64_t outer = 1;
    for (int i = 0; i < axis; ++i) outer *= shape.dims[i];
    int64_t inner = 1;  // rows of one step along the axis
    for (int i = axis + 1; i < shape.rank - 1; ++i) inner *= shape.dims[i];
    if (alongChannels) {
      forRows(context, shape, [&](int64_t first, int64_t rows, int) { joinChannels(context, first, rows); });
      return;
    }
    const size_t pitch = rowBytes(shape, bytes_);
    context.pool.parallelFor(static_cast<size_t>(outer), [&](size_t block, int) {
      int64_t offset = 0;  // along the axis
      for (size_t p = 0; p < parts_.size(); ++p) {
        const View& input = context.inputs[p];
        const int64_t extent = input.shape->dims[axis];
        const int64_t rows = extent * inner;
        const uint8_t* from = input.row(static_cast<int64_t>(block) * rows, bytes_);
        uint8_t* to = context.output.row((static_cast<int64_t>(block) * shape.dims[axis] + offset) * inner, bytes_);
        offset += extent;
        if (parts_[p].copy) {
          std::memcpy(to, from, pitch * rows);
          continue;
        }
        for (int64_t r = 0; r < rows; ++r) {
          context.kernels.rescale(from + r * pitch, shape.channels(), parts_[p].rescale, to + r * pitch);
        }
      }
    });
  }

 private:
  struct Part {
    bool copy;
    RescaleArgs rescale;
    std::vector<uint8_t> table;  // the same, code by code
  };

  // Inputs of few channels are joined code by code.
  static constexpr int32_t kFewChannels = 8;

  void joinChannels(const RunContext& context, int64_t first, int64_t rows) const {
    size_t offset = 0;
    for (size_t p = 0; p < parts_.size(); ++p) {
      const View& input = context.inputs[p];
      const int32_t count = input.shape->channels();
      if (bytes_ == 1 && count <= kFewChannels) {
        const size_t from = input.pitch(), to = context.output.pitch();
        const uint8_t *codes = input.row(first), *table = parts_[p].table.data();
        uint8_t* out = context.output.row(first) + offset;
        for (int64_t r = 0; r < rows; ++r) {
          for (int32_t c = 0; c < count; ++c) out[r * to + c] = table[codes[r * from + c]];
        }
      } else {
        for (int64_t r = first; r < first + rows; ++r) {
          const uint8_t* from = input.row(r, bytes_);
          uint8_t* to = context.output.row(r, bytes_) + bytes_ * offset;
          if (parts_[p].copy) {
            std::memcpy(to, from, bytes_ * count);
          } else {
            context.kernels.rescale(from, count, parts_[p].rescale, to);
          }
        }
      }
      offset += count;
    }
  }

  // Codes lie in pitched rows, real values side by side.
  int axisOf(const Shape& shape) const {
    const int axis = axis_ < 0 ? axis_ + shape.rank : axis_;
    if (axis < 0 || axis >= shape.rank) {
      fail(LOWBIT_INVALID_SHAPE, "%s: axis %d is outside shape %s.", label().c_str(), axis_, shape.toString().c_str());
    }
    return axis;
  }

  size_t bytes_;
  int axis_;
  std::vector<Part> parts_;
};

class Reshape : public Operator {
 public:
  Reshape(OpReader& reader, const Shape& target, bool codes)
      : Operator(reader.label()), target_(target), codes_(codes) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape out = target_;
    int64_t known = 1;
    int inferred = -1;
    for (int i = 0; i < out.rank; ++i) {
      if (out.dims[i] == -1) {
        inferred = i;
      } else {
        known *= out.dims[i];
      }
    }
    const int64_t elements = inputs[0].elements();
    if (inferred >= 0 && known > 0 && elements % known == 0 && elements / known <= INT32_MAX) {
      out.dims[inferred] = static_cast<int32_t>(elements / known);
      known *= out.dims[inferred];
    }
    if (known != elements) {
      fail(LOWBIT_INVALID_SHAPE, "%s: cannot reshape %s to %s.", label().c_str(), inputs[0].toString().c_str(),
           target_.toString().c_str());
    }
    return out;
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const size_t elements = static_cast<size_t>(input.shape->elements());
    if (!codes_) {
      std::memcpy(context.output.data, input.data, elements * 4);
      return;
    }
    const size_t from = input.shape->channels(), to = context.output.shape->channels();
    if (from == to) {
      std::memcpy(context.output.data, input.data, input.shape->rows() * input.pitch());
      return;
    }
    for (size_t i = 0; i < elements;) {
      const size_t run = std::min(from - i % from, to - i % to);
      std::memcpy(context.output.row(i / to) + i % to, input.row(i / from) + i % from, run);
      i += run;
    }
  }

 private:
  Shape target_;
  bool codes_;
};

}  // namespace

std::unique_ptr<Operator> makeConcat(OpReader& reader, const ConcatParams& params, const std::vector<Tensor>& inputs,
                                     const Tensor& output) {
  expectFloatOrCodes(reader, "output", output);
  for (const Tensor& input : inputs) expectType(reader, "input", input, output.type);
  return std::make_unique<Concat>(reader, params.axis, inputs, output);
}

std::unique_ptr<Operator> makeReshape(OpReader& reader, const ReshapeParams& params, const Tensor& input,
                                      const Tensor& output) {
  expectSameQuantization(reader, input, output);
  if (input.type == TensorType::kInt16 || input.type == TensorType::kDynamicInt8) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: input is %s, whose scales go by its shape.", reader.label().c_str(),
         nameOf(input.type));
  }
  Shape target;
  target.rank = static_cast<int>(params.shape.size());
  int64_t known = 1;
  int unknown = 0;
  for (int i = 0; i < target.rank; ++i) {
    target.dims[i] = params.shape[i];
    if (target.dims[i] == -1) {
      ++unknown;
    } else {
      known *= target.dims[i];
    }
    if (target.dims[i] == 0 || unknown > 1 || known > kMaxElements) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: target shape %s: expected positive dimensions, at most one -1.",
           reader.label().c_str(), target.toString().c_str());
    }
  }
  return std::make_unique<Reshape>(reader, target, input.type == TensorType::kInt8);
}

}  // namespace lowbit
