#include "stored-rows.h"

#include "low-bit-matrix.h"

namespace lowbit {

StoredRows::StoredRows(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth)
    : int8_(filter.format == WeightFormat::kInt8) {
  const auto keep = [&](const uint8_t* codes, size_t bytes) {
    codes_ = PackedBytes(bytes);
    std::memcpy(codes_.data(), codes, bytes);
  };
  if (!int8_) {
    matrix_ = lowBitMatrix(reader, filter, rows, depth);
    groupScales_.assign(matrix_.scales, matrix_.scales + static_cast<size_t>(rows) * matrix_.groups());
    keep(matrix_.codes, static_cast<size_t>(rows) * matrix_.rowBytes());
    matrix_.scales = groupScales_.data();
    matrix_.codes = codes_.data();
    return;
  }
  const int64_t count = static_cast<int64_t>(rows) * depth;
  if (count > kMaxElements) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has more than %lld weights.", reader.label().c_str(),
         static_cast<long long>(kMaxElements));
  }
  keep(reinterpret_cast<const uint8_t*>(reader.weights(filter, count)), static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) codes_.data()[i] ^= 0x80;
  matrix_.codes = codes_.data();
  matrix_.rows = rows;
  matrix_.depth = depth;
  scales_ = reader.floats("filter scales", filter.scaleOffset, rows);
  for (int32_t row = 0; row < rows; ++row) {
    if (!(scales_[row] > 0) || std::isinf(scales_[row])) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: filter scale %d is %g, expected a positive number.", reader.label().c_str(),
           row, static_cast<double>(scales_[row]));
    }
  }
}

void decodeInt8(const Kernels& kernels, const LowBitMatrix& matrix, const float* scales, const Tile& tile, float* out,
                size_t stride) {
  for (int32_t row = tile.row; row < tile.row + tile.rows; ++row, out += stride) {
    const uint8_t* codes = matrix.codes + static_cast<size_t>(row) * matrix.depth + tile.first;
    kernels.dequantize(codes, static_cast<size_t>(tile.count), scales[row], 128, out);
  }
}

void StoredRows::decode(const Kernels& kernels, const Tile& tile, float* out, size_t stride) const {
  if (!int8_) {
    kernels.rows.decode(matrix_, tile, out, stride, false);
    return;
  }
  decodeInt8(kernels, matrix_, scales_.data(), tile, out, stride);
}

void StoredRows::decodeCodes(const Kernels& kernels, int32_t row, float scale, int32_t zeroPoint, float* values,
                             uint8_t* out) const {
  const Tile whole{row, 1, 0, depth()};
  if (!int8_) {
    kernels.rows.decodeCodes(matrix_, whole, scale, zeroPoint, out, 0);
    return;
  }
  decode(kernels, whole, values, 0);
  kernels.quantize(values, static_cast<size_t>(depth()), scale, zeroPoint, out);
}

}  // namespace lowbit
