// QuantizedMaxPool and QuantizedAvgPool, strided and global.
#include "ops.h"
#include "float-ops.h"
#include "window.h"

namespace lowbit {
namespace {

class Pool : public Operator {
 public:
  Pool(OpReader& reader, const Window& window) : Operator(reader.label()), window_(window) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planWindow(label(), window_, inputs[0]);
    return outputOf(plan, plan.channels);
  }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape&) const override {
    return pointerBytes(inputs[0]) + sizeof(int32_t) * inputs[0].channels();
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const WindowPlan plan = planWindow(label(), window_, *input.shape);
    const int64_t pixels = plan.pixels();
    const int64_t step = std::max<int64_t>(1, 16384 / (static_cast<int64_t>(plan.taps()) * plan.channels));
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(pixels, step)), [&](size_t chunk, int thread) {
      const uint8_t** pointers = context.threadScratch<const uint8_t*>(thread);
      uint8_t* spare = context.threadScratch<uint8_t>(thread) + pointerBytes(*input.shape);
      const int64_t last = std::min(pixels, static_cast<int64_t>(chunk + 1) * step);
      for (int64_t first = static_cast<int64_t>(chunk) * step; first < last; first += gathered()) {
        const int gatheredNow = static_cast<int>(std::min<int64_t>(gathered(), last - first));
        const uint8_t** rows = pointers + gatheredNow * plan.taps();
        gatherRows(plan, window_, input, first, gatheredNow, nullptr, pointers);
        for (int i = 0; i < gatheredNow; ++i) {
          int count = 0;
          for (int tap = 0; tap < plan.taps(); ++tap) {
            const uint8_t* row = pointers[tap * gatheredNow + i];
            if (row) rows[count++] = row;  // padding takes no part
          }
          reduce(context.kernels, rows, count, plan.channels, spare, context.output, first + i);
        }
      }
    });
  }

 protected:
  // Reduces `count` rows (0 where a window lies in the padding alone) to row `pixel` of the output.
  virtual void reduce(const Kernels& kernels, const uint8_t* const* rows, int count, int channels, void* spare,
                      const View& output, int64_t pixel) const = 0;

 private:
  size_t pointerBytes(const Shape& input) const {
    const size_t taps = isGlobal(window_) ? static_cast<size_t>(input.dims[1]) * input.dims[2]
                                          : static_cast<size_t>(window_.kernelH) * window_.kernelW;
    return sizeof(uint8_t*) * taps * (gathered() + 1);
  }

  // Pixels whose rows are gathered at once.
  int gathered() const { return isGlobal(window_) ? 1 : 16; }

  Window window_;
};

class MaxPool : public Pool {
 public:
  MaxPool(OpReader& reader, const Window& window, const Activation& activation)
      : Pool(reader, window),
        low_(static_cast<uint8_t>(activation.codeMin + 128)),
        high_(static_cast<uint8_t>(activation.codeMax + 128)) {}

 protected:
  void reduce(const Kernels& kernels, const uint8_t* const* rows, int count, int channels, void*, const View& output,
              int64_t pixel) const override {
    kernels.maxRows(rows, count, channels, low_, high_, output.row(pixel));
  }

 private:
  uint8_t low_;
  uint8_t high_;
};

// mean = sum(q - zero) / count real elements, requantized with multiplier s_in / (s_out * count); for a float32 output
// times s_in / count and clamped.
class AvgPool : public Pool {
 public:
  AvgPool(OpReader& reader, const Window& window, const Activation& activation, const Tensor& input,
          const Tensor& output)
      : Pool(reader, window),
        toFloat_(output.type == TensorType::kFloat32),
        inScale_(input.scale),
        outScale_(toFloat_ ? 1 : output.scale),
        zeroIn_(input.zeroPoint),
        zeroOut_(output.zeroPoint),
        range_(activation.codeMin, activation.codeMax, output.zeroPoint) {
    if (!toFloat_) return;
    range_.low = activation.floatMin;
    range_.high = activation.floatMax;
  }

 protected:
  void reduce(const Kernels& kernels, const uint8_t* const* rows, int count, int channels, void* spare,
              const View& output, int64_t pixel) const override {
    int32_t* sums = static_cast<int32_t*>(spare);
    std::memset(sums, 0, sizeof(int32_t) * channels);
    kernels.sumRows(rows, count, channels, sums);
    const double divisor = static_cast<double>(outScale_) * std::max(count, 1);
    const RescaleArgs args{zeroIn_, static_cast<float>(static_cast<double>(inScale_) / divisor), range_.low,
                           range_.high, zeroOut_};
    if (toFloat_) {
      storeFloats(sums, channels, count * zeroIn_, args, output.floats() + pixel * channels);
    } else {
      kernels.rescaleSums(sums, channels, count * zeroIn_, args, output.row(pixel));
    }
  }

 private:
  static void storeFloats(const int32_t* sums, int channels, int32_t sumOfZeros, const RescaleArgs& args, float* out) {
    for (int c = 0; c < channels; ++c) {
      const float value = static_cast<float>(sums[c] - sumOfZeros) * args.multiplier;
      const float above = value > args.low ? value : args.low;
      out[c] = above < args.high ? above : args.high;
    }
  }

  bool toFloat_;
  float inScale_;
  float outScale_;
  int32_t zeroIn_;
  int32_t zeroOut_;
  CodeRange range_;
};

}  // namespace

std::unique_ptr<Operator> makeMaxPool(OpReader& reader, const MaxPoolParams& params, const Tensor& input,
                                      const Tensor& output) {
  if (input.type == TensorType::kFloat32) return makeFloatMaxPool(reader, params, output);
  expectType(reader, "input", input, TensorType::kInt8);
  expectType(reader, "output", output, TensorType::kInt8);
  expectSameQuantization(reader, input, output);
  expectNoTable(reader, params.activation, "a pool");
  return std::make_unique<MaxPool>(reader, params.window, params.activation);
}

std::unique_ptr<Operator> makeAvgPool(OpReader& reader, const AvgPoolParams& params, const Tensor& input,
                                      const Tensor& output) {
  if (input.type == TensorType::kFloat32) return makeFloatAvgPool(reader, params, output);
  expectType(reader, "input", input, TensorType::kInt8);
  expectFloatOrCodes(reader, "output", output);
  expectNoTable(reader, params.activation, "a pool");
  return std::make_unique<AvgPool>(reader, params.window, params.activation, input, output);
}

}  // namespace lowbit
