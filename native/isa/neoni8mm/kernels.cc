// The matrix product of Armv8.6 (FEAT_I8MM): usmmla multiplies 2 x 8 unsigned codes by 8 x 2 signed weights and adds
// the 2 x 2 sums to int32 lanes, exactly: twice the products of a dot product, and the codes go in as they are.
// Everything but the GEMM is neondot's.
//
// A tile of 12 rows by 8 outputs is 24 accumulators of 2 x 2; a step of 8 k is 24 usmmla to 10 loads.
//   codes of a unit:  row of 2 | k of 8
//   weights:          output of 8 | k of 8
#include "../arm/gemm.h"

namespace lowbit {
namespace neoni8mm {

void setProbe(Kernels& table);

namespace {

struct MatrixDot {
  static constexpr int kTileRows = 12;
  static constexpr int kUnitRows = 2;
  static constexpr int kStep = 8;
  static constexpr bool kSigned = false;

  static int outputOf(int i) { return i / 8; }
  static int depthOf(int i) { return i % 8; }

  static void interleave(const uint8x16_t (&rows)[2], uint8x16_t (&steps)[2]) {
    const uint64x2_t upper = vreinterpretq_u64_u8(rows[0]), lower = vreinterpretq_u64_u8(rows[1]);
    steps[0] = vreinterpretq_u8_u64(vzip1q_u64(upper, lower));
    steps[1] = vreinterpretq_u8_u64(vzip2q_u64(upper, lower));
  }

  template <int MT>
  struct Sums {
    static constexpr int kPairs = (MT + 1) / 2;
    int32x4_t sums[kPairs][4];  // row of 2 by outputs 2p and 2p + 1

    void start(const int32_t* bias) {
#pragma GCC unroll 6
      for (int i = 0; i < kPairs; ++i) {
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) {
          const int32x2_t pair = vld1_s32(bias + 2 * p);
          sums[i][p] = vcombine_s32(pair, pair);
        }
      }
    }

    void multiply(const uint8_t* codes, const int8_t* weights) {
      uint8x16_t c[kPairs];
#pragma GCC unroll 6
      for (int i = 0; i < kPairs; ++i) c[i] = vld1q_u8(codes + 16 * i);
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) {
        const int8x16_t w = vld1q_s8(weights + 16 * p);
#pragma GCC unroll 6
        for (int i = 0; i < kPairs; ++i) sums[i][p] = vusmmlaq_s32(sums[i][p], c[i], w);
      }
    }

    void add(const Sums& other) {
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) sums[0][p] = vaddq_s32(sums[0][p], other.sums[0][p]);
    }

    int32x4_t row(int i, int half) const {
      const int64x2_t left = vreinterpretq_s64_s32(sums[i / 2][2 * half]);
      const int64x2_t right = vreinterpretq_s64_s32(sums[i / 2][2 * half + 1]);
      return vreinterpretq_s32_s64(i % 2 ? vzip2q_s64(left, right) : vzip1q_s64(left, right));
    }
  };
};

}  // namespace

void setKernels(Kernels& table) {
  Gemm<MatrixDot>::set(table);
  setProbe(table);
}

}  // namespace neoni8mm
}  // namespace lowbit
