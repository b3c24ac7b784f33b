#include "low-bit-matrix.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace lowbit {
namespace {

LowBitFormat readFormat(OpReader& reader, const Filter& filter, int32_t depth) {
  const char* label = reader.label().c_str();
  LowBitFormat format{};
  format.trellis = filter.format == WeightFormat::kTrellis2;
  format.bits = format.trellis ? 2 : static_cast<int>(filter.format) + 1;
  constexpr int32_t kGroupUnit = 32;
  if (filter.group < 0 || filter.group % kGroupUnit != 0) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: filter scales are shared by %d inputs, expected a multiple of %d, or 0 for all.",
         label, filter.group, kGroupUnit);
  }
  format.group = filter.group == 0 ? depth : std::min(filter.group, depth);
  format.unit = filter.unit;
  if (!(format.unit > 0) || std::isinf(format.unit)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: unit of the filter scales is %g, expected a positive number.", label,
         static_cast<double>(format.unit));
  }
  constexpr int kMaxLevel = 63;  // so that two products of a level, made unsigned, and a code fit int16
  std::memcpy(format.levels, reader.bytes("filter levels", filter.levelsOffset, sizeof format.levels),
              sizeof format.levels);
  for (int i = 0; i < 16; ++i) {
    const int bound = i < format.levelCount() ? kMaxLevel : 0;
    if (std::abs(format.levels[i]) > bound) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: filter level %d is %d, expected %d to %d.", label, i, format.levels[i], -bound,
           bound);
    }
  }
  return format;
}

}  // namespace

LowBitMatrix lowBitMatrix(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth) {
  if (static_cast<int64_t>(rows) * depth > kMaxElements) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has more than %lld weights.", reader.label().c_str(),
         static_cast<long long>(kMaxElements));
  }
  LowBitMatrix matrix{};
  matrix.format = readFormat(reader, filter, depth);
  matrix.rows = rows;
  matrix.depth = depth;
  matrix.codes = reader.bytes("filter", filter.offset, static_cast<int64_t>(rows * matrix.rowBytes()), 4);
  const int64_t scaleCount = static_cast<int64_t>(rows) * matrix.groups();
  matrix.scales =
      reinterpret_cast<const uint16_t*>(reader.bytes("filter scales", filter.scaleOffset, 2 * scaleCount, 4));
  for (int64_t i = 0; i < scaleCount; ++i) {
    if (matrix.scales[i] < 0x7c00) continue;  // what is not finite, or negative, has greater bits
    double value = matrix.scales[i] & 0x3ff ? NAN : INFINITY;
    if ((matrix.scales[i] & 0x7c00) != 0x7c00) value = static_cast<double>(fromHalf(matrix.scales[i]));
    fail(LOWBIT_INVALID_PROGRAM, "%s: filter scale %lld is %g, expected a finite number of at least 0.",
         reader.label().c_str(), static_cast<long long>(i), value);
  }
  return matrix;
}

}  // namespace lowbit
