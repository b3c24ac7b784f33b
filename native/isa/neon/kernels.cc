// Baseline AArch64, without dot product: smull and smlal multiply bytes into int16. Two products of a signed code and a
// weight, at most 2 * 128 * 127 = 32512, still fit; sadalp then adds neighbours into int32 lanes. 3 instructions take
// 16 products.
//
// GEMM: a tile of 6 rows by 8 outputs is 24 accumulators, each with two partial sums of two outputs, which are added
// once at the end. smull takes the lower 8 bytes of a step, smlal the upper ones:
//   codes of a row:    k 0-3 | k 0-3 | k 4-7 | k 4-7
//   weights of a pair: output 0, k 0-3 | output 1, k 0-3 | output 0, k 4-7 | output 1, k 4-7
// A step is 72 arithmetic instructions to 10 loads; 4 registers of weights, one of codes and 3 products under way fill
// the 32 registers.
//
// Depthwise: two taps of 8 channels are added in int16, then to int32 lanes by saddw, without any interleaving.
#include "../arm/depthwise.h"
#include "../arm/gemm.h"
#include "../arm/low-bit-product.h"
#include "../vector-dynamic.h"
#include "../vector-routing.h"

namespace lowbit {
namespace neon {

void setProbe(Kernels& table);
void setRows(Kernels& table);

namespace {

inline int16x8_t multiplyLow(int8x16_t a, int8x16_t b) { return vmull_s8(vget_low_s8(a), vget_low_s8(b)); }

struct ByteDot {
  static constexpr int kTileRows = 6;
  static constexpr int kUnitRows = 1;
  static constexpr int kStep = 8;
  static constexpr bool kSigned = true;

  static int outputOf(int i) { return i / 16 * 2 + i / 4 % 2; }
  static int depthOf(int i) { return i / 8 % 2 * 4 + i % 4; }

  static void interleave(const uint8x16_t (&rows)[1], uint8x16_t (&steps)[2]) {
    const uint32x4_t codes = vreinterpretq_u32_u8(veorq_u8(rows[0], vdupq_n_u8(0x80)));
    steps[0] = vreinterpretq_u8_u32(vzip1q_u32(codes, codes));
    steps[1] = vreinterpretq_u8_u32(vzip2q_u32(codes, codes));
  }

  template <int MT>
  struct Sums {
    int32x4_t sums[MT][4];  // of outputs 2p and 2p + 1, twice each

    void start(const int32_t* bias) {
      const int32x4_t zero = vdupq_n_s32(0), low = vld1q_s32(bias), high = vld1q_s32(bias + 4);
      const int32x4_t pairs[4] = {vzip1q_s32(low, zero), vzip2q_s32(low, zero), vzip1q_s32(high, zero),
                                  vzip2q_s32(high, zero)};
#pragma GCC unroll 6
      for (int i = 0; i < MT; ++i) std::copy(pairs, pairs + 4, sums[i]);
    }

    void multiply(const uint8_t* codes, const int8_t* weights) {
      int8x16_t w[4];
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) w[p] = vld1q_s8(weights + 16 * p);
#pragma GCC unroll 6
      for (int i = 0; i < MT; ++i) {
        const int8x16_t c = vreinterpretq_s8_u8(vld1q_u8(codes + 16 * i));
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) {
          sums[i][p] = vpadalq_s16(sums[i][p], vmlal_high_s8(multiplyLow(c, w[p]), c, w[p]));
        }
      }
    }

    void add(const Sums& other) {
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) sums[0][p] = vaddq_s32(sums[0][p], other.sums[0][p]);
    }

    int32x4_t row(int i, int half) const { return vpaddq_s32(sums[i][2 * half], sums[i][2 * half + 1]); }
  };
};

struct ByteTaps {
  static constexpr int kRows = 1;

  static void interleave(const int8x16_t (&rows)[1], int8x16_t (&units)[1]) { units[0] = rows[0]; }

  static void addInt16(int32x4_t (&sums)[4], int16x8_t low, int16x8_t high) {
    sums[0] = vaddw_s16(sums[0], vget_low_s16(low));
    sums[1] = vaddw_high_s16(sums[1], low);
    sums[2] = vaddw_s16(sums[2], vget_low_s16(high));
    sums[3] = vaddw_high_s16(sums[3], high);
  }

  template <int N>
  static void multiply(int32x4_t (&sums)[N][4], const int8_t* codes, size_t pixelStep, const int8_t* weights,
                       int taps) {
    for (; taps >= 2; taps -= 2, codes += 32, weights += 32) {
      const int8x16_t w0 = vld1q_s8(weights), w1 = vld1q_s8(weights + 16);
#pragma GCC unroll 4
      for (int i = 0; i < N; ++i) {
        const int8x16_t c0 = vld1q_s8(codes + i * pixelStep), c1 = vld1q_s8(codes + i * pixelStep + 16);
        addInt16(sums[i], vmlal_s8(multiplyLow(c0, w0), vget_low_s8(c1), vget_low_s8(w1)),
                 vmlal_high_s8(vmull_high_s8(c0, w0), c1, w1));
      }
    }
    if (taps == 0) return;
    const int8x16_t w = vld1q_s8(weights);
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) {
      const int8x16_t c = vld1q_s8(codes + i * pixelStep);
      addInt16(sums[i], multiplyLow(c, w), vmull_high_s8(c, w));
    }
  }
};

// Of each output the sums of two pairs of products.
struct LowBitSums {
  int32x4_t sums[4][2];

  void start() {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i][0] = sums[i][1] = vdupq_n_s32(0);
  }

  void add(const NeonBytes& weights, const NeonBytes& codes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int8x16_t w = weights.operand(i), c = codes.operand(i);
      sums[i][0] = vpadalq_s16(sums[i][0], multiplyLow(w, c));
      sums[i][1] = vpadalq_s16(sums[i][1], vmull_high_s8(w, c));
    }
  }

  int32x4_t part(int i) const { return vpaddq_s32(sums[i][0], sums[i][1]); }
};

void lookup(const uint8_t* in, size_t count, const uint8_t* table, uint8_t* out) {
  const Table lookUp(table);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) vst1q_u8(out + i, lookUp(vld1q_u8(in + i)));
  scalarKernels().lookup(in + i, count - i, table, out + i);
}

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
  for (int c = 0; c < channels; c += 16) {
    uint8x16_t best = vdupq_n_u8(low);
    for (int r = 0; r < rowCount; ++r) best = vmaxq_u8(best, vld1q_u8(rows[r] + c));
    storeBytes(out + c, vminq_u8(best, vdupq_n_u8(high)), channels - c);
  }
}

}  // namespace

void setKernels(Kernels& table) {
  VectorKernels<Neon>::set(table);
  VectorRouting<Neon>::set(table);
  VectorDynamic<Neon>::set(table);
  Gemm<ByteDot>::set(table);
  Depthwise<ByteTaps>::set(table);
  LowBitProducts<NeonProduct<LowBitSums>>::set(table);
  table.lookup = lookup;
  table.maxRows = maxRows;
  setRows(table);
  setProbe(table);
}

}  // namespace neon
}  // namespace lowbit
