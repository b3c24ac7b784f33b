// Pools of real values; padding takes no part.
#include <algorithm>
#include <limits>

#include "ops.h"
#include "real.h"
#include "window.h"

namespace lowbit {
namespace {

// kMaximum: the largest of the window. Otherwise the mean: the sum over its pixels, row by row, times 1 / count.
template <bool kMaximum>
class RealPool : public Operator {
 public:
  RealPool(OpReader& reader, const Window& window, const Activation& activation)
      : Operator(reader.label()), window_(window), low_(activation.realMin), high_(activation.realMax) {}

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
  void reduce(const WindowPlan& plan, const float* input, int64_t pixel, float* out) const {
    const int32_t channels = plan.channels;
    const int64_t line = pixel / plan.outW;
    const int64_t image = line / plan.outH;
    const int64_t top = line % plan.outH * window_.strideH - plan.top;
    const int64_t left = pixel % plan.outW * window_.strideW - plan.left;
    std::fill(out, out + channels, kMaximum ? -std::numeric_limits<float>::infinity() : 0.0f);
    int count = 0;
    for (int32_t ky = 0; ky < plan.kernelH; ++ky) {
      const int64_t y = top + static_cast<int64_t>(ky) * window_.dilationH;
      if (y < 0 || y >= plan.inH) continue;
      for (int32_t kx = 0; kx < plan.kernelW; ++kx) {
        const int64_t x = left + static_cast<int64_t>(kx) * window_.dilationW;
        if (x < 0 || x >= plan.inW) continue;
        const float* from = input + ((image * plan.inH + y) * plan.inW + x) * channels;
        for (int32_t c = 0; c < channels; ++c) {
          out[c] = kMaximum ? (from[c] > out[c] ? from[c] : out[c]) : out[c] + from[c];
        }
        ++count;
      }
    }
    const float share = 1.0f / static_cast<float>(std::max(count, 1));
    for (int32_t c = 0; c < channels; ++c) out[c] = clampReal(kMaximum ? out[c] : out[c] * share, low_, high_);
  }

  Window window_;
  float low_, high_;
};

template <bool kMaximum>
std::unique_ptr<Operator> make(OpReader& reader, const Tensor& output) {
  expectType(reader, "output", output, TensorType::kFloat32);
  const Window window = reader.window(true);
  const Activation activation = reader.activation();
  reader.expectNoTable(activation.table, "a pool");
  return std::make_unique<RealPool<kMaximum>>(reader, window, activation);
}

}  // namespace

std::unique_ptr<Operator> makeRealMaxPool(OpReader& reader, const Tensor& output) { return make<true>(reader, output); }

std::unique_ptr<Operator> makeRealAvgPool(OpReader& reader, const Tensor& output) { return make<false>(reader, output); }

}  // namespace lowbit
