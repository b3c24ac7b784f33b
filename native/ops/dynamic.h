// Tensors of dynamic int8 codes: rows of codes as those of any int8 tensor, and behind them what they stand for: the
// scale and the shift (scale * zero point) of every group, and, but for groups of one row, the inverse of the scale and
// the zero point. A group is a sample (an entry of the first axis), a row, or a channel of a sample.
#pragma once
#include <memory>
#include <vector>

#include "../program/op-reader.h"
#include "../program/tensor.h"
#include "operator.h"

namespace lowbit {

inline int64_t dynamicGroups(const Shape& shape, Granularity granularity) {
  switch (granularity) {
    case Granularity::kSample: return shape.samples();
    case Granularity::kRow: return shape.rows();
    case Granularity::kChannel: return shape.samples() * shape.channels();
  }
  return 0;
}

inline size_t dynamicCodeBytes(const Shape& shape) {
  return alignUp(static_cast<size_t>(shape.rows()) * rowPitch(shape.channels()));
}

inline size_t dynamicTensorBytes(const Shape& shape, Granularity granularity) {
  const size_t fields = granularity == Granularity::kRow ? 2 : 4;
  return dynamicCodeBytes(shape) + fields * sizeof(float) * static_cast<size_t>(dynamicGroups(shape, granularity));
}

struct DynamicGroups {
  float *scale, *shift, *inverse, *zero;

  DynamicGroups(const View& view, Granularity granularity) {
    const int64_t count = dynamicGroups(*view.shape, granularity);
    scale = reinterpret_cast<float*>(view.data + dynamicCodeBytes(*view.shape));
    shift = scale + count;
    inverse = shift + count;
    zero = inverse + count;
  }
};

// What turns the sums of a product of dynamic codes into real values, one entry an output channel.
struct DynamicStage {
  std::vector<float> bias;
  std::vector<float> weightSums;  // real weights
  float low, high;

  // weightSums: sum of the int8 weights of each output channel.
  DynamicStage(OpReader& reader, const Filter& filter, const Activation& activation, const Tensor& output,
               const std::vector<int64_t>& weightSums);
};

// A convolution or a linear layer of dynamic codes, with real results:
//   value = min(max(product * scale + (bias[n] - shift * weightSums[n]), low), high)
// product: the same op on plain codes of zero point 0 and scale 1, without a bias, to float32.
// paddedChannels: what a pixel around the input is long, or 0 where there are none.
std::unique_ptr<Operator> makeDynamicProduct(std::unique_ptr<Operator> product, DynamicStage stage,
                                             Granularity granularity, int32_t paddedChannels);

}  // namespace lowbit
