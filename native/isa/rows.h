// The inner loops on rows of float32 values: rotations, low-bit weights as numbers, products with them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "low-bit-matrix.h"

namespace lowbit {

// Elements [first, first + count) of rows [row, row + rows) of a matrix. `first` is a multiple of 32.
struct Tile {
  int row;
  int rows;
  int first;
  int count;
};

struct RowKernels {
  // One block of a rotation (see ops/rotation.h) in place: signs, the Walsh-Hadamard transform, one multiplication; or
  // its inverse, where the signs come last. `size` is a power of two, a sign is 0 or 0x80000000. The transform consists
  // of butterflies a + b, a - b of elements 1 apart, then 2, 4, ...
  void (*rotate)(float* values, size_t size, const uint32_t* signs, float multiplier, bool inverse);

  // The values of a tile, (float)level * scale; its rows lie `stride` elements apart in `out`. `stream`: past the
  // caches, for more values than those hold.
  void (*decode)(const LowBitMatrix& matrix, const Tile& tile, float* out, size_t stride, bool stream);
  // The same as codes: clamp(rint(value / scale) + zeroPoint, 0, 255), clamped before the conversion.
  void (*decodeCodes)(const LowBitMatrix& matrix, const Tile& tile, float scale, int32_t zeroPoint, uint8_t* out,
                      size_t stride);

  // Adds products of x and of each row to sums of its own, of which element k goes to the one of number k % kSums:
  //   sums[r][k % kSums] += x[k] * values[r * stride + k] for k = 0, 1, ..., count - 1, a product and a sum each
  void (*multiply)(const float* x, size_t count, const float* values, size_t stride, int rows, float* sums);
};

constexpr size_t kSums = 16;

// The end of a product: s[i] + s[i + 8] for i < 8, and so on by halves.
static inline float totalOf(float* sums) {
  for (size_t half = kSums / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

// Calls body(first element, elements, scale) for the parts of a tile's row that share a scale.
template <class Body>
inline void forGroups(const LowBitMatrix& matrix, int row, const Tile& tile, Body&& body) {
  const int64_t group = matrix.format.group, end = static_cast<int64_t>(tile.first) + tile.count;
  const LowBitMatrix own = matrix.slice(row, 1);
  for (int64_t g = tile.first / group, at = tile.first; at < end; ++g) {
    const int64_t next = (g + 1) * group < end ? (g + 1) * group : end;
    body(static_cast<int>(at), static_cast<int>(next - at), own.scale(0, static_cast<int>(g)));
    at = next;
  }
}

}  // namespace lowbit
