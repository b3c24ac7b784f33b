// A filter of 2, 3 or 4 bits a weight, as it lies in the weights of a program (WeightFormat of program/enums.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../program/enums.h"

namespace lowbit {

// Inlined everywhere: a copy compiled for one instruction set must not serve another.
#define LOWBIT_INLINE __attribute__((always_inline)) inline

// The exact value of finite float16 bits.
LOWBIT_INLINE float fromHalf(uint16_t half) {
  // The exponent of a float32 is 112 higher; multiplying also makes numbers below 2^-14 right, which have no leading 1.
  const uint32_t bits = static_cast<uint32_t>(half & 0x7fff) << 13;
  float magnitude;
  std::memcpy(&magnitude, &bits, sizeof magnitude);
  magnitude *= 5192296858534827628530496329220096.0f;  // 2^112
  return half & 0x8000 ? -magnitude : magnitude;
}

// What a negative scale is multiplied by: -2^-30. A scale is the greater of this product and of itself, in this order:
// of the zeros of two signs x86 takes the second.
constexpr float kSmallScale = -9.31322574615478515625e-10f;

// The exact value of the bits of a scale: a float16; one with its sign set stands for its magnitude times 2^-30.
LOWBIT_INLINE float scaleOfBits(uint16_t bits) {
  const float half = fromHalf(bits);
  return bits & 0x8000 ? half * kSmallScale : half;
}

struct LowBitFormat {
  int bits;           // 2, 3 or 4
  bool trellis;       // of 2 bits
  int8_t levels[16];  // in [-63, 63]
  int group;          // inputs that share a scale: a multiple of 32, or the depth where all do
  float unit;

  // Codes that an element of `levels` stands for: pairs of two in a trellis.
  LOWBIT_INLINE int levelCount() const { return trellis ? 16 : 1 << bits; }
};

struct LowBitMatrix {
  LowBitFormat format;
  int rows;                // outputs
  int depth;               // inputs
  const uint8_t* codes;    // row-major, rows rowBytes() apart
  const uint16_t* scales;  // bits of scales, [rows][groups]

  LOWBIT_INLINE size_t rowBytes() const { return static_cast<size_t>(weightRowBytes(format.bits, depth)); }
  LOWBIT_INLINE int groups() const { return (depth - 1) / format.group + 1; }

  // Rows [first, first + count).
  LOWBIT_INLINE LowBitMatrix slice(int first, int count) const {
    LowBitMatrix part = *this;
    part.rows = count;
    part.codes += static_cast<size_t>(first) * rowBytes();
    part.scales += static_cast<size_t>(first) * groups();
    return part;
  }

  LOWBIT_INLINE int code(int row, int k) const {
    const uint8_t* at = codes + static_cast<size_t>(row) * rowBytes();
    if (format.bits == 2) return at[k / 4] >> 2 * (k % 4) & 3;
    if (format.bits == 4) return at[k / 2] >> 4 * (k % 2) & 15;
    at += k / 8 * 3;
    return (at[0] | at[1] << 8 | at[2] << 16) >> 3 * (k % 8) & 7;
  }

  // level = levels[code], or with a trellis levels[code of k - 4 | code of k << 2]; codes before the row are 0.
  LOWBIT_INLINE int level(int row, int k) const {
    const int own = code(row, k);
    if (!format.trellis) return format.levels[own];
    return format.levels[(k < 4 ? 0 : code(row, k - 4)) | own << 2];
  }

  // The real value of one step of a level.
  LOWBIT_INLINE float scale(int row, int group) const {
    return scaleOfBits(scales[static_cast<size_t>(row) * groups() + group]) * format.unit;
  }
};

#undef LOWBIT_INLINE

}  // namespace lowbit
