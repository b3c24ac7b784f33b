// float32 activations times a tile of weights that is decoded piece by piece: each piece stays in the first level of cache
// while it is multiplied with all rows of a block.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../isa/kernels.h"
#include "../isa/rows.h"

namespace lowbit {

struct FloatTile {
  static constexpr int32_t kOutputs = 8;
  static constexpr int32_t kPiece = 512;
  static constexpr int64_t kRows = 32;
  // float32 elements that `multiply` needs.
  static constexpr size_t kScratch = kOutputs * (kPiece + kRows * kSums);

  // store(m, n, total of x[m][k] * w[n][k] over k) for at most kRows rows and kOutputs outputs; sums as rows.h has them.
  // decode(first, count, out) writes elements [first, first + count) of the outputs, kPiece elements apart.
  template <class Decode, class Store>
  static void multiply(const Kernels& kernels, const float* x, int64_t rows, int32_t depth, int32_t outputs,
                       float* scratch, Decode&& decode, Store&& store) {
    float* sums = scratch;
    float* tile = sums + kRows * kOutputs * kSums;
    std::fill_n(sums, static_cast<size_t>(rows) * kOutputs * kSums, 0.0f);
    for (int32_t first = 0; first < depth; first += kPiece) {
      const int32_t count = std::min(kPiece, depth - first);
      decode(first, count, tile);
      for (int64_t m = 0; m < rows; ++m) {
        kernels.rows->multiply(x + m * depth + first, static_cast<size_t>(count), tile, kPiece, outputs,
                               sums + m * kOutputs * static_cast<int64_t>(kSums));
      }
    }
    for (int64_t m = 0; m < rows; ++m) {
      for (int32_t n = 0; n < outputs; ++n) store(m, n, totalOf(sums + (m * kOutputs + n) * static_cast<int64_t>(kSums)));
    }
  }
};

}  // namespace lowbit
