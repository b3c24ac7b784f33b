// QuantizedBatchMatMul: the matrix product of two activations, and Constant, which may be one operand of any op.
#include <algorithm>
#include <cmath>

#include "ops.h"
#include "rows.h"
#include "store.h"

namespace lowbit {
namespace {

// value = (float)(sum over k of (a[m][k] - zeroA) * (b[k][n] - zeroB)) * (float)(s_a * s_b / s_out), the sum exact. The
// differences are 16-bit integers, b's laid out by column, so that compilers find the pairwise products and sums that
// every instruction set has for those.
class BatchMatMul : public Operator {
 public:
  BatchMatMul(OpReader& reader, bool transposeA, bool transposeB, float multiplier, const Activation& activation,
              const Tensor& a, const Tensor& b, const Tensor& output)
      : Operator(reader.label()),
        transposeA_(transposeA),
        transposeB_(transposeB),
        toFloat_(output.type == TensorType::kFloat32),
        zeroA_(a.zeroPoint),
        zeroB_(b.zeroPoint),
        multiplier_(multiplier),
        zeroOut_(activation.table.empty() ? output.zeroPoint : activation.preZeroPoint),
        range_(activation.codeMin, activation.codeMax, zeroOut_),
        table_(activation.table) {
    if (!toFloat_) return;
    range_.low = activation.floatMin;
    range_.high = activation.floatMax;
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const Shape& a = inputs[0];
    const Shape& b = inputs[1];
    const auto refuse = [&] {
      fail(LOWBIT_INVALID_SHAPE, "%s: matrices of shapes %s and %s do not multiply.", label().c_str(),
           a.toString().c_str(), b.toString().c_str());
    };
    if (a.rank < 2 || b.rank < 2) refuse();
    const Matrix left(a, transposeA_), right(b, transposeB_);
    if (left.columns != right.rows) refuse();
    if (left.columns > kMaxTerms) {
      fail(LOWBIT_INVALID_SHAPE, "%s: a sum of %d products could overflow int32, expected at most %d.", label().c_str(),
           left.columns, kMaxTerms);
    }
    Shape out;
    out.rank = std::max(a.rank, b.rank);
    for (int i = 3; i <= out.rank; ++i) {
      const int32_t da = i <= a.rank ? a.dims[a.rank - i] : 1;
      const int32_t db = i <= b.rank ? b.dims[b.rank - i] : 1;
      if (da != db && da != 1 && db != 1) refuse();
      out.dims[out.rank - i] = std::max(da, db);
    }
    out.dims[out.rank - 2] = left.rows;
    out.dims[out.rank - 1] = right.columns;
    return out;
  }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape& output) const override {
    const size_t terms = Matrix(inputs[0], transposeA_).columns;
    const size_t columns = output.channels();
    return sizeof(int32_t) * columns + sizeof(int16_t) * terms * (columns + 1);
  }

  void run(const RunContext& context) const override {
    const View& a = context.inputs[0];
    const View& b = context.inputs[1];
    const Shape& out = *context.output.shape;
    const int32_t rows = out.dims[out.rank - 2], columns = out.channels();
    const int32_t terms = Matrix(*a.shape, transposeA_).columns;
    const int64_t blocks = ceilDiv(rows, kBlockRows);
    const int64_t batches = out.rows() / rows;
    context.pool.parallelFor(static_cast<size_t>(batches * blocks), [&](size_t chunk, int thread) {
      const int64_t batch = static_cast<int64_t>(chunk) / blocks;
      const int32_t first = static_cast<int32_t>(static_cast<int64_t>(chunk) % blocks) * kBlockRows;
      int32_t* sums = context.threadScratch<int32_t>(thread);
      int16_t* left = reinterpret_cast<int16_t*>(sums + columns);
      int16_t* right = left + terms;
      // Columns of b, then rows of a, each side by side.
      const int64_t batchOfA = batchIndex(*a.shape, out, batch), batchOfB = batchIndex(*b.shape, out, batch);
      for (int32_t n = 0; n < columns; ++n) {
        read(b, batchOfB, n, terms, !transposeB_, zeroB_, right + static_cast<size_t>(n) * terms);
      }
      for (int32_t m = first; m < std::min(rows, first + kBlockRows); ++m) {
        read(a, batchOfA, m, terms, transposeA_, zeroA_, left);
        for (int32_t n = 0; n < columns; ++n) sums[n] = dot(left, right + static_cast<size_t>(n) * terms, terms);
        store(sums, context.output, batch * rows + m);
      }
    });
  }

 private:
  static constexpr int32_t kBlockRows = 32;
  static constexpr int32_t kMaxTerms = INT32_MAX / (255 * 255);

  struct Matrix {
    int32_t rows, columns;
    Matrix(const Shape& shape, bool transposed)
        : rows(shape.dims[shape.rank - (transposed ? 1 : 2)]), columns(shape.dims[shape.rank - (transposed ? 2 : 1)]) {}
  };

  // Which matrix of a tensor takes part in matrix `batch` of the output.
  static int64_t batchIndex(const Shape& own, const Shape& out, int64_t batch) {
    int64_t index = 0, stride = 1;
    for (int i = 3; i <= own.rank; ++i) {
      const int32_t extent = out.dims[out.rank - i], extentOfOwn = own.dims[own.rank - i];
      if (extentOfOwn != 1) index += batch % extent * stride;
      batch /= extent;
      stride *= extentOfOwn;
    }
    return index;
  }

  // Codes less the zero point: row `index` of a matrix or, `down`, its column.
  static void read(const View& view, int64_t batch, int32_t index, int32_t count, bool down, int32_t zero,
                   int16_t* out) {
    const Shape& shape = *view.shape;
    const int64_t firstRow = batch * shape.dims[shape.rank - 2];
    const uint8_t* from = down ? view.row(firstRow) + index : view.row(firstRow + index);
    const size_t step = down ? view.pitch() : 1;
    for (int32_t i = 0; i < count; ++i) out[i] = static_cast<int16_t>(from[i * step] - zero);
  }

  static int32_t dot(const int16_t* a, const int16_t* b, int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) sum += a[i] * b[i];
    return sum;
  }

  void store(const int32_t* sums, const View& output, int64_t row) const {
    const int32_t columns = output.shape->channels();
    if (toFloat_) {
      float* out = output.floats() + row * columns;
      for (int32_t n = 0; n < columns; ++n) {
        const float value = static_cast<float>(sums[n]) * multiplier_;
        const float above = value > range_.low ? value : range_.low;
        out[n] = above < range_.high ? above : range_.high;
      }
      return;
    }
    uint8_t* out = output.row(row);
    for (int32_t n = 0; n < columns; ++n) {
      out[n] = codeOf(static_cast<float>(sums[n]) * multiplier_, range_.low, range_.high, zeroOut_);
    }
    if (table_.empty()) return;
    for (int32_t n = 0; n < columns; ++n) out[n] = table_[out[n]];
  }

  bool transposeA_;
  bool transposeB_;
  bool toFloat_;
  int32_t zeroA_;
  int32_t zeroB_;
  float multiplier_;
  int32_t zeroOut_;
  CodeRange range_;
  std::vector<uint8_t> table_;
};

// Codes from the weights.
class Constant : public Operator {
 public:
  Constant(OpReader& reader, const Shape& shape, const uint8_t* codes)
      : Operator(reader.label()), shape_(shape), codes_(codes, codes + shape.elements()) {
    for (uint8_t& code : codes_) code ^= 0x80;  // unsigned
  }

  Shape outputShape(const std::vector<Shape>&) const override { return shape_; }

  void run(const RunContext& context) const override {
    const size_t channels = shape_.channels();
    for (int64_t row = 0; row < shape_.rows(); ++row) {
      std::memcpy(context.output.row(row), codes_.data() + row * channels, channels);
    }
  }

  size_t packedBytes() const override { return codes_.size(); }

 private:
  Shape shape_;
  std::vector<uint8_t> codes_;
};

}  // namespace

std::unique_ptr<Operator> makeBatchMatMul(OpReader& reader, const BatchMatMulParams& params, const Tensor& a,
                                          const Tensor& b, const Tensor& output) {
  expectType(reader, "first input", a, TensorType::kInt8);
  expectType(reader, "second input", b, TensorType::kInt8);
  expectFloatOrCodes(reader, "output", output);
  const Activation& activation = params.activation;
  const bool toFloat = output.type == TensorType::kFloat32;
  if (toFloat) expectNoTable(reader, activation, "a float32 output");
  const double outScale = toFloat ? 1.0 : activation.table.empty() ? output.scale : activation.preScale;
  const float multiplier = static_cast<float>(static_cast<double>(a.scale) * static_cast<double>(b.scale) / outScale);
  if (!std::isfinite(multiplier)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the ratio of its scales exceeds the float32 range.", reader.label().c_str());
  }
  return std::make_unique<BatchMatMul>(reader, params.transposeA, params.transposeB, multiplier, activation, a, b,
                                       output);
}

std::unique_ptr<Operator> makeConstant(OpReader& reader, const ConstantParams& params, const Tensor& output) {
  expectType(reader, "output", output, TensorType::kInt8);
  Shape shape;
  shape.rank = static_cast<int>(params.shape.size());
  int64_t elements = 1;
  for (int i = 0; i < shape.rank; ++i) {
    shape.dims[i] = params.shape[i];
    elements *= shape.dims[i];
    if (elements > kMaxElements) fail(LOWBIT_INVALID_PROGRAM, "%s: has too many elements.", reader.label().c_str());
  }
  return std::make_unique<Constant>(reader, shape, reader.bytes("constant", params.offset, elements));
}

}  // namespace lowbit
