// The depthwise convolution of the Arm variants. What differs between them is the parameter `Taps`:
//   kRows         vertically adjacent taps that the product takes together (a unit)
//   interleave    16 codes of each of kRows rows -> kRows registers, channel by channel
//   multiply      adds a run of units to the accumulators of N pixels
//
// Blocks of 16 channels. Each column of the input is read once, made signed and interleaved into a buffer that serves
// all windows that the column is part of; the products then go over 4 output pixels at a time, so that each register
// of weights is used 4 times.
//   scratch: column | unit of kRows rows | channel of 16 | row of kRows, code - 128
//   packed:  block b | bias of 16 | multiplier of 16 | kernel column | unit | channel of 16 | row of kRows
//                                                                                         (rows past the last: weight
//                                                                                         0)
#pragma once
#include "vector.h"

namespace lowbit {
namespace {

template <class Taps>
struct Depthwise {
  static void set(Kernels& table) {
    table.packedDepthwiseBytes = packedBytes;
    table.packDepthwise = pack;
    table.depthwiseScratchBytes = scratchBytes;
    table.depthwise = run;
  }

  static constexpr int kBlock = 16;
  static constexpr int kUnit = kBlock * Taps::kRows;  // bytes

  struct Constants {
    int32_t bias[kBlock];
    float multiplier[kBlock];
  };

  static int units(int kernelH) { return ceilDiv(kernelH, Taps::kRows); }

  static size_t blockBytes(int kernelH, int kernelW) {
    return sizeof(Constants) + static_cast<size_t>(kernelW) * units(kernelH) * kUnit;
  }

  static size_t packedBytes(int channels, int kernelH, int kernelW) {
    return static_cast<size_t>(ceilDiv(channels, kBlock)) * blockBytes(kernelH, kernelW);
  }

  static void pack(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed) {
    uint8_t* block = static_cast<uint8_t*>(packed);
    for (int c0 = 0; c0 < channels; c0 += kBlock, block += blockBytes(kernelH, kernelW)) {
      Constants& own = *reinterpret_cast<Constants*>(block);
      int8_t* weights = reinterpret_cast<int8_t*>(&own + 1);
      for (int i = 0; i < kBlock; ++i) {
        const int c = c0 + i;
        uint32_t bias = c < channels ? static_cast<uint32_t>(constants.bias[c]) : 0;
        for (int kx = 0; kx < kernelW; ++kx) {
          for (int ky = 0; ky < units(kernelH) * Taps::kRows; ++ky) {
            const bool inside = c < channels && ky < kernelH;
            const int8_t weight = inside ? filter[(static_cast<size_t>(ky) * kernelW + kx) * channels + c] : int8_t{0};
            const size_t unit = static_cast<size_t>(kx) * units(kernelH) + ky / Taps::kRows;
            weights[unit * kUnit + i * Taps::kRows + ky % Taps::kRows] = weight;
            bias += 128 * static_cast<uint32_t>(weight);
          }
        }
        own.bias[i] = static_cast<int32_t>(bias);
        own.multiplier[i] = c < channels ? constants.multiplier[c] : 0;
      }
    }
  }

  static size_t scratchBytes(int columnCount, int kernelH) {
    return static_cast<size_t>(columnCount) * units(kernelH) * kUnit;
  }

  static void interleaveColumns(const DepthwiseArgs& args, int c0) {
    int8_t* out = static_cast<int8_t*>(args.scratch);
    for (int x = 0; x < args.columnCount; ++x) {
      for (int ky = 0; ky < args.kernelH; ky += Taps::kRows, out += kUnit) {
        const int count = std::min(Taps::kRows, args.kernelH - ky);
        const uint8_t* const* column = args.columns + static_cast<size_t>(ky) * args.columnCount + x;
        int8x16_t rows[Taps::kRows], interleaved[Taps::kRows];
#pragma GCC unroll 4
        for (int i = 0; i < Taps::kRows; ++i) {
          const uint8x16_t codes =
              i < count ? vld1q_u8(column[static_cast<size_t>(i) * args.columnCount] + c0) : vdupq_n_u8(0);
          rows[i] = vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(0x80)));
        }
        Taps::interleave(rows, interleaved);
#pragma GCC unroll 4
        for (int i = 0; i < Taps::kRows; ++i) vst1q_s8(out + 16 * i, interleaved[i]);
      }
    }
  }

  template <int N>
  static void storeFloats(const DepthwiseArgs& args, const Store& store, const float* multiplier,
                          const int32x4_t (&sums)[N][4], int m, int c0) {
    float* out = args.floatOut + m * args.outStride + c0;
    for (int i = 0; i < N; ++i, out += args.outStride) {
      const auto values =
          Neon::forEach<Neon::Float>([&](int q) { return store.value(sums[i][q], vld1q_f32(multiplier + 4 * q)); });
      Neon::storeFirst(out, values, args.channels - c0);
    }
  }

  // N output pixels from pixel m on, for the channels of a block.
  template <int N>
  static void pixels(const DepthwiseArgs& args, const Store& store, const Constants& constants, int m, int c0) {
    const int8_t* weights = reinterpret_cast<const int8_t*>(&constants + 1);
    const size_t column = static_cast<size_t>(units(args.kernelH)) * kUnit;
    const size_t step = args.stride * column;
    const int8_t* codes = static_cast<const int8_t*>(args.scratch) + m * step;
    int32x4_t sums[N][4];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) {
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) sums[i][q] = vld1q_s32(constants.bias + 4 * q);
    }
    // Neighbouring columns of a window are neighbours in the buffer and make one run.
    const int runs = args.dilation == 1 ? 1 : args.kernelW;
    const int length = args.kernelW / runs * units(args.kernelH);
    for (int r = 0; r < runs; ++r, codes += args.dilation * column, weights += static_cast<size_t>(length) * kUnit) {
      Taps::template multiply<N>(sums, codes, step, weights, length);
    }
    if (args.floatOut) {
      storeFloats<N>(args, store, constants.multiplier, sums, m, c0);
      return;
    }
    // Within the pitch of its row a pixel may be written whole.
    const int count = static_cast<int>(std::min<size_t>(kBlock, args.outStride - c0));
    uint8_t* out = args.out + m * args.outStride + c0;
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i, out += args.outStride) {
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) sums[i][q] = store.round(sums[i][q], vld1q_f32(constants.multiplier + 4 * q));
      storeBytes(out, store.codes(sums[i][0], sums[i][1], sums[i][2], sums[i][3]), count);
    }
  }

  // All pixels from `m` on: as many times N as fit, then halves.
  template <int N>
  static void row(const DepthwiseArgs& args, const Store& store, const Constants& constants, int m, int c0) {
    for (; m + N <= args.outputs; m += N) pixels<N>(args, store, constants, m, c0);
    if constexpr (N > 1) row<N / 2>(args, store, constants, m, c0);
  }

  static void run(const DepthwiseArgs& args) {
    const Store store(*args.stage);
    const uint8_t* block = static_cast<const uint8_t*>(args.packed);
    for (int c0 = 0; c0 < args.channels; c0 += kBlock, block += blockBytes(args.kernelH, args.kernelW)) {
      interleaveColumns(args, c0);
      row<4>(args, store, *reinterpret_cast<const Constants*>(block), 0, c0);
    }
  }
};

}  // namespace
}  // namespace lowbit
