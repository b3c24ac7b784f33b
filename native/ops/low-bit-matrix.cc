#include "low-bit-matrix.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace lowbit {
namespace {

LowBitFormat checkedFormat(const MatrixParts& parts) {
  const char* label = parts.label;
  LowBitFormat format{};
  format.trellis = parts.format == WeightFormat::kTrellis2;
  format.bits = bitsOf(parts.format);
  constexpr int32_t kGroupUnit = 32;
  if (parts.group < 0 || parts.group % kGroupUnit != 0) {
    fail(parts.code, "%s: filter scales are shared by %d inputs, expected a multiple of %d, or 0 for all.", label,
         parts.group, kGroupUnit);
  }
  format.group = parts.group == 0 ? parts.depth : std::min(parts.group, parts.depth);
  format.unit = parts.unit;
  if (!(format.unit > 0) || std::isinf(format.unit)) {
    fail(parts.code, "%s: unit of the filter scales is %g, expected a positive number.", label,
         static_cast<double>(format.unit));
  }
  constexpr int kMaxLevel = 63;  // so that two products of a level, made unsigned, and a code fit int16
  std::memcpy(format.levels, parts.levels, sizeof format.levels);
  for (int i = 0; i < 16; ++i) {
    const int bound = i < format.levelCount() ? kMaxLevel : 0;
    if (std::abs(format.levels[i]) > bound) {
      fail(parts.code, "%s: filter level %d is %d, expected %d to %d.", label, i, format.levels[i], -bound, bound);
    }
  }
  return format;
}

void checkScales(const MatrixParts& parts, const uint16_t* scales, int64_t count) {
  constexpr uint16_t kInfinity = 0x7c00, kSign = 0x8000;
  const auto wrong = [](uint16_t bits) { return (bits & ~kSign) >= kInfinity || bits == kSign; };
  const uint16_t* const first = std::find_if(scales, scales + count, wrong);
  if (first == scales + count) return;
  fail(parts.code, "%s: filter scale %lld is %g, expected a finite number of at least 0.", parts.label,
       static_cast<long long>(first - scales),
       *first == kSign  ? -0.0
       : *first & 0x3ff ? NAN
                        : INFINITY);
}

}  // namespace

LowBitMatrix shapedMatrix(const MatrixParts& parts) {
  if (static_cast<int64_t>(parts.rows) * parts.depth > kMaxElements) {
    fail(parts.code, "%s: the filter has more than %lld weights.", parts.label, static_cast<long long>(kMaxElements));
  }
  LowBitMatrix matrix{};
  matrix.format = checkedFormat(parts);
  matrix.rows = parts.rows;
  matrix.depth = parts.depth;
  return matrix;
}

void setContent(const MatrixParts& parts, const uint8_t* codes, const uint16_t* scales, LowBitMatrix* matrix) {
  checkScales(parts, scales, static_cast<int64_t>(matrix->rows) * matrix->groups());
  matrix->codes = codes;
  matrix->scales = scales;
}

LowBitMatrix lowBitMatrix(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth) {
  const MatrixParts parts{reader.label().c_str(),
                          LOWBIT_INVALID_PROGRAM,
                          filter.format,
                          rows,
                          depth,
                          filter.group,
                          filter.unit,
                          reinterpret_cast<const int8_t*>(reader.bytes("filter levels", filter.levelsOffset, 16))};
  LowBitMatrix matrix = shapedMatrix(parts);
  const uint8_t* codes = reader.bytes("filter", filter.filterOffset, static_cast<int64_t>(rows * matrix.rowBytes()), 4);
  const int64_t scaleBytes = 2 * static_cast<int64_t>(rows) * matrix.groups();
  const uint8_t* scales = reader.bytes("filter scales", filter.scaleOffset, scaleBytes, 4);
  setContent(parts, codes, reinterpret_cast<const uint16_t*>(scales), &matrix);
  return matrix;
}

}  // namespace lowbit
