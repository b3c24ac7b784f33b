#include "families.h"

namespace lowbit {
namespace compare {

namespace {

void compareRotation(const Kernels& kernels, Random& random, const std::string& name) {
  const size_t size = size_t{1} << random.between(1, 9);
  const bool inverse = random.chance(0.5);
  std::vector<float> values(size);
  for (float& value : values) value = random.chance(0.1) ? 0 : random.real(-9, 9);
  std::vector<uint32_t> signs(size);
  for (uint32_t& sign : signs) sign = random.chance(0.5) ? 0x80000000 : 0;
  const float multiplier = random.multiplier(1);
  const std::string where = text("size", size) + text("inverse", inverse);
  compareOutputs(kernels, size * sizeof(float), name + " rotate" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(values.begin(), values.end(), out.as<float>());
    of.rows.rotate(out.as<float>(), size, signs.data(), multiplier, inverse);
  });
}

void compareDecoding(const Kernels& kernels, Random& random, const std::string& name) {
  LowBitMatrix matrix{};
  matrix.rows = random.between(1, 5);
  matrix.depth = random.between(1, random.chance(0.5) ? 70 : random.chance(0.9) ? 3000 : 70000);
  matrix.format.trellis = random.chance(0.3);
  matrix.format.bits = matrix.format.trellis ? 2 : random.between(2, 4);
  matrix.format.group = random.chance(0.3) ? matrix.depth : std::min(matrix.depth, 32 * random.between(1, 5));
  matrix.format.unit = random.real(0.1f, 2);
  for (int i = 0; i < matrix.format.levelCount(); ++i) {
    matrix.format.levels[i] = static_cast<int8_t>(random.between(-63, 63));
  }
  // No byte more than there are codes for: reading past them is an error that sanitizers see.
  std::vector<uint8_t> codes = random.codes(matrix.rowBytes() * matrix.rows);
  std::vector<uint16_t> scales(static_cast<size_t>(matrix.groups()) * matrix.rows);
  for (uint16_t& scale : scales) scale = static_cast<uint16_t>(random.between(0, 0x7bff));
  matrix.codes = codes.data();
  matrix.scales = scales.data();

  Tile tile{};
  tile.row = random.between(0, matrix.rows - 1);
  tile.rows = random.between(1, matrix.rows - tile.row);
  tile.first = 32 * random.between(0, (matrix.depth - 1) / 32);
  tile.count = random.between(1, matrix.depth - tile.first);
  const size_t stride = static_cast<size_t>(tile.count + random.between(0, 9));
  const bool stream = random.chance(0.5);
  const int start = random.between(0, 15);  // in a cache line
  const std::string where = text("bits", matrix.format.bits) + text("trellis", matrix.format.trellis) +
                            text("depth", matrix.depth) + text("group", matrix.format.group) + text("row", tile.row) +
                            text("rows", tile.rows) + text("first", tile.first) + text("count", tile.count) +
                            text("stream", stream) + text("start", start);
  compareOutputs(
      kernels, (start + tile.rows * stride) * sizeof(float), name + " decode" + where,
      [&](const Kernels& of, Buffer& out) { of.rows.decode(matrix, tile, out.as<float>() + start, stride, stream); });
  const float scale = random.real(1e-3f, 20);
  const int32_t zeroPoint = random.code();
  compareOutputs(kernels, tile.rows * stride, name + " decodeCodes" + where, [&](const Kernels& of, Buffer& out) {
    of.rows.decodeCodes(matrix, tile, scale, zeroPoint, out.data(), stride);
  });
}

void compareProducts(const Kernels& kernels, Random& random, const std::string& name) {
  const int rows = random.between(1, 9);
  const size_t count = static_cast<size_t>(random.size(200)), stride = count + random.between(0, 9);
  const std::vector<float> x = drawFloats(random, count, 9), values = drawFloats(random, rows * stride, 9);
  const std::vector<float> sums = drawFloats(random, rows * kSums, 9);
  const std::string where = text("rows", rows) + text("count", count);
  compareOutputs(kernels, sums.size() * sizeof(float), name + " multiply" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(sums.begin(), sums.end(), out.as<float>());
    of.rows.multiply(x.data(), count, values.data(), stride, rows, out.as<float>());
  });
}

}  // namespace

void compareRows(const Kernels& kernels, Random& random, const std::string& name) {
  compareRotation(kernels, random, name);
  compareDecoding(kernels, random, name);
  compareProducts(kernels, random, name);
}

}  // namespace compare
}  // namespace lowbit
