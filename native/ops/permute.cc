// Ops that reorder all elements of a tensor: QuantizedTranspose, QuantizedSpaceToDepth and QuantizedDepthToSpace.
#include <algorithm>

#include "ops.h"

namespace lowbit {
namespace {

// Nested loops over both tensors at once: strides in bytes, the last loop innermost.
struct Loops {
  static constexpr int kMost = kMaxRank;
  int count = 0;
  int64_t extent[kMost];
  int64_t from[kMost];
  int64_t to[kMost];

  // One loop within those that were added before, or as a part of the last one where it goes on evenly.
  void add(int64_t steps, int64_t fromStride, int64_t toStride) {
    if (steps == 1) return;
    const int last = count - 1;
    if (count > 0 && from[last] == steps * fromStride && to[last] == steps * toStride) {
      extent[last] *= steps;
    } else {
      extent[count++] = steps;
    }
    from[count - 1] = fromStride;
    to[count - 1] = toStride;
  }

  // What the innermost loop copies in one piece, or else one element.
  int64_t takePiece(int64_t element) {
    const int last = count - 1;
    if (count == 0 || from[last] != element || to[last] != element) return element;
    return element * extent[--count];
  }
};

// Bytes from one step to the next along each axis of pitched rows.
struct ByteStrides {
  int64_t of[kMaxRank] = {};

  // Codes lie in pitched rows, real values side by side.
  ByteStrides(const Shape& shape, int64_t element) {
    int64_t stride = static_cast<int64_t>(rowBytes(shape, static_cast<size_t>(element)));
    for (int axis = shape.rank - 1; axis >= 0; --axis) {
      const bool last = axis == shape.rank - 1;
      of[axis] = last ? element : stride;
      if (!last) stride *= shape.dims[axis];
    }
  }
};

class Permutation : public Operator {
 public:
  Permutation(OpReader& reader, const Tensor& input)
      : Operator(reader.label()), element_(static_cast<int64_t>(elementBytes(input.type))) {}

  void run(const RunContext& context) const override {
    Loops loops = plan(*context.inputs[0].shape, *context.output.shape);
    const int64_t piece = loops.takePiece(element_);
    if (loops.count == 0) loops.extent[loops.count++] = 1;
    const int last = loops.count - 1;
    int64_t outer = 1;
    for (int i = 0; i < last; ++i) outer *= loops.extent[i];
    const int64_t step = std::max<int64_t>(1, kChunkBytes / (piece * loops.extent[last]));
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(outer, step)), [&](size_t chunk, int) {
      const int64_t first = static_cast<int64_t>(chunk) * step;
      copy(loops, piece, first, std::min(outer, first + step), context.inputs[0].data, context.output.data);
    });
  }

 protected:
  int64_t element() const { return element_; }  // bytes

  virtual Loops plan(const Shape& in, const Shape& out) const = 0;

 private:
  static constexpr int64_t kChunkBytes = 32768;

  // Passes `first` to `end` of all loops but the innermost.
  static void copy(const Loops& loops, int64_t piece, int64_t first, int64_t end, const uint8_t* from, uint8_t* to) {
    const int last = loops.count - 1;
    int64_t index[Loops::kMost] = {};
    int64_t rest = first;
    for (int i = last - 1; i >= 0; --i) {
      index[i] = rest % loops.extent[i];
      rest /= loops.extent[i];
      from += index[i] * loops.from[i];
      to += index[i] * loops.to[i];
    }
    for (int64_t at = first; at < end; ++at) {
      copyPieces(piece, loops.extent[last], from, loops.from[last], to, loops.to[last]);
      for (int i = last - 1; i >= 0; --i) {
        from += loops.from[i];
        to += loops.to[i];
        if (++index[i] < loops.extent[i]) break;
        from -= loops.extent[i] * loops.from[i];
        to -= loops.extent[i] * loops.to[i];
        index[i] = 0;
      }
    }
  }

  static void copyPieces(int64_t bytes, int64_t count, const uint8_t* from, int64_t fromStride, uint8_t* to,
                         int64_t toStride) {
    switch (bytes) {
      case 1: return copyEach<1>(count, from, fromStride, to, toStride);
      case 4: return copyEach<4>(count, from, fromStride, to, toStride);
      case 8: return copyEach<8>(count, from, fromStride, to, toStride);
      case 16: return copyEach<16>(count, from, fromStride, to, toStride);
      default:
        for (int64_t i = 0; i < count; ++i) {
          std::memcpy(to + i * toStride, from + i * fromStride, static_cast<size_t>(bytes));
        }
    }
  }

  template <size_t kBytes>
  static void copyEach(int64_t count, const uint8_t* from, int64_t fromStride, uint8_t* to, int64_t toStride) {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * toStride, from + i * fromStride, kBytes);
  }

  int64_t element_;
};

class Transpose : public Permutation {
 public:
  Transpose(OpReader& reader, const Tensor& input, const std::vector<int32_t>& axes)
      : Permutation(reader, input), axes_(axes) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const Shape& in = inputs[0];
    if (static_cast<size_t>(in.rank) != axes_.size()) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected rank %zu.", label().c_str(), in.toString().c_str(),
           axes_.size());
    }
    Shape out = in;
    for (int i = 0; i < out.rank; ++i) out.dims[i] = in.dims[axes_[i]];
    return out;
  }

 protected:
  Loops plan(const Shape& in, const Shape& out) const override {
    const ByteStrides from(in, element()), to(out, element());
    Loops loops;
    for (int i = 0; i < out.rank; ++i) loops.add(out.dims[i], from.of[axes_[i]], to.of[i]);
    return loops;
  }

 private:
  std::vector<int32_t> axes_;  // of the input, by axis of the output
};

// depth[n][y][x][(i * block + j) * channels + c] = space[n][y * block + i][x * block + j][c]
class SpaceDepth : public Permutation {
 public:
  SpaceDepth(OpReader& reader, const Tensor& input, int32_t block, bool toSpace)
      : Permutation(reader, input), block_(block), toSpace_(toSpace) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const Shape& in = inputs[0];
    if (in.rank != 4) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected [batch, height, width, channels].", label().c_str(),
           in.toString().c_str());
    }
    const int64_t area = static_cast<int64_t>(block_) * block_;
    const bool divides = toSpace_ ? in.dims[3] % area == 0 : in.dims[1] % block_ == 0 && in.dims[2] % block_ == 0;
    const int64_t most = INT32_MAX / (toSpace_ ? block_ : area);
    if (!divides || (toSpace_ ? std::max(in.dims[1], in.dims[2]) : in.dims[3]) > most) {
      fail(LOWBIT_INVALID_SHAPE, "%s: blocks of %d x %d do not divide shape %s.", label().c_str(), block_, block_,
           in.toString().c_str());
    }
    if (toSpace_) {
      return Shape{4, {in.dims[0], in.dims[1] * block_, in.dims[2] * block_, static_cast<int32_t>(in.dims[3] / area)}};
    }
    return Shape{4, {in.dims[0], in.dims[1] / block_, in.dims[2] / block_, static_cast<int32_t>(in.dims[3] * area)}};
  }

 protected:
  Loops plan(const Shape& in, const Shape& out) const override {
    const Shape& depth = toSpace_ ? in : out;
    const int64_t channels = (toSpace_ ? out : in).channels();
    const ByteStrides deep(depth, element()), wide(toSpace_ ? out : in, element());
    Loops loops;
    const auto add = [&](int64_t extent, int64_t deepStride, int64_t wideStride) {
      loops.add(extent, toSpace_ ? deepStride : wideStride, toSpace_ ? wideStride : deepStride);
    };
    add(depth.dims[0], deep.of[0], wide.of[0]);
    add(depth.dims[1], deep.of[1], wide.of[1] * block_);
    add(block_, block_ * channels * element(), wide.of[1]);
    add(depth.dims[2], deep.of[2], wide.of[2] * block_);
    add(block_, channels * element(), wide.of[2]);
    add(channels, element(), element());
    return loops;
  }

 private:
  int32_t block_;
  bool toSpace_;
};

std::unique_ptr<Operator> makeSpaceDepth(OpReader& reader, const SpaceDepthParams& params, const Tensor& input,
                                         const Tensor& output, bool toSpace) {
  expectFloatOrCodes(reader, "input", input);
  expectSameQuantization(reader, input, output);
  return std::make_unique<SpaceDepth>(reader, input, params.block, toSpace);
}

}  // namespace

std::unique_ptr<Operator> makeTranspose(OpReader& reader, const TransposeParams& params, const Tensor& input,
                                        const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectSameQuantization(reader, input, output);
  std::vector<bool> seen(params.axes.size());
  for (int32_t axis : params.axes) {
    if (seen[axis]) fail(LOWBIT_INVALID_PROGRAM, "%s: axis %d occurs twice.", reader.label().c_str(), axis);
    seen[axis] = true;
  }
  return std::make_unique<Transpose>(reader, input, params.axes);
}

std::unique_ptr<Operator> makeSpaceToDepth(OpReader& reader, const SpaceDepthParams& params, const Tensor& input,
                                           const Tensor& output) {
  return makeSpaceDepth(reader, params, input, output, false);
}

std::unique_ptr<Operator> makeDepthToSpace(OpReader& reader, const SpaceDepthParams& params, const Tensor& input,
                                           const Tensor& output) {
  return makeSpaceDepth(reader, params, input, output, true);
}

}  // namespace lowbit
