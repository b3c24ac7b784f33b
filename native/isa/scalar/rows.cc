// The definition of the kernels of rows.h.
#include <cstring>

#include "kernels.h"

namespace lowbit {
namespace scalar {
namespace {

void flip(float* values, size_t size, const uint32_t* signs) {
  for (size_t i = 0; i < size; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bits ^= signs[i];
    std::memcpy(values + i, &bits, sizeof bits);
  }
}

void rotate(float* values, size_t size, const uint32_t* signs, float multiplier, bool inverse) {
  if (!inverse) flip(values, size, signs);
  for (size_t stride = 1; stride < size; stride *= 2) {
    for (size_t start = 0; start < size; start += 2 * stride) {
      for (size_t i = start; i < start + stride; ++i) {
        const float a = values[i], b = values[i + stride];
        values[i] = a + b;
        values[i + stride] = a - b;
      }
    }
  }
  for (size_t i = 0; i < size; ++i) values[i] *= multiplier;
  if (inverse) flip(values, size, signs);
}

void decode(const LowBitMatrix& matrix, const Tile& tile, float* out, size_t stride, bool) {
  for (int row = tile.row; row < tile.row + tile.rows; ++row, out += stride) {
    forGroups(matrix, row, tile, [&](int first, int count, float scale) {
      for (int k = first; k < first + count; ++k) {
        out[k - tile.first] = static_cast<float>(matrix.level(row, k)) * scale;
      }
    });
  }
}

void decodeCodes(const LowBitMatrix& matrix, const Tile& tile, float scale, int32_t zeroPoint, uint8_t* out,
                 size_t stride) {
  for (int row = tile.row; row < tile.row + tile.rows; ++row, out += stride) {
    forGroups(matrix, row, tile, [&](int first, int count, float groupScale) {
      for (int k = first; k < first + count; ++k) {
        const float value = static_cast<float>(matrix.level(row, k)) * groupScale;
        scalarKernels().quantize(&value, 1, scale, zeroPoint, out + (k - tile.first));
      }
    });
  }
}

void multiply(const float* x, size_t count, const float* values, size_t stride, int rows, float* sums) {
  for (int r = 0; r < rows; ++r, values += stride, sums += kSums) {
    for (size_t k = 0; k < count; ++k) sums[k % kSums] += x[k] * values[k];
  }
}

}  // namespace

void setRows(Kernels& table) {
  table.rows.rotate = rotate;
  table.rows.decode = decode;
  table.rows.decodeCodes = decodeCodes;
  table.rows.multiply = multiply;
}

}  // namespace scalar
}  // namespace lowbit
