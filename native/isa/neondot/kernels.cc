// The dot product of Armv8.2 (FEAT_DotProd): sdot adds 4 products of signed bytes to each int32 lane, exactly. With a
// lane of its second operand it multiplies 4 outputs by 4 codes of one row; everything that is not a product is neon's.
//
// GEMM: a tile of 12 rows by 8 outputs is 24 accumulators; a step of 4 k is 24 sdot to 5 loads.
//   codes of a unit:  row of 4 | k of 4
//   weights:          output of 8 | k of 4
//
// Depthwise: a lane holds 4 vertically adjacent taps of one channel.
#include "../arm/depthwise.h"
#include "../arm/gemm.h"
#include "../arm/low-bit-product.h"

namespace lowbit {
namespace neondot {

void setProbe(Kernels& table);

namespace {

struct LaneDot {
  static constexpr int kTileRows = 12;
  static constexpr int kUnitRows = 4;
  static constexpr int kStep = 4;
  static constexpr bool kSigned = true;

  static int outputOf(int i) { return i / 4; }
  static int depthOf(int i) { return i % 4; }

  // Transposes 4 x 4 words of 4 codes.
  static void interleave(const uint8x16_t (&rows)[4], uint8x16_t (&steps)[4]) {
    uint32x4_t words[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) words[i] = vreinterpretq_u32_u8(veorq_u8(rows[i], vdupq_n_u8(0x80)));
    const uint64x2_t low01 = vreinterpretq_u64_u32(vzip1q_u32(words[0], words[1]));
    const uint64x2_t high01 = vreinterpretq_u64_u32(vzip2q_u32(words[0], words[1]));
    const uint64x2_t low23 = vreinterpretq_u64_u32(vzip1q_u32(words[2], words[3]));
    const uint64x2_t high23 = vreinterpretq_u64_u32(vzip2q_u32(words[2], words[3]));
    steps[0] = vreinterpretq_u8_u64(vzip1q_u64(low01, low23));
    steps[1] = vreinterpretq_u8_u64(vzip2q_u64(low01, low23));
    steps[2] = vreinterpretq_u8_u64(vzip1q_u64(high01, high23));
    steps[3] = vreinterpretq_u8_u64(vzip2q_u64(high01, high23));
  }

  // The lane is part of the instruction, and so a constant.
  static int32x4_t dot(int32x4_t sum, int8x16_t weights, int8x16_t codes, int lane) {
    switch (lane) {
      case 0: return vdotq_laneq_s32(sum, weights, codes, 0);
      case 1: return vdotq_laneq_s32(sum, weights, codes, 1);
      case 2: return vdotq_laneq_s32(sum, weights, codes, 2);
      default: return vdotq_laneq_s32(sum, weights, codes, 3);
    }
  }

  template <int MT>
  struct Sums {
    int32x4_t sums[MT][2];

    void start(const int32_t* bias) {
#pragma GCC unroll 12
      for (int i = 0; i < MT; ++i) {
        sums[i][0] = vld1q_s32(bias);
        sums[i][1] = vld1q_s32(bias + 4);
      }
    }

    void multiply(const uint8_t* codes, const int8_t* weights) {
      const int8x16_t w0 = vld1q_s8(weights), w1 = vld1q_s8(weights + 16);
#pragma GCC unroll 12
      for (int i = 0; i < MT; ++i) {
        const int8x16_t c = vreinterpretq_s8_u8(vld1q_u8(codes + i / 4 * 16));
        sums[i][0] = dot(sums[i][0], w0, c, i % 4);
        sums[i][1] = dot(sums[i][1], w1, c, i % 4);
      }
    }

    void add(const Sums& other) {
      sums[0][0] = vaddq_s32(sums[0][0], other.sums[0][0]);
      sums[0][1] = vaddq_s32(sums[0][1], other.sums[0][1]);
    }

    int32x4_t row(int i, int half) const { return sums[i][half]; }
  };
};

struct ColumnDot {
  static constexpr int kRows = 4;

  static void interleave(const int8x16_t (&rows)[4], int8x16_t (&units)[4]) {
    const int16x8_t low01 = vreinterpretq_s16_s8(vzip1q_s8(rows[0], rows[1]));
    const int16x8_t high01 = vreinterpretq_s16_s8(vzip2q_s8(rows[0], rows[1]));
    const int16x8_t low23 = vreinterpretq_s16_s8(vzip1q_s8(rows[2], rows[3]));
    const int16x8_t high23 = vreinterpretq_s16_s8(vzip2q_s8(rows[2], rows[3]));
    units[0] = vreinterpretq_s8_s16(vzip1q_s16(low01, low23));
    units[1] = vreinterpretq_s8_s16(vzip2q_s16(low01, low23));
    units[2] = vreinterpretq_s8_s16(vzip1q_s16(high01, high23));
    units[3] = vreinterpretq_s8_s16(vzip2q_s16(high01, high23));
  }

  template <int N>
  static void multiply(int32x4_t (&sums)[N][4], const int8_t* codes, size_t pixelStep, const int8_t* weights,
                       int units) {
    for (; units > 0; --units, codes += 64, weights += 64) {
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const int8x16_t w = vld1q_s8(weights + 16 * q);
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) {
          sums[i][q] = vdotq_s32(sums[i][q], vld1q_s8(codes + i * pixelStep + 16 * q), w);
        }
      }
    }
  }
};

struct LowBitSums {
  int32x4_t sums[4];

  void start() {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i] = vdupq_n_s32(0);
  }

  void add(const NeonBytes& weights, const NeonBytes& codes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i] = vdotq_s32(sums[i], weights.operand(i), codes.operand(i));
  }

  int32x4_t part(int i) const { return sums[i]; }
};

}  // namespace

void setKernels(Kernels& table) {
  Gemm<LaneDot>::set(table);
  Depthwise<ColumnDot>::set(table);
  LowBitProducts<NeonProduct<LowBitSums>>::set(table);
  setProbe(table);
}

}  // namespace neondot
}  // namespace lowbit
