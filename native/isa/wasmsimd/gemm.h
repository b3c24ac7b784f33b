// i32x4.dot_i16x8_s multiplies 8 int16 numbers and adds pairs into 4 int32 lanes, exactly: codes and weights are
// widened to int16.
//
// A panel is 8 outputs: two vectors of weights a pair of k, each widened as it is loaded. A tile is 4 rows by a panel,
// 8 accumulators: for each pair of k two loads of weights, 4 broadcasts of a pair of codes (loads too), 8 products and
// 8 additions. The 16 registers that browsers have on x86 hold no more. The codes of a tile are widened once, into
// scratch, for all panels, its taps one after the other.
//   scratch: row of 4 | k as int16, padded with any code to a pair
//   packed:  panel p | bias of 8 | multiplier of 8 | pair of k | output of 8 | k of 2     (k past the last: weight 0)
#pragma once
#include "vector.h"

namespace lowbit {
namespace {

struct Gemm {
  static void set(Kernels& table) {
    table.packedGemmBytes = packedBytes;
    table.packGemm = pack;
    table.gemmScratchBytes = scratchBytes;
    table.gemm = run;
  }

  static constexpr int kPanel = 8;
  static constexpr int kTileRows = 4;

  struct Constants {
    int32_t bias[kPanel];
    float multiplier[kPanel];
  };

  static size_t products(int taps, int depth) { return static_cast<size_t>(taps) * depth; }
  static size_t padded(int taps, int depth) { return (products(taps, depth) + 1) / 2 * 2; }
  static size_t panelBytes(int taps, int depth) { return sizeof(Constants) + padded(taps, depth) * kPanel; }

  static size_t packedBytes(int outputs, int taps, int depth) {
    return static_cast<size_t>(ceilDiv(outputs, kPanel)) * panelBytes(taps, depth);
  }

  static void pack(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants,
                   void* packed) {
    const size_t perOutput = products(taps, depth);
    uint8_t* panel = static_cast<uint8_t*>(packed);
    for (int n0 = 0; n0 < outputs; n0 += kPanel, panel += panelBytes(taps, depth)) {
      Constants& own = *reinterpret_cast<Constants*>(panel);
      int8_t* weights = reinterpret_cast<int8_t*>(&own + 1);
      std::memset(panel, 0, panelBytes(taps, depth));
      for (int i = 0; i < kPanel && n0 + i < outputs; ++i) {
        const int n = n0 + i;
        own.bias[i] = constants.bias[n];
        own.multiplier[i] = constants.multiplier[n];
        const int8_t* row = filter + n * perOutput;
        for (size_t k = 0; k < perOutput; ++k) weights[k / 2 * 2 * kPanel + 2 * i + k % 2] = row[k];
      }
    }
  }

  // int16 from one row of scratch to the next. Codes are widened by 16, past the end of each tap.
  static size_t rowStride(int taps, int depth) { return padded(taps, depth) + 16; }

  static size_t scratchBytes(int taps, int depth) { return kTileRows * rowStride(taps, depth) * sizeof(int16_t); }

  template <int MT>
  static void widenRows(const GemmArgs& args, int m0) {
    int16_t* row = static_cast<int16_t*>(args.scratch);
    for (int i = 0; i < MT; ++i, row += rowStride(args.taps, args.depth)) {
      int16_t* out = row;
      for (int t = 0; t < args.taps; ++t, out += args.depth) {
        const uint8_t* codes = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + m0 + i]
                                         : args.base + static_cast<size_t>(m0 + i) * args.rowStride;
        if (args.depth <= 4) {
          int32_t four;
          std::memcpy(&four, codes, sizeof four);
          wasm_v128_store64_lane(out, wasm_u16x8_extend_low_u8x16(wasm_i32x4_splat(four)), 0);
          continue;
        }
        for (int k = 0; k < args.depth; k += 16) {
          const v128_t sixteen = wasm_v128_load(codes + k);
          wasm_v128_store(out + k, wasm_u16x8_extend_low_u8x16(sixteen));
          wasm_v128_store(out + k + 8, wasm_u16x8_extend_high_u8x16(sixteen));
        }
      }
    }
  }

  // MT rows of scratch by all panels. The product loop takes one pair of k a turn, as some browsers load all that a
  // block of straight code needs at its start, and more than the registers hold goes through memory.
  template <int MT>
  static void tiles(const GemmArgs& args, const Store& store, int m0) {
    const size_t stride = rowStride(args.taps, args.depth), length = padded(args.taps, args.depth);
    const int16_t* const first = static_cast<const int16_t*>(args.scratch);
    const uint8_t* next = static_cast<const uint8_t*>(args.packed);
    for (int n0 = 0; n0 < args.outputs; n0 += kPanel, next += length * kPanel) {
      const Constants& constants = *reinterpret_cast<const Constants*>(next);
      next += sizeof constants;
      const int8_t* weights = reinterpret_cast<const int8_t*>(next);
      v128_t sums[MT][2];
#pragma clang loop unroll(full)
      for (int i = 0; i < MT; ++i) {
        sums[i][0] = wasm_v128_load(constants.bias);
        sums[i][1] = wasm_v128_load(constants.bias + 4);
      }
#pragma clang loop unroll(disable)
      for (const int16_t* codes = first; codes != first + length; codes += 2, weights += 2 * kPanel) {
        const v128_t w0 = wasm_i16x8_load8x8(weights), w1 = wasm_i16x8_load8x8(weights + 8);
#pragma clang loop unroll(full)
        for (int i = 0; i < MT; ++i) {
          const v128_t pair = wasm_v128_load32_splat(codes + i * stride);
          sums[i][0] = wasm_i32x4_add(sums[i][0], wasm_i32x4_dot_i16x8(pair, w0));
          sums[i][1] = wasm_i32x4_add(sums[i][1], wasm_i32x4_dot_i16x8(pair, w1));
        }
      }
      args.floatOut ? storeFloats<MT>(args, store, constants, sums, m0, n0)
                    : storeCodes<MT>(args, store, constants, sums, m0, n0);
    }
  }

  template <int MT>
  static void storeCodes(const GemmArgs& args, const Store& store, const Constants& constants,
                         const v128_t (&sums)[MT][2], int m0, int n0) {
    const v128_t multiplier[2] = {wasm_v128_load(constants.multiplier), wasm_v128_load(constants.multiplier + 4)};
    const int count = std::min(kPanel, args.outputs - n0);
    uint8_t* out = args.out + m0 * args.outStride + n0;
#pragma clang loop unroll(full)
    for (int i = 0; i < MT; i += 2, out += 2 * args.outStride) {
      const int j = std::min(i + 1, MT - 1);
      const v128_t codes = store.codes(store.round(sums[i][0], multiplier[0]), store.round(sums[i][1], multiplier[1]),
                                       store.round(sums[j][0], multiplier[0]), store.round(sums[j][1], multiplier[1]));
      if (count == kPanel && !store.table()) {
        wasm_v128_store64_lane(out, codes, 0);
        if (i + 1 < MT) wasm_v128_store64_lane(out + args.outStride, codes, 1);
        continue;
      }
      store.put(out, codes, count);
      if (i + 1 < MT) store.put(out + args.outStride, wasm_i64x2_shuffle(codes, codes, 1, 0), count);
    }
  }

  template <int MT>
  static void storeFloats(const GemmArgs& args, const Store& store, const Constants& constants,
                          const v128_t (&sums)[MT][2], int m0, int n0) {
    const v128_t multiplier[2] = {wasm_v128_load(constants.multiplier), wasm_v128_load(constants.multiplier + 4)};
    const int count = std::min(kPanel, args.outputs - n0);
    float* out = args.floatOut + m0 * args.outStride + n0;
    for (int i = 0; i < MT; ++i, out += args.outStride) {
      float values[kPanel];
      wasm_v128_store(values, store.value(sums[i][0], multiplier[0]));
      wasm_v128_store(values + 4, store.value(sums[i][1], multiplier[1]));
      std::memcpy(out, values, count * sizeof(float));
    }
  }

  // All rows from `m` on: as many tiles of MT rows as fit, then halves.
  template <int MT>
  static void rows(const GemmArgs& args, const Store& store, int m) {
    for (; m + MT <= args.rowCount; m += MT) {
      widenRows<MT>(args, m);
      tiles<MT>(args, store, m);
    }
    if constexpr (MT > 1) rows<MT / 2>(args, store, m);
  }

  static void run(const GemmArgs& args) { rows<kTileRows>(args, Store(*args.stage), 0); }
};

}  // namespace
}  // namespace lowbit
