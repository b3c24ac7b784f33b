// How the scalar kernels make codes of float32 values.
#pragma once
#include <cmath>
#include <cstdint>

namespace lowbit {

// NaN compares false and ends at `low`, as max(x, low) of the vector variants does.
inline float clampFloat(float value, float low, float high) {
  value = value > low ? value : low;
  return value < high ? value : high;
}

inline uint8_t toCode(float value, float low, float high, int32_t zeroPoint, const uint8_t* table) {
  const int32_t code = static_cast<int32_t>(std::nearbyintf(clampFloat(value, low, high))) + zeroPoint;
  const uint8_t byte = static_cast<uint8_t>(code);
  return table ? table[byte] : byte;
}

}  // namespace lowbit
