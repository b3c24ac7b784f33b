// Pools of real values; padding takes no part.
#include <algorithm>
#include <limits>

#include "ops.h"
#include "float-ops.h"
#include "window.h"

namespace lowbit {
namespace {

// kMaximum: the largest of the window. Otherwise the mean: the sum over its pixels, row by row, times 1 / count.
template <bool kMaximum>
class FloatPool : public Operator {
 public:
  FloatPool(OpReader& reader, const Window& window, const Activation& activation)
      : Operator(reader.label()), window_(window), low_(activation.floatMin), high_(activation.floatMax) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planWindow(label(), window_, inputs[0]);
    return outputOf(plan, plan.channels);
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const WindowPlan plan = planWindow(label(), window_, *input.shape);
    const int64_t step = std::max<int64_t>(1, 16384 / (static_cast<int64_t>(plan.taps()) * plan.channels));
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(plan.pixels(), step)), [&](size_t chunk, int) {
      const int64_t end = std::min(plan.pixels(), static_cast<int64_t>(chunk + 1) * step);
      for (int64_t pixel = static_cast<int64_t>(chunk) * step; pixel < end; ++pixel) {
        reduce(plan, input.floats(), pixel, context.output.floats() + pixel * plan.channels);
      }
    });
  }

 private:
  // The pixels of a window that are not padding.
  struct Pixels {
    const float* first;
    int64_t rows, columns;
    int64_t rowStep, columnStep;  // elements from one to the next
  };

  // Which taps of an axis lie within the input, from `start` on: all of them, mostly.
  struct Taps {
    int64_t first = 0, count;
    Taps(int64_t start, int32_t kernel, int32_t dilation, int32_t size) : count(kernel) {
      if (start >= 0 && start + static_cast<int64_t>(kernel - 1) * dilation < size) return;
      if (start < 0) first = ceilDiv(-start, dilation);
      count = std::max<int64_t>(0, std::min(count, ceilDiv(size - start, dilation)) - first);
    }
  };

  void reduce(const WindowPlan& plan, const float* input, int64_t pixel, float* out) const {
    const int64_t line = pixel / plan.outW;
    const int64_t top = line % plan.outH * window_.strideH - plan.top;
    const int64_t left = pixel % plan.outW * window_.strideW - plan.left;
    const Taps rows(top, plan.kernelH, window_.dilationH, plan.inH);
    const Taps columns(left, plan.kernelW, window_.dilationW, plan.inW);
    const int64_t y = line / plan.outH * plan.inH + top + rows.first * window_.dilationH;
    const int64_t x = left + columns.first * window_.dilationW;
    const int64_t channels = plan.channels, lineElements = channels * plan.inW;
    const Pixels pixels{input + y * lineElements + x * channels, rows.count, columns.count,
                        lineElements * window_.dilationH, channels * window_.dilationW};
    if constexpr (kMaximum) {
      maximum(pixels, channels, out);
    } else {
      int64_t c = 0;
      for (; c + 16 <= channels; c += 16) mean<16>(pixels, c, out + c);
      for (; c + 4 <= channels; c += 4) mean<4>(pixels, c, out + c);
      for (; c < channels; ++c) mean<1>(pixels, c, out + c);
    }
  }

  void maximum(const Pixels& pixels, int64_t channels, float* out) const {
    std::fill(out, out + channels, -std::numeric_limits<float>::infinity());
    for (int64_t row = 0; row < pixels.rows; ++row) {
      const float* from = pixels.first + row * pixels.rowStep;
      for (int64_t column = 0; column < pixels.columns; ++column, from += pixels.columnStep) {
        for (int64_t c = 0; c < channels; ++c) out[c] = from[c] > out[c] ? from[c] : out[c];
      }
    }
    for (int64_t c = 0; c < channels; ++c) out[c] = clampFloat(out[c], low_, high_);
  }

  // Of so many neighbouring channels that their sums stay in registers: a window may be a whole picture.
  template <int kCount>
  void mean(const Pixels& pixels, int64_t channel, float* out) const {
    float sums[kCount] = {};
    for (int64_t row = 0; row < pixels.rows; ++row) {
      const float* from = pixels.first + row * pixels.rowStep + channel;
      for (int64_t column = 0; column < pixels.columns; ++column, from += pixels.columnStep) {
        for (int c = 0; c < kCount; ++c) sums[c] += from[c];
      }
    }
    const float share = 1.0f / static_cast<float>(std::max<int64_t>(pixels.rows * pixels.columns, 1));
    for (int c = 0; c < kCount; ++c) out[c] = clampFloat(sums[c] * share, low_, high_);
  }

  Window window_;
  float low_, high_;
};

template <bool kMaximum>
std::unique_ptr<Operator> make(OpReader& reader, const Window& window, const Activation& activation,
                               const Tensor& output) {
  expectType(reader, "output", output, TensorType::kFloat32);
  expectNoTable(reader, activation, "a pool");
  return std::make_unique<FloatPool<kMaximum>>(reader, window, activation);
}

}  // namespace

std::unique_ptr<Operator> makeFloatMaxPool(OpReader& reader, const MaxPoolParams& params, const Tensor& output) {
  return make<true>(reader, params.window, params.activation, output);
}

std::unique_ptr<Operator> makeFloatAvgPool(OpReader& reader, const AvgPoolParams& params, const Tensor& output) {
  return make<false>(reader, params.window, params.activation, output);
}

}  // namespace lowbit
