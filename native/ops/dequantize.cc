#include "dequantize.h"

#include <algorithm>
#include <cmath>

#include "../isa/rows.h"
#include "../base/threads.h"
#include "low-bit-matrix.h"
#include "operator.h"

namespace lowbit {
namespace {

constexpr char kLabel[] = "PiDequant";

// A thread's share at a time.
constexpr int64_t kChunk = 1 << 16;
// int8 codes before they become int32 elements.
constexpr int kPiece = 2048;
// Outputs from this size on go past the caches: they would not stay there, and a line would be read before it is
// written.
constexpr size_t kStreamBytes = 16 << 20;

// Buffers of 32-bit elements may end with a few bytes more.
void expectBytes(const char* what, size_t bytes, size_t expected) {
  if (bytes >= expected) return;
  fail(LOWBIT_INVALID_ARGUMENT, "%s: %s have %zu bytes, expected %zu.", kLabel, what, bytes, expected);
}

LowBitMatrix checkedMatrix(const lowbit_matrix& given) {
  const lowbit_matrix_numbers& numbers = given.numbers;
  const auto format = static_cast<WeightFormat>(numbers.storage);
  if (!isWeightFormat(numbers.storage) || !isLowBit(format)) {
    fail(LOWBIT_INVALID_ARGUMENT, "%s: unknown weight format %d, expected %d to %d.", kLabel, numbers.storage,
         static_cast<int32_t>(WeightFormat::kCodebook2), static_cast<int32_t>(WeightFormat::kTrellis2));
  }
  if (numbers.rows < 1 || numbers.depth < 1) {
    fail(LOWBIT_INVALID_ARGUMENT, "%s: expected at least one row and one element but received %d x %d.", kLabel,
         numbers.rows, numbers.depth);
  }
  const MatrixParts parts{kLabel,        LOWBIT_INVALID_ARGUMENT, format,       numbers.rows,
                          numbers.depth, numbers.group,           numbers.unit, given.levels};
  LowBitMatrix matrix = shapedMatrix(parts);
  const size_t rows = static_cast<size_t>(matrix.rows);
  expectBytes("codes", given.code_bytes, rows * matrix.rowBytes());
  expectBytes("scales", given.scale_bytes, rows * matrix.groups() * sizeof(uint16_t));
  setContent(parts, given.codes, given.scales, &matrix);
  return matrix;
}

// Calls body(tile) for parts of a matrix that one thread takes: some rows, or a part of one.
template <class Body>
void forTiles(const LowBitMatrix& matrix, Body&& body) {
  const ThreadPool::Lease pool(ThreadPool::shared());
  const int64_t pieces = ceilDiv(matrix.depth, kChunk);
  const int64_t rows = std::max<int64_t>(1, kChunk / matrix.depth);
  pool.parallelFor(static_cast<size_t>(ceilDiv(matrix.rows, rows) * pieces), [&](size_t chunk, int) {
    const int64_t row = static_cast<int64_t>(chunk) / pieces * rows;
    const int64_t first = static_cast<int64_t>(chunk) % pieces * kChunk;
    body(Tile{static_cast<int>(row), static_cast<int>(std::min(rows, matrix.rows - row)), static_cast<int>(first),
              static_cast<int>(std::min(kChunk, matrix.depth - first))});
  });
}

}  // namespace

void dequantizeMatrix(const Kernels& kernels, const lowbit_matrix& given, lowbit_type type, void* out,
                      size_t outBytes) {
  const LowBitMatrix matrix = checkedMatrix(given);
  const float scale = given.numbers.scale;
  const int32_t zeroPoint = given.numbers.zero_point;
  const size_t depth = static_cast<size_t>(matrix.depth);
  expectBytes("outputs", outBytes, static_cast<size_t>(matrix.rows) * depth * (type == LOWBIT_INT8 ? 1 : 4));
  const auto at = [depth](const Tile& tile) { return static_cast<size_t>(tile.row) * depth + tile.first; };
  if (type == LOWBIT_FLOAT32) {
    forTiles(matrix, [&](const Tile& tile) {
      kernels.rows.decode(matrix, tile, static_cast<float*>(out) + at(tile), depth, outBytes >= kStreamBytes);
    });
    return;
  }
  if (!(scale > 0) || std::isinf(scale) || zeroPoint < -128 || zeroPoint > 127) {
    fail(LOWBIT_INVALID_ARGUMENT,
         "%s: expected a positive scale and a zero point from -128 to 127 but received %g and %d.", kLabel,
         static_cast<double>(scale), zeroPoint);
  }
  forTiles(matrix, [&](const Tile& tile) {
    uint8_t piece[kPiece];
    for (int row = tile.row; row < tile.row + tile.rows; ++row) {
      for (int done = 0; done < tile.count; done += kPiece) {
        const Tile part{row, 1, tile.first + done, std::min(kPiece, tile.count - done)};
        kernels.rows.decodeCodes(matrix, part, scale, zeroPoint + 128, piece, 0);
        for (int i = 0; i < part.count; ++i) {
          const int8_t code = static_cast<int8_t>(piece[i] ^ 0x80);
          if (type == LOWBIT_INT8) {
            static_cast<int8_t*>(out)[at(part) + i] = code;
          } else {
            static_cast<int32_t*>(out)[at(part) + i] = code;
          }
        }
      }
    }
  });
}

}  // namespace lowbit
