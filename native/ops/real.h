// Ops on real values (float32) inside of a region: where int8 codes would be too coarse. Every element takes the same
// float32 operations in the same order on every instruction set.
#pragma once
#include <memory>

#include "ops.h"

namespace lowbit {

// NaN ends at `low`.
inline float clampReal(float value, float low, float high) {
  const float above = value > low ? value : low;
  return above < high ? above : high;
}

enum class RealBinaryKind { kAdd, kSub, kMul, kMaximum, kMinimum };

std::unique_ptr<Operator> makeRealBinary(OpReader&, RealBinaryKind, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeRealPrelu(OpReader&, const Tensor& output);
std::unique_ptr<Operator> makeRealMaxPool(OpReader&, const Tensor& output);
std::unique_ptr<Operator> makeRealAvgPool(OpReader&, const Tensor& output);

}  // namespace lowbit
