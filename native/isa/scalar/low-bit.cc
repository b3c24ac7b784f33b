// The definition of the kernels of low-bit.h.
#include "../low-bit.h"

#include <cstring>

namespace lowbit {
namespace {

void flip(float* values, size_t size, const uint32_t* signs) {
  for (size_t i = 0; i < size; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bits ^= signs[i];
    std::memcpy(values + i, &bits, sizeof bits);
  }
}

void rotate(float* values, size_t size, const uint32_t* signs, float multiplier, bool inverse) {
  if (!inverse) flip(values, size, signs);
  for (size_t stride = 1; stride < size; stride *= 2) {
    for (size_t start = 0; start < size; start += 2 * stride) {
      for (size_t i = start; i < start + stride; ++i) {
        const float a = values[i], b = values[i + stride];
        values[i] = a + b;
        values[i + stride] = a - b;
      }
    }
  }
  for (size_t i = 0; i < size; ++i) values[i] *= multiplier;
  if (inverse) flip(values, size, signs);
}

}  // namespace

const LowBitKernels scalarLowBit = {rotate};

}  // namespace lowbit
