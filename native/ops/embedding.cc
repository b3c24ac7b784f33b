// Gather: rows of weights of 2, 3, 4 or 8 bits by int32 indices, as float32 values or int8 codes. An embedding lookup.
#include "ops.h"
#include "rows.h"
#include "stored-rows.h"

namespace lowbit {
namespace {

class Gather : public Operator {
 public:
  Gather(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth, const Tensor& output)
      : Operator(reader.label()),
        weights_(reader, filter, rows, depth),
        toCodes_(output.type == TensorType::kInt8),
        scale_(output.scale),
        zeroPoint_(output.zeroPoint) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape shape = inputs[0];
    if (shape.rank == kMaxRank) {
      fail(LOWBIT_INVALID_SHAPE, "%s: indices have shape %s, expected at most %d dimensions.", label().c_str(),
           shape.toString().c_str(), kMaxRank - 1);
    }
    shape.dims[shape.rank++] = weights_.depth();
    return shape;
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override {
    return toCodes_ ? sizeof(float) * static_cast<size_t>(weights_.depth()) : 0;
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const int32_t* indices = input.ints();
    const int64_t count = input.shape->elements();
    for (int64_t i = 0; i < count; ++i) {
      if (indices[i] >= 0 && indices[i] < weights_.rows()) continue;
      fail(LOWBIT_INVALID_ARGUMENT, "%s: index %d at position %lld, expected 0 to %d.", label().c_str(), indices[i],
           static_cast<long long>(i), weights_.rows() - 1);
    }
    const int32_t depth = weights_.depth();
    forRows(context, *context.output.shape, [&](int64_t first, int64_t rows, int thread) {
      for (int64_t i = first; i < first + rows; ++i) {
        if (toCodes_) {
          weights_.decodeCodes(context.kernels, indices[i], scale_, zeroPoint_, context.threadScratch<float>(thread),
                               context.output.row(i));
        } else {
          weights_.decode(context.kernels, Tile{indices[i], 1, 0, depth}, context.output.floats() + i * depth, 0);
        }
      }
    });
  }

  size_t packedBytes() const override { return weights_.bytes(); }

 private:
  StoredRows weights_;
  bool toCodes_;
  float scale_;
  int32_t zeroPoint_;
};

}  // namespace

std::unique_ptr<Operator> makeGather(OpReader& reader, const GatherParams& params, const Tensor& input,
                                     const Tensor& output) {
  expectType(reader, "indices", input, TensorType::kInt32);
  expectFloatOrCodes(reader, "output", output);
  if (params.filter.biasOffset != -1) fail(LOWBIT_INVALID_PROGRAM, "%s: takes no bias.", reader.label().c_str());
  return std::make_unique<Gather>(reader, params.filter, params.rows, params.depth, output);
}

}  // namespace lowbit
