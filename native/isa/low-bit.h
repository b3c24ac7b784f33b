// The inner loops on float32 rows that low-bit weights need: rotations of activations.
#pragma once
#include <cstddef>
#include <cstdint>

namespace lowbit {

struct LowBitKernels {
  // One block of a rotation (see ops/rotation.h) in place: signs, the Walsh-Hadamard transform, one multiplication; or
  // its inverse, where the signs come last. `size` is a power of two, a sign is 0 or 0x80000000. The transform consists
  // of butterflies a + b, a - b of elements 1 apart, then 2, 4, ...
  void (*rotate)(float* values, size_t size, const uint32_t* signs, float multiplier, bool inverse);
};

extern const LowBitKernels scalarLowBit;
extern const LowBitKernels avx2LowBit;
extern const LowBitKernels avx512vnniLowBit;
extern const LowBitKernels neonLowBit;

}  // namespace lowbit
