// A store of a part of a vector, which AVX2 has no instruction without a mask for.
#pragma once
#include <immintrin.h>

namespace lowbit {
namespace {

// The first `count` of 8 values, or all of them.
inline void storeFirst(float* out, __m256 values, int count) {
  if (count >= 8) {
    _mm256_storeu_ps(out, values);
    return;
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, values);
  for (int i = 0; i < count; ++i) out[i] = lanes[i];
}

}  // namespace
}  // namespace lowbit
