// Blocks of 8 channels. Each column of the input is read once: two vertically adjacent taps are interleaved by channel
// and widened to int16 pairs in a buffer, which serves all windows that the column is part of; the products then go
// over 4 output pixels at a time, so that each vector of weights is used 4 times.
//   scratch: column | pair of rows | channel of 8 | row of 2, as int16
//   packed:  block b | bias of 8 | multiplier of 8 | kernel column | pair of rows | channel of 8 | row of 2, as int16
// The last of 3 rows has no partner. In a kernel of 3 x 3 that is its own next column of the kernel, so that 5 products
// do for 9 taps: of the second pairs those of kernel column 0 are (row 2, row 2 of column 1), of column 1 none, of
// column 2 (row 2, 0).
#pragma once
#include "vector.h"

namespace lowbit {
namespace {

struct Depthwise {
  static void set(Kernels& table) {
    table.packedDepthwiseBytes = packedBytes;
    table.packDepthwise = pack;
    table.depthwiseScratchBytes = scratchBytes;
    table.depthwise = run;
  }

  static constexpr int kBlock = 8;
  static constexpr int kPair = 2 * kBlock;  // int16

  struct Constants {
    int32_t bias[kBlock];
    float multiplier[kBlock];
  };

  static bool isThree(int kernelH, int kernelW) { return kernelH == 3 && kernelW == 3; }

  static size_t pairs(int kernelH) { return ceilDiv(kernelH, 2); }

  static size_t blockBytes(int kernelH, int kernelW) {
    return sizeof(Constants) + static_cast<size_t>(kernelW) * pairs(kernelH) * kPair * sizeof(int16_t);
  }

  static size_t packedBytes(int channels, int kernelH, int kernelW) {
    return static_cast<size_t>(ceilDiv(channels, kBlock)) * blockBytes(kernelH, kernelW);
  }

  static void pack(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed) {
    uint8_t* block = static_cast<uint8_t*>(packed);
    for (int c0 = 0; c0 < channels; c0 += kBlock, block += blockBytes(kernelH, kernelW)) {
      std::memset(block, 0, blockBytes(kernelH, kernelW));
      Constants& own = *reinterpret_cast<Constants*>(block);
      int16_t* weights = reinterpret_cast<int16_t*>(&own + 1);
      for (int i = 0; i < kBlock && c0 + i < channels; ++i) {
        own.bias[i] = constants.bias[c0 + i];
        own.multiplier[i] = constants.multiplier[c0 + i];
        for (int kx = 0; kx < kernelW; ++kx) {
          for (int ky = 0; ky < kernelH; ++ky) {
            const bool beside = isThree(kernelH, kernelW) && ky == 2 && kx == 1;
            const size_t pair = (beside ? 0 : kx) * pairs(kernelH) + ky / 2;
            weights[pair * kPair + 2 * i + (beside ? 1 : ky % 2)] =
                filter[(static_cast<size_t>(ky) * kernelW + kx) * channels + c0 + i];
          }
        }
      }
    }
  }

  static size_t scratchBytes(int columnCount, int kernelH) {
    return static_cast<size_t>(columnCount) * pairs(kernelH) * kPair * sizeof(int16_t);
  }

  // Interleaves the rows of all columns of the block of channels that starts at channel c0.
  static void interleaveColumns(const DepthwiseArgs& args, int c0) {
    const size_t step = pairs(args.kernelH) * kPair;
    for (int ky = 0; ky < args.kernelH; ky += 2) {
      int16_t* out = static_cast<int16_t*>(args.scratch) + ky / 2 * kPair;
      const uint8_t* const* upper = args.columns + static_cast<size_t>(ky) * args.columnCount;
      const bool beside = ky == 2 && isThree(args.kernelH, args.kernelW);
      const uint8_t* const* lower = upper + (beside ? args.dilation : args.columnCount);
      const int partners = ky + 1 < args.kernelH ? args.columnCount : beside ? args.columnCount - args.dilation : 0;
      for (int x = 0; x < args.columnCount; ++x, out += step) {
        const v128_t a = wasm_v128_load64_zero(upper[x] + c0);
        const v128_t b = x < partners ? wasm_v128_load64_zero(lower[x] + c0) : wasm_i32x4_const_splat(0);
        const v128_t both = wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        wasm_v128_store(out, wasm_u16x8_extend_low_u8x16(both));
        wasm_v128_store(out + 8, wasm_u16x8_extend_high_u8x16(both));
      }
    }
  }

  // The sums of N output pixels from pixel m on, for the first or the second half of the channels of a block. Loops
  // take one pair of rows a turn, for the reason that gemm.h gives.
  template <int N>
  static void sumHalf(const DepthwiseArgs& args, const Constants& constants, int m, int half, v128_t (&sums)[N]) {
    const size_t pairCount = pairs(args.kernelH);
    const size_t column = pairCount * kPair, step = args.stride * column;
    const int16_t* weights = reinterpret_cast<const int16_t*>(&constants + 1) + 8 * half;
    const int16_t* codes = static_cast<const int16_t*>(args.scratch) + m * step + 8 * half;
#pragma clang loop unroll(full)
    for (int i = 0; i < N; ++i) sums[i] = wasm_v128_load(constants.bias + 4 * half);
    // Neighbouring columns of a window are neighbours in the buffer and make one run.
    const int runs = args.dilation == 1 ? 1 : args.kernelW;
    const size_t length = static_cast<size_t>(args.kernelW / runs) * column;
    for (int r = 0; r < runs; ++r, codes += args.dilation * column) {
      const int16_t* at = codes;
      const int16_t* const end = codes + length;
#pragma clang loop unroll(disable)
      for (; at != end; at += kPair, weights += kPair) {
        const v128_t w = wasm_v128_load(weights);
#pragma clang loop unroll(full)
        for (int i = 0; i < N; ++i) {
          sums[i] = wasm_i32x4_add(sums[i], wasm_i32x4_dot_i16x8(wasm_v128_load(at + i * step), w));
        }
      }
    }
  }

  // The same for windows of 3 x 3 that lie side by side or one apart: neighbouring ones share what is loaded, and the
  // product that is of no taps is left out.
  template <int N, int Stride>
  static void sumHalf3(const DepthwiseArgs& args, const Constants& constants, int m, int half, v128_t (&sums)[N]) {
    constexpr size_t kColumn = 2 * kPair;
    const int16_t* weights = reinterpret_cast<const int16_t*>(&constants + 1) + 8 * half;
    const int16_t* at = static_cast<const int16_t*>(args.scratch) + m * Stride * kColumn + 8 * half;
#pragma clang loop unroll(full)
    for (int i = 0; i < N; ++i) sums[i] = wasm_v128_load(constants.bias + 4 * half);
    addPairs<N, Stride, 1>(at, weights, sums);
    addPairs<N, Stride, 2>(at + kPair, weights + kPair, sums);
  }

  // One pair of rows, of kernel columns 0, Step, ...
  template <int N, int Stride, int Step>
  static void addPairs(const int16_t* at, const int16_t* weights, v128_t (&sums)[N]) {
    constexpr int kColumns = (N - 1) * Stride + 3;
    v128_t w[3], codes[kColumns];
#pragma clang loop unroll(full)
    for (int i = 0; i < 3; i += Step) w[i] = wasm_v128_load(weights + i * 2 * kPair);
#pragma clang loop unroll(full)
    for (int i = 0; i < kColumns; ++i) codes[i] = wasm_v128_load(at + i * 2 * kPair);
#pragma clang loop unroll(full)
    for (int i = 0; i < N; ++i) {
#pragma clang loop unroll(full)
      for (int kx = 0; kx < 3; kx += Step) {
        sums[i] = wasm_i32x4_add(sums[i], wasm_i32x4_dot_i16x8(codes[i * Stride + kx], w[kx]));
      }
    }
  }

  // N output pixels from pixel m on, for the channels of a block.
  template <int N>
  static void pixels(const DepthwiseArgs& args, const Store& store, const Constants& constants, int m, int c0) {
    v128_t sums[2][N];
    const bool three = isThree(args.kernelH, args.kernelW) && args.dilation == 1;
    for (int half = 0; half < 2; ++half) {
      if (three && args.stride == 1) {
        sumHalf3<N, 1>(args, constants, m, half, sums[half]);
      } else if (three && args.stride == 2) {
        sumHalf3<N, 2>(args, constants, m, half, sums[half]);
      } else {
        sumHalf<N>(args, constants, m, half, sums[half]);
      }
    }
    const v128_t multiplier[2] = {wasm_v128_load(constants.multiplier), wasm_v128_load(constants.multiplier + 4)};
    if (args.floatOut) {
#pragma clang loop unroll(full)
      for (int i = 0; i < N; ++i) {
        float values[kBlock];
        wasm_v128_store(values, store.value(sums[0][i], multiplier[0]));
        wasm_v128_store(values + 4, store.value(sums[1][i], multiplier[1]));
        std::memcpy(args.floatOut + (m + i) * args.outStride + c0, values,
                    std::min(kBlock, args.channels - c0) * sizeof(float));
      }
      return;
    }
    // Within the pitch of its row a pixel may be written whole.
    const int count = args.outStride < 16 ? args.channels - c0 : kBlock;
    uint8_t* out = args.out + m * args.outStride + c0;
#pragma clang loop unroll(full)
    for (int i = 0; i < N; i += 2, out += 2 * args.outStride) {
      const int j = std::min(i + 1, N - 1);
      const v128_t codes = store.codes(store.round(sums[0][i], multiplier[0]), store.round(sums[1][i], multiplier[1]),
                                       store.round(sums[0][j], multiplier[0]), store.round(sums[1][j], multiplier[1]));
      if (count >= kBlock && !store.table()) {
        wasm_v128_store64_lane(out, codes, 0);
        if (i + 1 < N) wasm_v128_store64_lane(out + args.outStride, codes, 1);
        continue;
      }
      store.put(out, codes, std::min(count, kBlock));
      if (i + 1 < N) store.put(out + args.outStride, wasm_i64x2_shuffle(codes, codes, 1, 0), std::min(count, kBlock));
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
