// The GEMM of the Arm variants. What differs between them, the product, is the parameter `Dot`:
//   kTileRows                rows of a tile: as many as fill the registers with accumulators
//   kUnitRows, kStep         a register of codes holds one step of k of so many rows (a unit)
//   kSigned                  whether the codes go in as signed, code - 128
//   interleave               16 codes of each row of a unit -> 16 / kStep registers, one a step
//   outputOf, depthOf        the output (of 8) and the k (of kStep) of byte i of the weights of a step
//   Sums<MT>                 the accumulators of MT rows: start(bias), multiply(codes, weights), add, row(i, half)
//
// A panel is 8 outputs, as channel counts are multiples of 8 more often than of anything larger. The rows of a tile
// are interleaved once, into scratch, and used by all panels: no shuffles or sign changes are left in the inner loop,
// one pointer serves the rows and one the weights, and taps follow each other without padding.
//   scratch: step | unit | 16 codes, then, for more than one tap, the rows of the tile with the taps one after the
//   other packed:  panel p | bias of 8 | multiplier of 8 | step | output of 8 by k of kStep, in the order of Dot
//                                                                                         (k past the last: weight 0)
// Signed codes: sum(code * weight) = sum((code - 128) * weight) + 128 * sum(weight); the second sum is part of the
// packed bias, modulo 2^32.
#pragma once
#include "vector.h"

namespace lowbit {
namespace {

template <class Dot>
struct Gemm {
  static void set(Kernels& table) {
    table.packedGemmBytes = packedBytes;
    table.packGemm = pack;
    table.gemmScratchBytes = scratchBytes;
    table.gemm = run;
  }

  static constexpr int kPanel = 8;
  static constexpr int kBlock = 16;  // codes of a row that are interleaved at a time

  struct Constants {
    int32_t bias[kPanel];
    float multiplier[kPanel];
  };

  static size_t products(int taps, int depth) { return static_cast<size_t>(taps) * depth; }

  static size_t steps(int taps, int depth) { return static_cast<size_t>(ceilDiv(products(taps, depth), Dot::kStep)); }

  static size_t panelBytes(int taps, int depth) { return sizeof(Constants) + steps(taps, depth) * Dot::kStep * kPanel; }

  static size_t packedBytes(int outputs, int taps, int depth) {
    return static_cast<size_t>(ceilDiv(outputs, kPanel)) * panelBytes(taps, depth);
  }

  static void pack(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants,
                   void* packed) {
    const size_t perOutput = products(taps, depth);
    uint8_t* panel = static_cast<uint8_t*>(packed);
    for (int n0 = 0; n0 < outputs; n0 += kPanel, panel += panelBytes(taps, depth)) {
      Constants& own = *reinterpret_cast<Constants*>(panel);
      for (int i = 0; i < kPanel; ++i) {
        const int n = n0 + i;
        uint32_t bias = n < outputs ? static_cast<uint32_t>(constants.bias[n]) : 0;
        for (size_t k = 0; Dot::kSigned && n < outputs && k < perOutput; ++k) {
          bias += 128 * static_cast<uint32_t>(filter[n * perOutput + k]);
        }
        own.bias[i] = static_cast<int32_t>(bias);
        own.multiplier[i] = n < outputs ? constants.multiplier[n] : 0;
      }
      int8_t* weights = reinterpret_cast<int8_t*>(&own + 1);
      for (size_t step = 0; step < steps(taps, depth); ++step) {
        for (int i = 0; i < Dot::kStep * kPanel; ++i) {
          const int n = n0 + Dot::outputOf(i);
          const size_t k = step * Dot::kStep + Dot::depthOf(i);
          *weights++ = n < outputs && k < perOutput ? filter[n * perOutput + k] : int8_t{0};
        }
      }
    }
  }

  static constexpr int units(int rows) { return static_cast<int>(ceilDiv(rows, Dot::kUnitRows)); }

  static size_t blocks(int taps, int depth) { return static_cast<size_t>(ceilDiv(products(taps, depth), kBlock)); }

  static size_t interleavedBytes(int taps, int depth) {
    return blocks(taps, depth) * (kBlock / Dot::kStep) * units(Dot::kTileRows) * 16;
  }

  // Bytes from one row of joined taps to the next. Copying and reading are by whole blocks.
  static size_t joinedStride(int taps, int depth) { return (blocks(taps, depth) + 1) * kBlock; }

  static size_t scratchBytes(int taps, int depth) {
    return interleavedBytes(taps, depth) + (taps > 1 ? Dot::kTileRows * joinedStride(taps, depth) : 0);
  }

  static void joinTaps(const GemmArgs& args, int m, uint8_t* out) {
    for (int t = 0; t < args.taps; ++t, out += args.depth) {
      const uint8_t* row = args.rows[static_cast<size_t>(t) * args.rowCount + m];
      if (args.depth <= 4) {
        std::memcpy(out, row, 4);
        continue;
      }
      for (int k = 0; k < args.depth; k += kBlock) vst1q_u8(out + k, vld1q_u8(row + k));
    }
  }

  template <int MT>
  static void interleaveRows(const GemmArgs& args, int m0) {
    uint8_t* out = static_cast<uint8_t*>(args.scratch);
    uint8_t* joined = out + interleavedBytes(args.taps, args.depth);
    const uint8_t* rows[MT];
    for (int i = 0; i < MT; ++i) {
      if (args.taps > 1) {
        rows[i] = joined + i * joinedStride(args.taps, args.depth);
        joinTaps(args, m0 + i, joined + i * joinedStride(args.taps, args.depth));
      } else {
        rows[i] = args.rows ? args.rows[m0 + i] : args.base + static_cast<size_t>(m0 + i) * args.rowStride;
      }
    }
    constexpr int kSteps = kBlock / Dot::kStep;
    const size_t blockCount = blocks(args.taps, args.depth);
    for (int u = 0; u < units(MT); ++u) {
      uint8_t* to = out + 16 * u;
      for (size_t b = 0; b < blockCount; ++b) {
        uint8x16_t codes[Dot::kUnitRows], interleaved[kSteps];
#pragma GCC unroll 4
        for (int i = 0; i < Dot::kUnitRows; ++i) {
          codes[i] = vld1q_u8(rows[std::min(u * Dot::kUnitRows + i, MT - 1)] + b * kBlock);
        }
        Dot::interleave(codes, interleaved);
#pragma GCC unroll 4
        for (int i = 0; i < kSteps; ++i, to += 16 * units(MT)) vst1q_u8(to, interleaved[i]);
      }
    }
  }

  // MT interleaved rows by one panel. Not inlined, or the compiler would load what the store needs ahead of the product
  // loop, whose accumulators need the registers.
  template <int MT>
  __attribute__((noinline)) static void tile(const GemmArgs& args, const Store& store, const uint8_t* panel, int m0,
                                             int n0) {
    using Sums = typename Dot::template Sums<MT>;
    constexpr size_t kCodes = 16 * units(MT), kWeights = Dot::kStep * kPanel;
    // A single row has too few accumulators to hide the latency of the products: four sets take turns.
    constexpr int kSets = MT == 1 ? 4 : 1;
    const Constants& constants = *reinterpret_cast<const Constants*>(panel);
    const int8_t* weights = reinterpret_cast<const int8_t*>(&constants + 1);
    const uint8_t* codes = static_cast<const uint8_t*>(args.scratch);
    const int32_t noBias[kPanel] = {};
    Sums sums[kSets];
#pragma GCC unroll 4
    for (int i = 0; i < kSets; ++i) sums[i].start(i == 0 ? constants.bias : noBias);
    size_t left = steps(args.taps, args.depth);
    for (; left >= kSets; left -= kSets) {
#pragma GCC unroll 4
      for (int i = 0; i < kSets; ++i, codes += kCodes, weights += kWeights) sums[i].multiply(codes, weights);
    }
    for (; left > 0; --left, codes += kCodes, weights += kWeights) sums[0].multiply(codes, weights);
#pragma GCC unroll 4
    for (int i = 1; i < kSets; ++i) sums[0].add(sums[i]);

    const float32x4_t multiplier[2] = {vld1q_f32(constants.multiplier), vld1q_f32(constants.multiplier + 4)};
    const int count = args.outputs - n0;
    if (args.floatOut) {
#pragma GCC unroll 12
      for (int i = 0; i < MT; ++i) {
        const float32x4_t low = store.value(sums[0].row(i, 0), multiplier[0]);
        const float32x4_t high = store.value(sums[0].row(i, 1), multiplier[1]);
        storeFloats(low, high, count, args.floatOut + (m0 + i) * args.outStride + n0);
      }
      return;
    }
    uint8_t* out = args.out + m0 * args.outStride + n0;
#pragma GCC unroll 6
    for (int i = 0; i < MT; i += 2, out += 2 * args.outStride) {
      int32x4_t rounded[2][2];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        rounded[j / 2][j % 2] = store.round(sums[0].row(std::min(i + j / 2, MT - 1), j % 2), multiplier[j % 2]);
      }
      const uint8x16_t bytes = store.codes(rounded[0][0], rounded[0][1], rounded[1][0], rounded[1][1]);
      storeBytes(out, vget_low_u8(bytes), count);
      if (i + 1 < MT) storeBytes(out + args.outStride, vget_high_u8(bytes), count);
    }
  }

  static void storeFloats(float32x4_t low, float32x4_t high, int count, float* out) {
    if (count >= kPanel) {
      vst1q_f32(out, low);
      vst1q_f32(out + 4, high);
      return;
    }
    float buffer[kPanel];
    vst1q_f32(buffer, low);
    vst1q_f32(buffer + 4, high);
    std::memcpy(out, buffer, count * sizeof(float));
  }

  // All rows from `m` on: as many tiles of MT rows as fit, then halves.
  template <int MT>
  static void rows(const GemmArgs& args, const Store& store, int m) {
    const size_t bytes = panelBytes(args.taps, args.depth);
    for (; m + MT <= args.rowCount; m += MT) {
      interleaveRows<MT>(args, m);
      const uint8_t* panel = static_cast<const uint8_t*>(args.packed);
      for (int n0 = 0; n0 < args.outputs; n0 += kPanel, panel += bytes) tile<MT>(args, store, panel, m, n0);
    }
    if constexpr (MT > 1) rows<MT / 2>(args, store, m);
  }

  static void run(const GemmArgs& args) { rows<Dot::kTileRows>(args, Store(*args.stage), 0); }
};

}  // namespace
}  // namespace lowbit
