// i32x4.dot_i16x8_s multiplies 8 int16 numbers and adds pairs into 4 int32 lanes, exactly: codes and weights are
// widened to int16.
//
// A panel is 8 outputs: two vectors of weights a pair of k, each widened as it is loaded. A tile is 4 rows by a panel,
// 8 accumulators: for each pair of k two loads of weights, 4 broadcasts of a pair of codes (loads too), 8 products and
// 8 additions. The 16 registers that browsers have on x86 hold no more. The codes of a tile are widened once, into
// scratch, for all panels, its taps one after the other.
//   scratch: row of 4 | k as int16, padded with any codes to kBlock
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
  static constexpr int kBlock = 8;  // k that are multiplied at a time

  struct Constants {
    int32_t bias[kPanel];
    float multiplier[kPanel];
  };

  static size_t products(int taps, int depth) { return static_cast<size_t>(taps) * depth; }
  static size_t padded(int taps, int depth) { return (products(taps, depth) + kBlock - 1) / kBlock * kBlock; }
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

  // MT rows of scratch by one panel.
  template <int MT>
  static void tile(const GemmArgs& args, const Store& store, const uint8_t* panel, int m0, int n0) {
    const Constants& constants = *reinterpret_cast<const Constants*>(panel);
    const int8_t* weights = reinterpret_cast<const int8_t*>(&constants + 1);
    const size_t stride = rowStride(args.taps, args.depth);
    const int16_t* rows[MT];
    v128_t sums[MT][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < MT; ++i) {
      rows[i] = static_cast<const int16_t*>(args.scratch) + i * stride;
      sums[i][0] = wasm_v128_load(constants.bias);
      sums[i][1] = wasm_v128_load(constants.bias + 4);
    }
    for (size_t left = padded(args.taps, args.depth); left > 0; left -= kBlock) {
#pragma clang loop unroll(full)
      for (int p = 0; p < kBlock / 2; ++p) {
        const v128_t w0 = wasm_i16x8_load8x8(weights + 2 * kPanel * p);
        const v128_t w1 = wasm_i16x8_load8x8(weights + 2 * kPanel * p + 8);
#pragma clang loop unroll(full)
        for (int i = 0; i < MT; ++i) {
          const v128_t codes = wasm_v128_load32_splat(rows[i] + 2 * p);
          sums[i][0] = wasm_i32x4_add(sums[i][0], wasm_i32x4_dot_i16x8(codes, w0));
          sums[i][1] = wasm_i32x4_add(sums[i][1], wasm_i32x4_dot_i16x8(codes, w1));
        }
      }
      weights += kBlock * kPanel;
#pragma clang loop unroll(full)
      for (int i = 0; i < MT; ++i) rows[i] += kBlock;
    }
    const v128_t multiplier[2] = {wasm_v128_load(constants.multiplier), wasm_v128_load(constants.multiplier + 4)};
    const int count = args.outputs - n0;
    if (args.floatOut) {
#pragma clang loop unroll(full)
      for (int i = 0; i < MT; ++i) {
        storeFloats(store.value(sums[i][0], multiplier[0]), store.value(sums[i][1], multiplier[1]), count,
                    args.floatOut + (m0 + i) * args.outStride + n0);
      }
      return;
    }
    uint8_t* out = args.out + m0 * args.outStride + n0;
#pragma clang loop unroll(full)
    for (int i = 0; i < MT; i += 2, out += 2 * args.outStride) {
      const int j = std::min(i + 1, MT - 1);
      const v128_t codes = store.codes(store.round(sums[i][0], multiplier[0]), store.round(sums[i][1], multiplier[1]),
                                       store.round(sums[j][0], multiplier[0]), store.round(sums[j][1], multiplier[1]));
      if (count >= kPanel && !store.table()) {
        wasm_v128_store64_lane(out, codes, 0);
        if (i + 1 < MT) wasm_v128_store64_lane(out + args.outStride, codes, 1);
        continue;
      }
      store.put(out, codes, std::min(count, kPanel));
      if (i + 1 < MT) {
        store.put(out + args.outStride, wasm_i64x2_shuffle(codes, codes, 1, 0), std::min(count, kPanel));
      }
    }
  }

  static void storeFloats(v128_t low, v128_t high, int count, float* out) {
    if (count >= kPanel) {
      wasm_v128_store(out, low);
      wasm_v128_store(out + 4, high);
      return;
    }
    float buffer[kPanel];
    wasm_v128_store(buffer, low);
    wasm_v128_store(buffer + 4, high);
    std::memcpy(out, buffer, count * sizeof(float));
  }

  // All rows from `m` on: as many tiles of MT rows as fit, then halves.
  template <int MT>
  static void rows(const GemmArgs& args, const Store& store, int m) {
    const size_t bytes = panelBytes(args.taps, args.depth);
    for (; m + MT <= args.rowCount; m += MT) {
      widenRows<MT>(args, m);
      const uint8_t* panel = static_cast<const uint8_t*>(args.packed);
      for (int n0 = 0; n0 < args.outputs; n0 += kPanel, panel += bytes) tile<MT>(args, store, panel, m, n0);
    }
    if constexpr (MT > 1) rows<MT / 2>(args, store, m);
  }

  static void run(const GemmArgs& args) { rows<kTileRows>(args, Store(*args.stage), 0); }
};

}  // namespace
}  // namespace lowbit
