// The windows of a convolution over few channels. Every row of the input is copied once, without the bytes that lie
// between its pixels and with the padding beside it, so that a row of a kernel sees neighbouring bytes: it is one tap
// of kernelW * channels, where pixel by pixel it would be kernelW taps that fill a fraction of a step of the product
// each.
#pragma once
#include <cstring>

#include "window.h"

namespace lowbit {

class Strips {
 public:
  static constexpr int32_t kMaxChannels = 4;  // up to which pixels are `kMaxChannels` bytes apart

  static bool serve(const Window& w, int32_t channels) {
    return channels <= kMaxChannels && w.kernelW > 1 && w.strideW <= w.kernelW && w.dilationH == 1 &&
           w.dilationW == 1 && std::max(w.kernelH, w.kernelW) <= kMaxKernel;
  }

  // For up to `count` neighbouring output pixels.
  static size_t scratchBytes(const WindowPlan& plan, const Window& w, int64_t count) {
    return static_cast<size_t>(outputRows(plan, count)) * plan.kernelH *
               (sizeof(uint8_t*) + stripBytes(plan, columnsOf(plan, w, std::min<int64_t>(plan.outW, count)))) +
           kOverRead;
  }

  // As gatherRows, for the taps that are rows of the kernel. `padding`: kernelW * channels zero points.
  static void gather(const WindowPlan& plan, const Window& w, const View& input, int64_t first, int count,
                     const uint8_t* padding, void* scratch, const uint8_t** pointers) {
    // Strips are as wide as the image, or as the part of a row of the output that they are for.
    const bool whole = plan.outW <= count;
    const uint8_t** strips = static_cast<const uint8_t**>(scratch);  // [row of the output][ky], null in the padding
    uint8_t* free = reinterpret_cast<uint8_t*>(strips + outputRows(plan, count) * plan.kernelH);
    for (int m = 0; m < count; strips += plan.kernelH) {  // the pixels of one row of the output at a time
      const int32_t outX = static_cast<int32_t>((first + m) % plan.outW);
      const int64_t outRow = (first + m) / plan.outW;
      const int pixels = std::min(plan.outW - outX, count - m);
      const int32_t originX = whole ? 0 : outX;
      const Columns columns{static_cast<int64_t>(originX) * w.strideW - plan.left,
                            columnsOf(plan, w, whole ? plan.outW : pixels)};
      const bool follows = whole && m > 0 && outRow % plan.outH > 0;
      const int64_t top = outRow % plan.outH * w.strideH - plan.top;
      for (int32_t ky = 0; ky < plan.kernelH; ++ky) {
        if (follows && w.strideH < plan.kernelH - ky) {
          strips[ky] = strips[ky + w.strideH - plan.kernelH];  // the row before has it
        } else if (top + ky < 0 || top + ky >= plan.inH) {
          strips[ky] = nullptr;
        } else {
          copy(plan, input.row((outRow / plan.outH * plan.inH + top + ky) * plan.inW), columns, padding[0], free);
          strips[ky] = free;
          free += stripBytes(plan, columns.count);
        }
        const size_t step = strips[ky] ? static_cast<size_t>(w.strideW) * plan.channels : 0;
        const uint8_t* pixel = strips[ky] ? strips[ky] + (outX - originX) * step : padding;
        for (int i = 0; i < pixels; ++i, pixel += step) pointers[static_cast<size_t>(ky) * count + m + i] = pixel;
      }
      m += pixels;
    }
  }

 private:
  static constexpr int32_t kMaxKernel = 32;  // bounds the scratch
  static constexpr size_t kOverRead = 64;

  struct Columns {
    int64_t first;  // negative in the padding
    int64_t count;
  };

  static int64_t outputRows(const WindowPlan& plan, int64_t count) { return (count - 1) / plan.outW + 2; }

  static int64_t columnsOf(const WindowPlan& plan, const Window& w, int64_t outputs) {
    return (outputs - 1) * w.strideW + plan.kernelW;
  }

  // Every pixel is copied with the bytes after it, which the next one takes the place of.
  static size_t stripBytes(const WindowPlan& plan, int64_t columns) {
    return static_cast<size_t>(columns) * plan.channels + kMaxChannels;
  }

  static void copy(const WindowPlan& plan, const uint8_t* row, const Columns& columns, uint8_t zero, uint8_t* out) {
    const int64_t before = std::clamp<int64_t>(-columns.first, 0, columns.count);
    const int64_t end = std::clamp<int64_t>(plan.inW - columns.first, before, columns.count);
    std::memset(out, zero, static_cast<size_t>(before) * plan.channels);
    uint8_t* to = out + before * plan.channels;
    const uint8_t* from = row + (columns.first + before) * kMaxChannels;
    for (int64_t x = before; x < end; ++x, to += plan.channels, from += kMaxChannels) {
      std::memcpy(to, from, kMaxChannels);
    }
    std::memset(to, zero, static_cast<size_t>(columns.count - end) * plan.channels);
  }
};

}  // namespace lowbit
