// The exponential function of non-positive numbers and the logistic function, the same to the bit everywhere: no
// library call, only float32 operations in a fixed order.
#pragma once
#include <cstdint>
#include <cstring>

namespace lowbit {

// Static: a copy that was compiled for one instruction set must not serve another. Choices are made by masks of bits:
// what has no branch and no conversion, compilers make vectors of where it is in a loop.

static inline uint32_t bitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float ofBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// condition ? a : b, both of them computed.
static inline float choose(bool condition, float a, float b) {
  const uint32_t mask = condition ? ~0u : 0u;
  return ofBits((bitsOf(a) & mask) | (bitsOf(b) & ~mask));
}

// -|x|
static inline float nonPositive(float x) { return ofBits(bitsOf(x) | 0x80000000u); }

// exp(x) = 2^n * exp(r) with n = round(x / ln 2) and r = x - n * ln 2, |r| <= 0.35. ln 2 is split in two, so that n
// times its first part (9 bits) is exact. The Taylor series of degree 7 is off by r^8 / 8! < 6e-9, a tenth of a float32
// step. Below -87, where 2^n would become subnormal, the result is 0. NaN stays NaN.
static inline float expOfNonPositive(float x) {
  constexpr float kLeast = -87.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer, half to even
  const float clamped = choose(x < kLeast, kLeast, x);
  const float rounded = clamped * kLog2E + kRound;  // n is in its lowest bits
  const float n = rounded - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float sum = 1.0f / 5040;
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  return sum * choose(x < kLeast, 0.0f, ofBits((bitsOf(rounded) + 127) << 23));
}

// 1 / (1 + exp(-x))
static inline float sigmoid(float x) {
  const float e = expOfNonPositive(nonPositive(x));
  return choose(x < 0, e, 1.0f) / (1.0f + e);
}

}  // namespace lowbit
