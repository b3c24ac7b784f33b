// Rows of weights that are read as numbers: of 2, 3 or 4 bits, or int8 with one scale a row. They stay as they are
// stored and are decoded where they are needed, a tile at a time.
#pragma once
#include <vector>

#include "../isa/rows.h"
#include "../program/op-reader.h"
#include "operator.h"

namespace lowbit {

// As `decode` of rows.h, of a matrix whose codes are int8 codes + 128 with one scale a row.
void decodeInt8(const Kernels& kernels, const LowBitMatrix& matrix, const float* scales, const Tile& tile, float* out,
                size_t stride);

class StoredRows {
 public:
  // Reads the weights [rows][depth] of a filter and checks them.
  StoredRows(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth);

  int32_t rows() const { return matrix_.rows; }
  int32_t depth() const { return matrix_.depth; }
  size_t bytes() const {
    return codes_.bytes() + sizeof(float) * scales_.size() + sizeof(uint16_t) * groupScales_.size();
  }

  // As `decode` of rows.h; an int8 weight is (float)code * scale.
  void decode(const Kernels& kernels, const Tile& tile, float* out, size_t stride) const;

  // One row as codes of a scale and zero point. `values`: room for a row.
  void decodeCodes(const Kernels& kernels, int32_t row, float scale, int32_t zeroPoint, float* values,
                   uint8_t* out) const;

 private:
  bool int8_;
  LowBitMatrix matrix_{};
  PackedBytes codes_;  // of int8 weights: unsigned
  std::vector<uint16_t> groupScales_;
  std::vector<float> scales_;  // of int8 weights
};

}  // namespace lowbit
