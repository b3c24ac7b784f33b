// Where the pixels of a resized image lie in the original, as TensorFlow's ResizeBilinear and ResizeNearestNeighbor
// have it. Positions are float64, so that a division and a product give the same index everywhere.
#pragma once
#include <algorithm>
#include <cmath>

#include "../program/params.h"
#include "operator.h"

namespace lowbit {

class Resize {
 public:
  explicit Resize(const ResizeSize& size) : size_(size) {}

  Shape outputShape(const std::string& label, const Shape& in) const {
    if (in.rank != 4) {
      fail(LOWBIT_INVALID_SHAPE, "%s: input has shape %s, expected [batch, height, width, channels].", label.c_str(),
           in.toString().c_str());
    }
    return Shape{4, {in.dims[0], size_.height, size_.width, in.dims[3]}};
  }

  int32_t nearest(int32_t index, int32_t in, int32_t out) const {
    const double at = ratio(in, out) * (size_.halfPixelCenters ? index + 0.5 : index);
    return std::clamp(static_cast<int32_t>(std::floor(size_.alignCorners ? at + 0.5 : at)), 0, in - 1);
  }

  // Between which two elements a pixel lies, and how far from the first one.
  struct Between {
    int32_t first, second;
    float fraction;
  };

  Between between(int32_t index, int32_t in, int32_t out) const {
    const double at = size_.halfPixelCenters ? ratio(in, out) * (index + 0.5) - 0.5 : ratio(in, out) * index;
    const int32_t first = std::clamp(static_cast<int32_t>(std::floor(at)), 0, in - 1);
    const int32_t second = std::clamp(static_cast<int32_t>(std::ceil(at)), 0, in - 1);
    return Between{first, second, static_cast<float>(at - first)};
  }

 private:
  double ratio(int32_t in, int32_t out) const {
    const int32_t corner = size_.alignCorners && out > 1 ? 1 : 0;
    return static_cast<double>(in - corner) / (out - corner);
  }

  ResizeSize size_;
};

}  // namespace lowbit
