// Sliding windows over the spatial axes of NHWC tensors.
#pragma once
#include <algorithm>

#include "../program/params.h"
#include "operator.h"

namespace lowbit {

constexpr Window kPointwiseWindow{1, 1, 1, 1, 1, 1, {PaddingMode::kValid, 0, 0, 0, 0}};

// Whether it is the whole image.
inline bool isGlobal(const Window& window) { return window.kernelH == 0; }

// A window laid over a concrete input.
struct WindowPlan {
  int32_t batch, inH, inW, channels, outH, outW, kernelH, kernelW, top, left;

  int taps() const { return kernelH * kernelW; }
  int64_t pixels() const { return static_cast<int64_t>(batch) * outH * outW; }
};

// TensorFlow's SAME: the output covers the input, with the odd pixel of padding at the end.
inline int32_t outputExtent(const std::string& label, const char* axis, int32_t in, int32_t kernel, int32_t stride,
                            int32_t dilation, PaddingMode mode, int32_t before, int32_t after, int32_t* padBefore) {
  const int64_t reach = static_cast<int64_t>(kernel - 1) * dilation + 1;
  *padBefore = 0;
  if (mode == PaddingMode::kSame) {
    const int64_t out = ceilDiv(in, stride);
    *padBefore = static_cast<int32_t>(std::max<int64_t>(0, (out - 1) * stride + reach - in) / 2);
    return static_cast<int32_t>(out);
  }
  int64_t padded = in;
  if (mode == PaddingMode::kExplicit) {
    padded += before + after;
    *padBefore = before;
  }
  if (padded < reach) {
    fail(LOWBIT_INVALID_SHAPE, "%s: input %s %d (%lld with padding) is smaller than the kernel's reach of %lld.",
         label.c_str(), axis, in, static_cast<long long>(padded), static_cast<long long>(reach));
  }
  return static_cast<int32_t>((padded - reach) / stride + 1);
}

inline WindowPlan planWindow(const std::string& label, const Window& w, const Shape& in) {
  if (in.rank != 4) {
    fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected [batch, height, width, channels].", label.c_str(),
         in.toString().c_str());
  }
  WindowPlan plan{in.dims[0], in.dims[1], in.dims[2], in.dims[3], 1, 1, in.dims[1], in.dims[2], 0, 0};
  if (isGlobal(w)) return plan;
  plan.kernelH = w.kernelH;
  plan.kernelW = w.kernelW;
  const Padding& p = w.padding;
  plan.outH =
      outputExtent(label, "height", in.dims[1], w.kernelH, w.strideH, w.dilationH, p.mode, p.top, p.bottom, &plan.top);
  plan.outW =
      outputExtent(label, "width", in.dims[2], w.kernelW, w.strideW, w.dilationW, p.mode, p.left, p.right, &plan.left);
  return plan;
}

inline Shape outputOf(const WindowPlan& plan, int32_t channels) {
  return Shape{4, {plan.batch, plan.outH, plan.outW, channels}};
}

// Pointers to the rows below `count` output pixels from `first` on: pointers[tap * count + m], `padding` where a tap
// lies outside of the input.
inline void gatherRows(const WindowPlan& plan, const Window& w, const View& input, int64_t first, int count,
                       const uint8_t* padding, const uint8_t** pointers) {
  const size_t pitch = input.pitch();
  for (int m = 0; m < count;) {  // the pixels of one row of the output at a time
    const int32_t outX = static_cast<int32_t>((first + m) % plan.outW);
    const int64_t outRow = (first + m) / plan.outW;
    const int pixels = std::min(plan.outW - outX, count - m);
    const int64_t top = outRow % plan.outH * w.strideH - plan.top;
    const uint8_t** out = pointers + m;
    for (int32_t ky = 0; ky < plan.kernelH; ++ky) {
      const int64_t y = top + static_cast<int64_t>(ky) * w.dilationH;
      const bool rowInside = y >= 0 && y < plan.inH;
      const uint8_t* row = input.row((outRow / plan.outH * plan.inH + (rowInside ? y : 0)) * plan.inW);
      for (int32_t kx = 0; kx < plan.kernelW; ++kx, out += count) {
        const int64_t x = static_cast<int64_t>(outX) * w.strideW - plan.left + static_cast<int64_t>(kx) * w.dilationW;
        // Pixels [begin, end) see this tap inside of the input.
        const int begin = rowInside ? static_cast<int>(std::clamp<int64_t>(ceilDiv(-x, w.strideW), 0, pixels)) : pixels;
        const int end = static_cast<int>(std::clamp<int64_t>(ceilDiv(plan.inW - x, w.strideW), begin, pixels));
        std::fill(out, out + begin, padding);
        const uint8_t* pixel = row + (x + static_cast<int64_t>(begin) * w.strideW) * static_cast<int64_t>(pitch);
        for (int i = begin; i < end; ++i, pixel += w.strideW * pitch) out[i] = pixel;
        std::fill(out + end, out + pixels, padding);
      }
    }
    m += pixels;
  }
}

}  // namespace lowbit
