// From a float32 value in steps of the output to an unsigned code, in code that compilers turn into vectors on every
// instruction set.
#pragma once
#include <cstdint>

namespace lowbit {

// The same bits as the kernels' store (see isa/kernels.h): clamp, round half to even, add the zero point. What 1.5 *
// 2^23 is added to has no fraction left, rounded half to even.
inline uint8_t codeOf(float value, float low, float high, int32_t zeroPoint) {
  constexpr float kRound = 12582912.0f;
  const float above = value > low ? value : low;
  const float clamped = above < high ? above : high;
  return static_cast<uint8_t>(static_cast<int32_t>((clamped + kRound) - kRound) + zeroPoint);
}

}  // namespace lowbit
