// Ops whose output element comes from one input element, axis by axis: QuantizedPad, QuantizedSlice and
// QuantizedResizeNearestNeighbor.
#include <algorithm>

#include "ops.h"
#include "resize.h"

namespace lowbit {
namespace {

constexpr int32_t kFill = -1;

// The input index along each axis of every output index, or kFill where no input element goes. The inner axes that
// nothing happens to are one unit of memory; along the axis before them, units are copied in runs that lie side by side
// in the input as well.
class AxisGather : public Operator {
 public:
  AxisGather(OpReader& reader, const Tensor& input, uint8_t fill)
      : Operator(reader.label()), bytes_(elementBytes(input.type)), fill_(fill) {}

  size_t scratchBytes(const std::vector<Shape>&, const Shape& output) const override {
    size_t entries = 0;
    int32_t longest = 1;
    for (int axis = 0; axis < output.rank; ++axis) {
      entries += static_cast<size_t>(output.dims[axis]);
      longest = std::max(longest, output.dims[axis]);
    }
    return sizeof(int32_t) * entries + sizeof(Run) * static_cast<size_t>(longest);
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const Shape &in = *input.shape, &out = *context.output.shape;
    // Made here, then read by all threads.
    int32_t* tables[kMaxRank];
    int32_t* free = context.threadScratch<int32_t>(0);
    for (int axis = 0; axis < out.rank; ++axis) {
      tables[axis] = free;
      fillTable(axis, in.dims[axis], out.dims[axis], free);
      free += out.dims[axis];
    }
    int axis = out.rank - 1;
    size_t unit = bytes_, inLine = rowBytes(in, bytes_), outLine = rowBytes(out, bytes_);
    while (axis > 0 && isIdentity(tables[axis], in.dims[axis], out.dims[axis])) {
      --axis;
      unit = outLine;
      inLine = unit * in.dims[axis];
      outLine = unit * out.dims[axis];
    }
    int64_t lines = 1;
    for (int i = 0; i < axis; ++i) lines *= out.dims[i];
    Run* runs = reinterpret_cast<Run*>(free);
    const int runCount = findRuns(tables[axis], out.dims[axis], runs);
    const int64_t step = std::max<int64_t>(1, kChunkBytes / static_cast<int64_t>(outLine));
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(lines, step)), [&](size_t chunk, int) {
      const int64_t first = static_cast<int64_t>(chunk) * step;
      for (int64_t line = first; line < std::min(lines, first + step); ++line) {
        const int64_t from = inputLine(in, out, tables, axis, line);
        uint8_t* to = context.output.data + static_cast<size_t>(line) * outLine;
        if (from == kFill) {
          std::memset(to, fill_, unit * out.dims[axis]);
          continue;
        }
        const uint8_t* source = input.data + static_cast<size_t>(from) * inLine;
        for (int i = 0; i < runCount; ++i) {
          const Run& run = runs[i];
          if (run.from == kFill) {
            std::memset(to + unit * run.to, fill_, unit * run.length);
          } else {
            std::memcpy(to + unit * run.to, source + unit * run.from, unit * run.length);
          }
        }
      }
    });
  }

 protected:
  // Writes the input index of each of `out` output indices along an axis of `in` input elements.
  virtual void fillTable(int axis, int32_t in, int32_t out, int32_t* table) const = 0;

  // Throws unless the input has this rank.
  void expectRank(const Shape& input, int rank) const {
    if (input.rank != rank) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected rank %d.", label().c_str(), input.toString().c_str(),
           rank);
    }
  }

 private:
  struct Run {
    int32_t to, from, length;
  };

  static constexpr int64_t kChunkBytes = 16384;

  static bool isIdentity(const int32_t* table, int32_t in, int32_t out) {
    if (in != out) return false;
    for (int32_t i = 0; i < out; ++i) {
      if (table[i] != i) return false;
    }
    return true;
  }

  static int findRuns(const int32_t* table, int32_t count, Run* runs) {
    int found = 0;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t from = table[i];
      const bool goesOn = found > 0 && (from == kFill ? runs[found - 1].from == kFill
                                                      : runs[found - 1].from != kFill &&
                                                            runs[found - 1].from + runs[found - 1].length == from);
      if (goesOn) {
        ++runs[found - 1].length;
      } else {
        runs[found++] = Run{i, from, 1};
      }
    }
    return found;
  }

  // The line of the input, along `axis`, that a line of the output is made of.
  static int64_t inputLine(const Shape& in, const Shape& out, int32_t* const* tables, int axis, int64_t line) {
    int64_t from = 0, stride = 1;
    for (int i = axis - 1; i >= 0; --i) {
      const int32_t along = tables[i][line % out.dims[i]];
      if (along == kFill) return kFill;
      from += along * stride;
      stride *= in.dims[i];
      line /= out.dims[i];
    }
    return from;
  }

  size_t bytes_;
  uint8_t fill_;
};

class Pad : public AxisGather {
 public:
  Pad(OpReader& reader, const PadParams& params, const Tensor& input)
      : AxisGather(reader, input, static_cast<uint8_t>(input.type == TensorType::kInt8 ? params.code + 128 : 0)),
        mode_(params.mode),
        paddings_(params.paddings) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape out = inputs[0];
    expectRank(out, static_cast<int>(paddings_.size()));
    for (int axis = 0; axis < out.rank; ++axis) {
      const auto [before, after] = paddings_[axis];
      const int64_t most = mode_ == PadMode::kReflect ? out.dims[axis] - 1 : out.dims[axis];
      if (mode_ != PadMode::kConstant && std::max(before, after) > most) {
        fail(LOWBIT_INVALID_SHAPE, "%s: axis %d of shape %s can be mirrored by at most %lld, not %d.", label().c_str(),
             axis, inputs[0].toString().c_str(), static_cast<long long>(most), std::max(before, after));
      }
      const int64_t extent = static_cast<int64_t>(out.dims[axis]) + before + after;
      if (extent > INT32_MAX) fail(LOWBIT_INVALID_SHAPE, "%s: the output is too large.", label().c_str());
      out.dims[axis] = static_cast<int32_t>(extent);
    }
    return out;
  }

 protected:
  void fillTable(int axis, int32_t in, int32_t out, int32_t* table) const override {
    // Reflection leaves out the border element itself, symmetry repeats it.
    const int32_t repeat = mode_ == PadMode::kSymmetric ? 1 : 0;
    for (int32_t i = 0; i < out; ++i) {
      const int32_t at = i - paddings_[axis].before;
      const bool inside = at >= 0 && at < in;
      if (inside) {
        table[i] = at;
      } else if (mode_ == PadMode::kConstant) {
        table[i] = kFill;
      } else {
        table[i] = at < 0 ? -at - repeat : 2 * (in - 1) - at + repeat;
      }
    }
  }

 private:
  PadMode mode_;
  std::vector<AxisPadding> paddings_;
};

class Slice : public AxisGather {
 public:
  Slice(OpReader& reader, const Tensor& input, const std::vector<SliceRange>& ranges)
      : AxisGather(reader, input, 0), ranges_(ranges) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    Shape out = inputs[0];
    expectRank(out, static_cast<int>(ranges_.size()));
    for (int axis = 0; axis < out.rank; ++axis) {
      const SliceRange& range = ranges_[axis];
      const int64_t extent = out.dims[axis];
      const int64_t size = range.size == -1 ? ceilDiv(extent - range.begin, range.stride) : range.size;
      if (size < 1 || range.begin + (size - 1) * range.stride >= extent) {
        fail(LOWBIT_INVALID_SHAPE, "%s: %lld elements from %d by steps of %d lie outside axis %d of shape %s.",
             label().c_str(), static_cast<long long>(std::max<int64_t>(size, 1)), range.begin, range.stride, axis,
             inputs[0].toString().c_str());
      }
      out.dims[axis] = static_cast<int32_t>(size);
    }
    return out;
  }

 protected:
  void fillTable(int axis, int32_t, int32_t out, int32_t* table) const override {
    for (int32_t i = 0; i < out; ++i) table[i] = ranges_[axis].begin + i * ranges_[axis].stride;
  }

 private:
  std::vector<SliceRange> ranges_;
};

class ResizeNearest : public AxisGather {
 public:
  ResizeNearest(OpReader& reader, const Tensor& input, const ResizeSize& size)
      : AxisGather(reader, input, 0), resize_(size) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return resize_.outputShape(label(), inputs[0]); }

 protected:
  void fillTable(int axis, int32_t in, int32_t out, int32_t* table) const override {
    const bool spatial = axis == 1 || axis == 2;
    for (int32_t i = 0; i < out; ++i) table[i] = spatial ? resize_.nearest(i, in, out) : i;
  }

 private:
  Resize resize_;
};

}  // namespace

std::unique_ptr<Operator> makePad(OpReader& reader, const PadParams& params, const Tensor& input,
                                  const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectSameQuantization(reader, input, output);
  return std::make_unique<Pad>(reader, params, input);
}

std::unique_ptr<Operator> makeSlice(OpReader& reader, const SliceParams& params, const Tensor& input,
                                    const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectSameQuantization(reader, input, output);
  return std::make_unique<Slice>(reader, input, params.ranges);
}

std::unique_ptr<Operator> makeResizeNearestNeighbor(OpReader& reader, const ResizeNearestNeighborParams& params,
                                                    const Tensor& input, const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectSameQuantization(reader, input, output);
  return std::make_unique<ResizeNearest>(reader, input, params.size);
}

}  // namespace lowbit
