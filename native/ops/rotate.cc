// Rotate: a randomised block-Hadamard rotation along the last axis, so that a matrix whose rows were rotated alike
// gives the same products (see rotation.h).
#include "ops.h"
#include "rotation.h"
#include "rows.h"

namespace lowbit {
namespace {

// Codes become steps, (float)(code - zero), whose sums are exact; their scale is part of the multiplication at the end.
// An int8 output is quantized from the float32 result, block by block.
class Rotate : public Operator {
 public:
  Rotate(OpReader& reader, std::vector<uint32_t> signs, int32_t block, bool inverse, const Tensor& input,
         const Tensor& output)
      : Operator(reader.label()),
        signs_(std::move(signs)),
        block_(static_cast<size_t>(block)),
        inverse_(inverse),
        fromCodes_(input.type == TensorType::kInt8),
        toCodes_(output.type == TensorType::kInt8),
        scaleIn_(fromCodes_ ? static_cast<double>(input.scale) : 1.0),
        zeroIn_(input.zeroPoint),
        scaleOut_(output.scale),
        zeroOut_(output.zeroPoint) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    if (inputs[0].rank < 1 || static_cast<size_t>(inputs[0].channels()) != signs_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected %zu elements along the last axis.", label().c_str(),
           inputs[0].toString().c_str(), signs_.size());
    }
    return inputs[0];
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override { return sizeof(float) * block_; }

  void run(const RunContext& context) const override {
    const Kernels& kernels = context.kernels;
    const View& input = context.inputs[0];
    const size_t depth = signs_.size();
    forRows(context, *input.shape, [&](int64_t first, int64_t rows, int thread) {
      float* scratch = context.threadScratch<float>(thread);
      for (int64_t row = first; row < first + rows; ++row) {
        forRotationBlocks(depth, block_, [&](size_t at, size_t size) {
          float* values = toCodes_ ? scratch : context.output.floats() + static_cast<size_t>(row) * depth + at;
          if (fromCodes_) {
            kernels.dequantize(input.row(row) + at, size, 1.0f, zeroIn_, values);
          } else {
            std::memcpy(values, input.floats() + static_cast<size_t>(row) * depth + at, size * sizeof(float));
          }
          kernels.rows.rotate(values, size, signs_.data() + at, rotationMultiplier(scaleIn_, size), inverse_);
          if (toCodes_) kernels.quantize(values, size, scaleOut_, zeroOut_, context.output.row(row) + at);
        });
      }
    });
  }

  size_t packedBytes() const override { return sizeof(uint32_t) * signs_.size(); }

 private:
  std::vector<uint32_t> signs_;
  size_t block_;
  bool inverse_;
  bool fromCodes_;
  bool toCodes_;
  double scaleIn_;
  int32_t zeroIn_;
  float scaleOut_;
  int32_t zeroOut_;
};

}  // namespace

void rotateRows(const RowKernels& kernels, float* values, int64_t rows, int64_t depth, int32_t block, uint32_t seed,
                bool inverse) {
  if (rows == 0 || depth == 0) return;
  const std::vector<uint32_t> signs = rotationSigns(static_cast<size_t>(depth), seed);
  const int64_t step = std::max<int64_t>(1, 16384 / depth);
  const ThreadPool::Lease pool(ThreadPool::shared());
  pool.parallelFor(static_cast<size_t>(ceilDiv(rows, step)), [&](size_t chunk, int) {
    const int64_t first = static_cast<int64_t>(chunk) * step;
    for (int64_t row = first; row < std::min(rows, first + step); ++row) {
      forRotationBlocks(signs.size(), static_cast<size_t>(block), [&](size_t at, size_t size) {
        kernels.rotate(values + row * depth + static_cast<int64_t>(at), size, signs.data() + at,
                       rotationMultiplier(1, size), inverse);
      });
    }
  });
}

std::unique_ptr<Operator> makeRotate(OpReader& reader, const RotateParams& params, const Tensor& input,
                                     const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectFloatOrCodes(reader, "output", output);
  const auto& [depth, block, seed, inverse] = params.rotation;
  return std::make_unique<Rotate>(reader, rotationSigns(static_cast<size_t>(depth), seed), block, inverse, input,
                                  output);
}

}  // namespace lowbit
