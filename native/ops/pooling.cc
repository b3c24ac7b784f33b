// QuantizedMaxPool and QuantizedAvgPool, strided and global.
#include "ops.h"
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
      const uint8_t** rows = context.threadScratch<const uint8_t*>(thread);
      uint8_t* spare = context.threadScratch<uint8_t>(thread) + pointerBytes(*input.shape);
      const int64_t end = std::min(pixels, static_cast<int64_t>(chunk + 1) * step);
      for (int64_t pixel = static_cast<int64_t>(chunk) * step; pixel < end; ++pixel) {
        int count = 0;  // padding takes no part
        visitTaps(plan, window_, input, pixel, [&](int, const uint8_t* row) {
          if (row) rows[count++] = row;
        });
        reduce(context.kernels, rows, count, plan.channels, spare, context.output.row(pixel));
      }
    });
  }

 protected:
  // Reduces `count` rows (0 where a window lies in the padding alone) to one.
  virtual void reduce(const Kernels& kernels, const uint8_t* const* rows, int count, int channels, void* spare,
                      uint8_t* out) const = 0;

 private:
  size_t pointerBytes(const Shape& input) const {
    const size_t taps = window_.global() ? static_cast<size_t>(input.dims[1]) * input.dims[2]
                                         : static_cast<size_t>(window_.kernelH) * window_.kernelW;
    return sizeof(uint8_t*) * taps;
  }

  Window window_;
};

class MaxPool : public Pool {
 public:
  MaxPool(OpReader& reader, const Window& window, const Activation& activation)
      : Pool(reader, window),
        low_(static_cast<uint8_t>(activation.codeMin + 128)),
        high_(static_cast<uint8_t>(activation.codeMax + 128)) {}

 protected:
  void reduce(const Kernels& kernels, const uint8_t* const* rows, int count, int channels, void*,
              uint8_t* out) const override {
    kernels.maxRows(rows, count, channels, low_, high_, out);
  }

 private:
  uint8_t low_;
  uint8_t high_;
};

// mean = sum(q - zero) / count real elements, requantized with multiplier s_in / (s_out * count).
class AvgPool : public Pool {
 public:
  AvgPool(OpReader& reader, const Window& window, const Activation& activation, const Tensor& input,
          const Tensor& output)
      : Pool(reader, window),
        inScale_(input.scale),
        outScale_(output.scale),
        zeroIn_(input.zeroPoint),
        zeroOut_(output.zeroPoint),
        range_(activation.codeMin, activation.codeMax, output.zeroPoint) {}

 protected:
  void reduce(const Kernels& kernels, const uint8_t* const* rows, int count, int channels, void* spare,
              uint8_t* out) const override {
    int32_t* sums = static_cast<int32_t*>(spare);
    std::memset(sums, 0, sizeof(int32_t) * channels);
    kernels.sumRows(rows, count, channels, sums);
    const double divisor = static_cast<double>(outScale_) * std::max(count, 1);
    const RescaleArgs args{zeroIn_, static_cast<float>(static_cast<double>(inScale_) / divisor), range_.low,
                           range_.high, zeroOut_};
    kernels.rescaleSums(sums, channels, count * zeroIn_, args, out);
  }

 private:
  float inScale_;
  float outScale_;
  int32_t zeroIn_;
  int32_t zeroOut_;
  CodeRange range_;
};

void expectCodes(const OpReader& reader, const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kInt8);
  expectType(reader, "output", output, TensorType::kInt8);
}

Activation clampOnly(OpReader& reader) {
  Activation activation = reader.activation();
  if (!activation.table.empty()) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: a pool takes no activation table.", reader.label().c_str());
  }
  return activation;
}

}  // namespace

std::unique_ptr<Operator> makeMaxPool(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectCodes(reader, input, output);
  expectSameQuantization(reader, input, output);
  const Window window = reader.window(true);
  return std::make_unique<MaxPool>(reader, window, clampOnly(reader));
}

std::unique_ptr<Operator> makeAvgPool(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectCodes(reader, input, output);
  const Window window = reader.window(true);
  return std::make_unique<AvgPool>(reader, window, clampOnly(reader), input, output);
}

}  // namespace lowbit
