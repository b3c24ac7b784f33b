// Ops on real values (float32) inside of a region: where int8 codes would be too coarse. Every element takes the same
// float32 operations in the same order on every instruction set.
#pragma once
#include <memory>

#include "ops.h"

namespace lowbit {

// NaN ends at `low`.
inline float clampFloat(float value, float low, float high) {
  const float above = value > low ? value : low;
  return above < high ? above : high;
}

enum class FloatBinaryKind { kAdd, kSub, kMul, kMaximum, kMinimum };

std::unique_ptr<Operator> makeFloatBinary(OpReader&, FloatBinaryKind, const BinaryParams&, const Tensor& b,
                                          const Tensor& output);
std::unique_ptr<Operator> makeFloatPrelu(OpReader&, const PreluParams&, const Tensor& output);
std::unique_ptr<Operator> makeFloatMaxPool(OpReader&, const MaxPoolParams&, const Tensor& output);
std::unique_ptr<Operator> makeFloatAvgPool(OpReader&, const AvgPoolParams&, const Tensor& output);

}  // namespace lowbit
