// float32 activations times a tile of weights that is decoded piece by piece: each piece stays in the first level of
// cache while it is multiplied with all rows of a block.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../isa/kernels.h"
#include "../isa/rows.h"
#include "../base/threads.h"
#include "operator.h"

namespace lowbit {

struct FloatTile {
  static constexpr int32_t kOutputs = 8;
  static constexpr int32_t kPiece = 512;
  static constexpr int64_t kRows = 32;

  // store(m, n, total of x[m][k] * w[n][k] over k) for all rows and outputs, on all threads; sums as rows.h has them.
  // decode(tile, out) writes a tile of w, its rows kPiece elements apart.
  template <class Decode, class Store>
  static void product(const Kernels& kernels, const ThreadPool::Lease& pool, const float* x, int64_t rows,
                      int32_t depth, int32_t outputs, Decode&& decode, Store&& store) {
    const int64_t tiles = ceilDiv(outputs, kOutputs), blocks = ceilDiv(rows, kRows);
    pool.parallelFor(static_cast<size_t>(tiles * blocks), [&](size_t chunk, int) {
      const int32_t first = static_cast<int32_t>(static_cast<int64_t>(chunk) % tiles) * kOutputs;
      const int64_t firstRow = static_cast<int64_t>(chunk) / tiles * kRows;
      const int32_t count = std::min(kOutputs, outputs - first);
      multiply(
          kernels, x + firstRow * depth, std::min(kRows, rows - firstRow), depth, count,
          [&](int32_t from, int32_t elements, float* tile) { decode(Tile{first, count, from, elements}, tile); },
          [&](int64_t m, int32_t n, float total) { store(firstRow + m, first + n, total); });
    });
  }

 private:
  // At most kRows rows and kOutputs outputs.
  // decode(first, count, out) writes elements [first, first + count) of the outputs, kPiece elements apart.
  template <class Decode, class Store>
  static void multiply(const Kernels& kernels, const float* x, int64_t rows, int32_t depth, int32_t outputs,
                       Decode&& decode, Store&& store) {
    alignas(64) float tile[kOutputs * kPiece];
    alignas(64) float sums[kRows * kOutputs * kSums];
    std::fill_n(sums, static_cast<size_t>(rows) * kOutputs * kSums, 0.0f);
    for (int32_t first = 0; first < depth; first += kPiece) {
      const int32_t count = std::min(kPiece, depth - first);
      decode(first, count, tile);
      for (int64_t m = 0; m < rows; ++m) {
        kernels.rows.multiply(x + m * depth + first, static_cast<size_t>(count), tile, kPiece, outputs,
                              sums + m * kOutputs * static_cast<int64_t>(kSums));
      }
    }
    for (int64_t m = 0; m < rows; ++m) {
      for (int32_t n = 0; n < outputs; ++n)
        store(m, n, totalOf(sums + (m * kOutputs + n) * static_cast<int64_t>(kSums)));
    }
  }
};

}  // namespace lowbit
