// The matrix product in 128-bit vectors, written once over an instruction that multiplies codes and weights in units of
// 32 bits and adds the products of each into a lane:
//
//   Product::kDepth               k of a unit
//   Product::kPrepares            whether weights are stored as vectors first where many rows share them
//   Product::codes(bytes)         a vector of units of codes
//   Product::weights(bytes)       the weights of 4 outputs for a unit, from 4 kDepth bytes
//   Product::multiplyAdd(sums, codes, weights)
//   Product::bias(bias, weights, count)   that of an output, with what the form of the codes adds to its sums taken
//   away
//
// A panel is 8 outputs. A tile is 4 rows by a panel, 8 accumulators: for each unit two loads of weights, 4 broadcasts
// of codes (loads too) and 8 products.
// The 16 registers that browsers have on x86 hold no more. Codes are interleaved, into scratch, for all panels: one
// pointer serves the rows and one the weights, and taps follow each other without padding. Where there are many rows,
// each panel passes over as many tiles as stay in the cache, and its weights are prepared once for all.
//   scratch: tile | unit | row of 4                                               (k past the last: any code)
//            prepared weights: unit | output of 8 | k of the unit as int16
//            for more than one tap, a row of codes with the taps one after the other, for each row of a tile
//   packed:  panel p | bias of 8 | multiplier of 8 | unit | output of 8 | k of the unit   (k past the last: weight 0)
#pragma once
#include "vector.h"

namespace lowbit {
namespace {

// i32x4.dot_i16x8_s multiplies 8 int16 numbers and adds pairs, exactly: codes and weights are widened to int16.
struct WidenedProduct {
  static constexpr int kDepth = 2;
  static constexpr bool kPrepares = true;
  static v128_t codes(const uint8_t* p) { return wasm_u16x8_load8x8(p); }
  static v128_t weights(const int8_t* p) { return wasm_i16x8_load8x8(p); }
  static v128_t multiplyAdd(v128_t sums, v128_t codes, v128_t weights) {
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(codes, weights));
  }
  static int32_t bias(int32_t bias, const int8_t*, size_t) { return bias; }
};

template <class Product>
struct Gemm {
  static void set(Kernels& table) {
    table.packedGemmBytes = packedBytes;
    table.packGemm = pack;
    table.gemmScratchBytes = scratchBytes;
    table.gemm = run;
  }

  static constexpr int kPanel = 8;
  static constexpr int kTileRows = 4;
  static constexpr int kDepth = Product::kDepth;
  static constexpr int kVectorBytes = 16;

  struct Constants {
    int32_t bias[kPanel];
    float multiplier[kPanel];
  };

  static size_t products(int taps, int depth) { return static_cast<size_t>(taps) * depth; }
  static size_t padded(int taps, int depth) { return (products(taps, depth) + kDepth - 1) / kDepth * kDepth; }
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
        const int8_t* row = filter + n * perOutput;
        own.bias[i] = Product::bias(constants.bias[n], row, perOutput);
        own.multiplier[i] = constants.multiplier[n];
        for (size_t k = 0; k < perOutput; ++k) {
          weights[k / kDepth * kDepth * kPanel + kDepth * i + k % kDepth] = row[k];
        }
      }
    }
  }

  static constexpr int kBlock = 4 * kDepth;  // codes of a row that are interleaved at a time

  static size_t blocks(int taps, int depth) { return (products(taps, depth) + kBlock - 1) / kBlock; }

  // Of one row in a tile.
  static size_t interleavedBytes(int taps, int depth) { return blocks(taps, depth) * kVectorBytes; }

  // Tiles that are interleaved at a time: they stay in the level-2 cache, and the rows of the output that they make in
  // the level-1 cache.
  static int tilesAtATime(int taps, int depth) {
    constexpr size_t kCodeBytes = 96 * 1024;
    constexpr size_t kMostTiles = 24;
    const size_t fit = kCodeBytes / (kTileRows * interleavedBytes(taps, depth));
    return static_cast<int>(std::clamp<size_t>(fit, 1, kMostTiles));
  }

  static size_t preparedBytes(int taps, int depth) {
    return Product::kPrepares ? padded(taps, depth) / kDepth * 2 * kVectorBytes : 0;
  }

  // Bytes from one row of joined taps to the next. Taps are copied by 16 codes, past their ends.
  static size_t joinedStride(int taps, int depth) { return blocks(taps, depth) * kBlock + 16; }

  static size_t scratchBytes(int taps, int depth) {
    return tilesAtATime(taps, depth) * kTileRows * interleavedBytes(taps, depth) + preparedBytes(taps, depth) +
           (taps > 1 ? kTileRows * joinedStride(taps, depth) : 0);
  }

  static void joinTaps(const GemmArgs& args, int m, uint8_t* out) {
    for (int t = 0; t < args.taps; ++t, out += args.depth) {
      const uint8_t* row = args.rows[static_cast<size_t>(t) * args.rowCount + m];
      if (args.depth <= 4) {
        std::memcpy(out, row, 4);
        continue;
      }
      for (int k = 0; k < args.depth; k += 16) wasm_v128_store(out + k, wasm_v128_load(row + k));
    }
  }

  // Four units of MT rows, from units by row to rows by unit.
  template <int MT>
  static void interleave(const v128_t (&rows)[MT], uint8_t* out) {
    if constexpr (MT == 1) wasm_v128_store(out, rows[0]);
    if constexpr (MT == 4) {
      const v128_t a = wasm_i32x4_shuffle(rows[0], rows[1], 0, 4, 1, 5);
      const v128_t b = wasm_i32x4_shuffle(rows[2], rows[3], 0, 4, 1, 5);
      const v128_t c = wasm_i32x4_shuffle(rows[0], rows[1], 2, 6, 3, 7);
      const v128_t d = wasm_i32x4_shuffle(rows[2], rows[3], 2, 6, 3, 7);
      wasm_v128_store(out, wasm_i64x2_shuffle(a, b, 0, 2));
      wasm_v128_store(out + 16, wasm_i64x2_shuffle(a, b, 1, 3));
      wasm_v128_store(out + 32, wasm_i64x2_shuffle(c, d, 0, 2));
      wasm_v128_store(out + 48, wasm_i64x2_shuffle(c, d, 1, 3));
    }
    if constexpr (MT == 2) {
      wasm_v128_store(out, wasm_i32x4_shuffle(rows[0], rows[1], 0, 4, 1, 5));
      wasm_v128_store(out + 16, wasm_i32x4_shuffle(rows[0], rows[1], 2, 6, 3, 7));
    }
  }

  template <int MT>
  static void interleaveRows(const GemmArgs& args, int m0, uint8_t* joined, uint8_t* out) {
    const uint8_t* rows[MT];
    for (int i = 0; i < MT; ++i) {
      if (args.taps > 1) {
        rows[i] = joined + i * joinedStride(args.taps, args.depth);
        joinTaps(args, m0 + i, joined + i * joinedStride(args.taps, args.depth));
      } else {
        rows[i] = args.rows ? args.rows[m0 + i] : args.base + static_cast<size_t>(m0 + i) * args.rowStride;
      }
    }
    for (size_t b = 0; b < blocks(args.taps, args.depth); ++b, out += kVectorBytes * MT) {
      v128_t codes[MT];
#pragma clang loop unroll(full)
      for (int i = 0; i < MT; ++i) codes[i] = Product::codes(rows[i] + b * kBlock);
      interleave<MT>(codes, out);
    }
  }

  // The sums of MT rows by a panel. The loop takes one unit a turn, as some browsers load all that a block of straight
  // code needs at its start, and more than the registers hold goes through memory.
  template <int MT, bool Prepared>
  __attribute__((always_inline)) static void sumTile(const uint8_t* codes, const uint8_t* end, const uint8_t* weights,
                                                     const Constants& constants, v128_t (&sums)[MT][2]) {
    constexpr int kHalf = Prepared ? kVectorBytes : 4 * kDepth;
#pragma clang loop unroll(full)
    for (int i = 0; i < MT; ++i) {
      sums[i][0] = wasm_v128_load(constants.bias);
      sums[i][1] = wasm_v128_load(constants.bias + 4);
    }
#pragma clang loop unroll(disable)
    for (; codes != end; codes += sizeof(int32_t) * MT, weights += 2 * kHalf) {
      v128_t w[2];
#pragma clang loop unroll(full)
      for (int j = 0; j < 2; ++j) {
        if constexpr (Prepared) {
          w[j] = wasm_v128_load(weights + j * kHalf);
        } else {
          w[j] = Product::weights(reinterpret_cast<const int8_t*>(weights) + j * kHalf);
        }
      }
#pragma clang loop unroll(full)
      for (size_t i = 0; i < MT; ++i) {
        const v128_t unit = wasm_v128_load32_splat(codes + sizeof(int32_t) * i);
        sums[i][0] = Product::multiplyAdd(sums[i][0], unit, w[0]);
        sums[i][1] = Product::multiplyAdd(sums[i][1], unit, w[1]);
      }
    }
  }

  // Inlined, so that the sums stay in registers.
  template <int MT>
  __attribute__((always_inline)) static void put(const GemmArgs& args, const Store& store, const Constants& constants,
                                                 const v128_t (&sums)[MT][2], int m, int n) {
    if (!args.floatOut) {
      storeCodes<MT>(args, store, constants, sums, m, n);
      return;
    }
    int32_t lanes[MT][kPanel];
#pragma clang loop unroll(full)
    for (int i = 0; i < MT; ++i) {
      wasm_v128_store(lanes[i], sums[i][0]);
      wasm_v128_store(lanes[i] + 4, sums[i][1]);
    }
    storeFloats(args, store, constants, lanes, MT, m, n);
  }

  // MT rows of scratch by all panels.
  template <int MT>
  static void byPanels(const GemmArgs& args, const Store& store, int m) {
    const size_t length = padded(args.taps, args.depth);
    const uint8_t* const codes = static_cast<const uint8_t*>(args.scratch);
    const uint8_t* const end = codes + length / kDepth * sizeof(int32_t) * MT;
    const uint8_t* next = static_cast<const uint8_t*>(args.packed);
    for (int n = 0; n < args.outputs; n += kPanel, next += length * kPanel) {
      const Constants& constants = *reinterpret_cast<const Constants*>(next);
      next += sizeof constants;
      v128_t sums[MT][2];
      sumTile<MT, false>(codes, end, next, constants, sums);
      put<MT>(args, store, constants, sums, m, n);
    }
  }

  template <int MT>
  __attribute__((always_inline)) static void storeCodes(const GemmArgs& args, const Store& store,
                                                        const Constants& constants, const v128_t (&sums)[MT][2], int m0,
                                                        int n0) {
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

  __attribute__((noinline)) static void storeFloats(const GemmArgs& args, const Store& store,
                                                    const Constants& constants, const int32_t (*sums)[kPanel], int rows,
                                                    int m0, int n0) {
    const int count = std::min(kPanel, args.outputs - n0);
    float* out = args.floatOut + m0 * args.outStride + n0;
    for (int i = 0; i < rows; ++i, out += args.outStride) {
      float values[kPanel];
      for (int half = 0; half < kPanel; half += 4) {
        wasm_v128_store(values + half,
                        store.value(wasm_v128_load(sums[i] + half), wasm_v128_load(constants.multiplier + half)));
      }
      std::memcpy(out, values, count * sizeof(float));
    }
  }

  // All rows from `m` on: as many tiles of MT rows as fit, then halves.
  template <int MT>
  static void rows(const GemmArgs& args, const Store& store, int m) {
    uint8_t* const joined = static_cast<uint8_t*>(args.scratch) + kTileRows * interleavedBytes(args.taps, args.depth);
    for (; m + MT <= args.rowCount; m += MT) {
      interleaveRows<MT>(args, m, joined, static_cast<uint8_t*>(args.scratch));
      byPanels<MT>(args, store, m);
    }
    if constexpr (MT > 1) rows<MT / 2>(args, store, m);
  }

  // What the product loop takes for the weights of a panel.
  static const uint8_t* prepare(const uint8_t* packed, size_t units, uint8_t* out) {
    if (!Product::kPrepares) return packed;
    for (size_t i = 0; i < 2 * units; ++i) {
      wasm_v128_store(out + i * kVectorBytes,
                      Product::weights(reinterpret_cast<const int8_t*>(packed) + i * 4 * kDepth));
    }
    return out;
  }

  // `count` tiles from row m on, panel by panel.
  static void byTiles(const GemmArgs& args, const Store& store, int m, int count) {
    const size_t length = padded(args.taps, args.depth);
    const size_t tileBytes = kTileRows * interleavedBytes(args.taps, args.depth);
    uint8_t* const codes = static_cast<uint8_t*>(args.scratch);
    uint8_t* const prepared = codes + tilesAtATime(args.taps, args.depth) * tileBytes;
    uint8_t* const joined = prepared + preparedBytes(args.taps, args.depth);
    for (int t = 0; t < count; ++t) interleaveRows<kTileRows>(args, m + t * kTileRows, joined, codes + t * tileBytes);
    const uint8_t* next = static_cast<const uint8_t*>(args.packed);
    for (int n = 0; n < args.outputs; n += kPanel, next += length * kPanel) {
      const Constants& constants = *reinterpret_cast<const Constants*>(next);
      next += sizeof constants;
      const uint8_t* const weights = prepare(next, length / kDepth, prepared);
      for (int t = 0; t < count; ++t) {
        const uint8_t* const tile = codes + t * tileBytes;
        v128_t sums[kTileRows][2];
        sumTile<kTileRows, Product::kPrepares>(tile, tile + length / kDepth * sizeof(int32_t) * kTileRows, weights,
                                               constants, sums);
        put<kTileRows>(args, store, constants, sums, m + t * kTileRows, n);
      }
    }
  }

  static void run(const GemmArgs& args) {
    const Store store(*args.stage);
    int m = 0;
    // Where few products make a sum, or few rows share the weights, the other order has less to do around them.
    constexpr size_t kLeastProducts = 48;
    constexpr int kLeastTiles = 3;
    if (products(args.taps, args.depth) >= kLeastProducts) {
      const int most = tilesAtATime(args.taps, args.depth);
      for (;;) {
        const int count = std::min(most, (args.rowCount - m) / kTileRows);
        if (count < kLeastTiles) break;
        byTiles(args, store, m, count);
        m += count * kTileRows;
      }
    }
    rows<kTileRows>(args, store, m);
  }
};

}  // namespace
}  // namespace lowbit
