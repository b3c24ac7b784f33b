#include "families.h"

namespace lowbit::compare {

namespace {

// A low-bit matrix with its memory, and what an op keeps beside it.
struct LowBitCase {
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<float> zero, bias;
  std::vector<uint8_t> table;
  LowBitMatrix matrix{};
  LowBitStage stage{};

  LowBitCase(Random& random, int rows, int depth, bool toFloat) {
    LowBitFormat& format = matrix.format;
    format.bits = random.between(2, 4);
    format.trellis = format.bits == 2 && random.chance(0.5);
    format.group = std::min(depth, random.pick({depth, 32, 64, 96, 128, 256}));
    format.unit = random.pick({1.0f, 0.25f, 1.0471976f});
    drawLevels(random, format);
    matrix.rows = rows;
    matrix.depth = depth;
    // Codes past the end of a row are drawn as well: their products must not count.
    codes = random.codes(rows * matrix.rowBytes());
    for (int i = 0; i < rows * matrix.groups(); ++i) {
      const int ordinary = random.between(8, 16) << 10 | random.between(0, 1023);
      scales.push_back(static_cast<uint16_t>(
          random.chance(0.1) ? random.pick({0, 1, 0x3ff, 0x400, 0x7bff, 0x8001, 0x83ff, 0x8400, 0xfbff}) : ordinary));
    }
    for (int n = 0; n < rows; ++n) {
      zero.push_back(random.chance(0.3) ? 0 : random.real(-1000, 1000));
      bias.push_back(random.chance(0.3) ? 0 : random.real(-50, 50));
    }
    matrix.codes = codes.data();
    matrix.scales = scales.data();
    drawStage(random, toFloat);
  }

 private:
  static void drawLevels(Random& random, LowBitFormat& format) {
    const int count = format.levelCount(), reach = random.pick({3, 15, 31, 63});
    const int step = random.between(1, 126 / (count - 1));
    const int first = random.between(-63, 63 - step * (count - 1));
    const int style = random.between(0, 2);
    for (int i = 0; i < count; ++i) {
      format.levels[i] = static_cast<int8_t>(style == 0   ? first + step * i
                                             : style == 1 ? random.between(-reach, reach)
                                                          : reach - 2 * reach * random.between(0, 1));
    }
  }

  void drawStage(Random& random, bool toFloat) {
    stage.multiplier = random.multiplier(100.0 * matrix.depth);
    if (toFloat) {
      const float infinity = std::numeric_limits<float>::infinity();
      stage.low = random.pick({-infinity, 0.0f, -0.0f, -3.5f});
      stage.high = random.pick({infinity, 6.0f, 0.0f, -0.0f});
      return;
    }
    stage.zeroPoint = random.code();
    const auto [low, high] = std::minmax({random.code(), random.chance(0.5) ? 255 : random.code()});
    stage.low = static_cast<float>(low - stage.zeroPoint);
    stage.high = static_cast<float>(high - stage.zeroPoint);
    if (random.chance(0.3)) {
      table = random.codes(256);
      stage.table = table.data();
    }
  }
};

}  // namespace

void compareLowBitProduct(const Kernels& kernels, Random& random, const std::string& name) {
  const bool direct = random.chance(0.7), toFloat = random.chance(0.25);
  const int depth = random.size(700), outputs = random.size(70), rows = random.size(12);
  const LowBitCase drawn(random, outputs, depth, toFloat);
  const LowBitFormat& format = drawn.matrix.format;
  const std::string where = name + " low-bit product" + text("depth", depth) + text("outputs", outputs) +
                            text("rows", rows) + text("bits", format.bits) + text("trellis", format.trellis) +
                            text("group", format.group) + text("direct", direct) + text("float", toFloat) +
                            text("table", drawn.stage.table != nullptr);

  const std::vector<uint8_t> dense = random.codes(rows * pitchOf(depth) + kOverRead);
  const Pixels pixels(random, depth, static_cast<size_t>(rows));
  LowBitArgs args{};
  args.rows = direct ? nullptr : pixels.pointers.data();
  args.base = dense.data();
  args.rowStride = pitchOf(depth);
  args.rowCount = rows;
  args.depth = depth;
  args.format = &format;
  args.outputs = outputs;
  args.stage = &drawn.stage;
  args.outStride = static_cast<size_t>(outputs + random.between(0, 3));

  const size_t outBytes = rows * args.outStride * (toFloat ? sizeof(float) : 1);
  const auto run = [&](const Kernels& table, Buffer& out) {
    Buffer packed(table.packedLowBitBytes(format, outputs, depth)), scratch(table.lowBitScratchBytes(format, depth));
    table.packLowBit(drawn.matrix, {drawn.zero.data(), drawn.bias.data()}, packed.data());
    args.packed = packed.data();
    args.scratch = scratch.data();
    args.out = toFloat ? nullptr : out.data();
    args.floatOut = toFloat ? out.as<float>() : nullptr;
    table.lowBitProduct(args);
    if (!packed.marginIntact()) fail("packed past the end", where);
    if (!scratch.marginIntact()) fail("wrote past the end of the scratch", where);
    if (!out.marginIntact()) fail("wrote past the end of the output", where);
  };
  Buffer expected(outBytes), actual(outBytes);
  run(scalarKernels(), expected);
  run(kernels, actual);
  compareBytes(expected.data(), actual.data(), outBytes, where);
}

}  // namespace lowbit::compare
