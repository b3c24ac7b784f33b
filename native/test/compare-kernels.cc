// Compares every kernel of every instruction set of this machine with the scalar variant, bit for bit, on drawn cases.
//
//   compare-kernels [seed [cases]]
//
// Prints the seed and the variant that dispatch picks; exits with 1 at the first difference. Shapes lie around the
// widths of vectors and tiles, values are often extremes, rounding ties, infinities and NaN.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../isa/dynamic.h"
#include "../isa/int16.h"
#include "../isa/kernels.h"
#include "../isa/routing.h"
#include "../isa/rows.h"

namespace {

using lowbit::Kernels;

constexpr const char* kVariants[] = {"avx2", "avx512vnni", "neon", "neondot", "neoni8mm"};
constexpr size_t kOverRead = 64;
constexpr uint8_t kUntouched = 0xa5;

class Random {
 public:
  Random(uint64_t seed, int index) : engine_(seed * 1000003 + static_cast<uint64_t>(index)) {}

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(engine_); }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  template <class T>
  T pick(std::initializer_list<T> of) {
    return of.begin()[between(0, static_cast<int>(of.size()) - 1)];
  }

  // Small, or around a multiple of a vector's width.
  int size(int most) {
    const int near = 8 * between(1, std::max(1, most / 8)) + between(-1, 1);
    return std::clamp(chance(0.5) ? between(1, 9) : near, 1, most);
  }

  int32_t code() { return chance(0.5) ? between(0, 255) : pick({0, 1, 127, 128, 254, 255}); }

  std::vector<uint8_t> codes(size_t count) {
    std::vector<uint8_t> values(count);
    const int style = between(0, 2);
    for (uint8_t& value : values) {
      value = static_cast<uint8_t>(style == 0 ? between(0, 255) : style == 1 ? 255 * between(0, 1) : 0);
    }
    return values;
  }

  std::vector<int8_t> weights(size_t count) {
    std::vector<int8_t> values(count);
    const int style = between(0, 3);
    for (int8_t& value : values) {
      value = static_cast<int8_t>(style == 0   ? between(-127, 127)
                                  : style == 1 ? 254 * between(0, 1) - 127
                                  : style == 2 ? -127
                                               : between(-2, 2));
    }
    return values;
  }

  // Powers of 2 make ties when values are rounded.
  float multiplier(double sum) {
    if (chance(0.05)) return pick({1e-38f, 1e9f, 3e38f});
    if (chance(0.4)) return std::ldexp(1.0f, between(-6, 0));
    return real(0.1f, 300.0f) / static_cast<float>(sum + 1);
  }

 private:
  std::mt19937_64 engine_;
};

// Memory that the kernel finds filled, with 64-byte alignment and a margin behind it that nobody may write.
class Buffer {
 public:
  explicit Buffer(size_t size) : size_(size), bytes_(size + 2 * kMargin, kUntouched) {
    const size_t address = reinterpret_cast<size_t>(bytes_.data());
    offset_ = (kMargin - address % kMargin) % kMargin;
  }
  uint8_t* data() { return bytes_.data() + offset_; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }
  bool marginIntact() const {
    return std::all_of(bytes_.begin() + static_cast<ptrdiff_t>(offset_ + size_), bytes_.end(),
                       [](uint8_t byte) { return byte == kUntouched; });
  }

 private:
  static constexpr size_t kMargin = 64;
  size_t size_, offset_;
  std::vector<uint8_t> bytes_;
};

[[noreturn]] void fail(const char* what, const std::string& where) {
  std::printf("DIFFERENT: %s: %s\n", where.c_str(), what);
  std::exit(1);
}

template <class T>
std::string text(const char* name, T value) {
  return std::string(" ") + name + " " + std::to_string(value);
}

void compareBytes(const void* expected, const void* actual, size_t count, const std::string& where) {
  const uint8_t *a = static_cast<const uint8_t*>(expected), *b = static_cast<const uint8_t*>(actual);
  const size_t at = static_cast<size_t>(std::mismatch(a, a + count, b).first - a);
  if (at == count) return;
  const std::string what =
      text("byte", at) + text("is", static_cast<int>(b[at])) + text("instead of", static_cast<int>(a[at]));
  fail(what.c_str(), where);
}

// The constants of the output channels and the stage of a convolution.
struct Stage {
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
  std::vector<uint8_t> table;
  lowbit::OutputStage stage{};

  // `magnitudes`: by channel, the sum of the absolute weights.
  Stage(Random& random, const std::vector<int64_t>& magnitudes, bool toFloat) {
    stage.bounded = true;
    for (const int64_t magnitude : magnitudes) {
      const int64_t most = 255 * magnitude;
      const int room = static_cast<int>(std::numeric_limits<int32_t>::max() - most);
      bias.push_back(random.chance(0.1) ? random.pick({-room, room}) : random.between(-1000, 1000));
      multiplier.push_back(random.multiplier(static_cast<double>(most) / 8));
      const double reach = static_cast<double>(most) + std::abs(static_cast<double>(bias.back()));
      stage.bounded = stage.bounded && 2 * reach * static_cast<double>(multiplier.back()) < 2147483648.0;
    }
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
      for (int i = 0; i < 256; ++i) table.push_back(static_cast<uint8_t>(random.between(0, 255)));
      stage.table = table.data();
    }
  }
};

size_t pitchOf(int channels) { return channels <= 4 ? 4 : static_cast<size_t>(channels + 15) / 16 * 16; }

// Pixels of `channels` codes each, and pointers to some of them in any order.
struct Pixels {
  std::vector<uint8_t> codes;
  std::vector<const uint8_t*> pointers;

  Pixels(Random& random, int channels, size_t pointerCount) {
    const int count = random.between(1, 20);
    codes = random.codes(static_cast<size_t>(count) * pitchOf(channels) + kOverRead);
    for (size_t i = 0; i < pointerCount; ++i) {
      pointers.push_back(codes.data() + static_cast<size_t>(random.between(0, count - 1)) * pitchOf(channels));
    }
  }
};

void compareGemm(const Kernels& kernels, Random& random, const std::string& name) {
  const bool direct = random.chance(0.5), toFloat = random.chance(0.25);
  const int taps = direct ? 1 : random.pick({1, 2, 4, 9, 25});
  const int depth = random.size(taps > 1 ? 40 : 200), outputs = random.size(140), rows = random.size(40);
  const size_t perOutput = static_cast<size_t>(taps) * depth;
  const std::vector<int8_t> filter = random.weights(perOutput * outputs);
  std::vector<int64_t> magnitudes(outputs);
  for (size_t i = 0; i < filter.size(); ++i) magnitudes[i / perOutput] += std::abs(filter[i]);
  const Stage stage(random, magnitudes, toFloat);
  const std::string where = name + " gemm" + text("taps", taps) + text("depth", depth) + text("outputs", outputs) +
                            text("rows", rows) + text("direct", direct) + text("float", toFloat) +
                            text("table", stage.stage.table != nullptr) + text("bounded", stage.stage.bounded);

  const std::vector<uint8_t> dense = random.codes(rows * pitchOf(depth) + kOverRead);
  const Pixels pixels(random, depth, static_cast<size_t>(taps) * rows);
  lowbit::GemmArgs args{};
  args.rows = direct ? nullptr : pixels.pointers.data();
  args.base = dense.data();
  args.rowStride = pitchOf(depth);
  args.rowCount = rows;
  args.taps = taps;
  args.depth = depth;
  args.outputs = outputs;
  args.stage = &stage.stage;
  args.outStride = static_cast<size_t>(outputs + random.between(0, 3));

  const size_t outBytes = rows * args.outStride * (toFloat ? sizeof(float) : 1);
  const auto run = [&](const Kernels& table, Buffer& out) {
    Buffer packed(table.packedGemmBytes(outputs, taps, depth)), scratch(table.gemmScratchBytes(taps, depth));
    table.packGemm(filter.data(), outputs, taps, depth, {stage.bias.data(), stage.multiplier.data()}, packed.data());
    args.packed = packed.data();
    args.scratch = scratch.data();
    args.out = toFloat ? nullptr : out.data();
    args.floatOut = toFloat ? out.as<float>() : nullptr;
    table.gemm(args);
    if (!packed.marginIntact()) fail("packed past the end", where);
    if (!scratch.marginIntact()) fail("wrote past the end of the scratch", where);
    if (!out.marginIntact()) fail("wrote past the end of the output", where);
  };
  Buffer expected(outBytes), actual(outBytes);
  run(*lowbit::scalarKernels(), expected);
  run(kernels, actual);
  compareBytes(expected.data(), actual.data(), outBytes, where);
}

// A low-bit matrix with its memory, and what an op keeps beside it.
struct LowBitCase {
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<float> zero, bias;
  std::vector<uint8_t> table;
  lowbit::LowBitMatrix matrix{};
  lowbit::LowBitStage stage{};

  LowBitCase(Random& random, int rows, int depth, bool toFloat) {
    lowbit::LowBitFormat& format = matrix.format;
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
      scales.push_back(
          static_cast<uint16_t>(random.chance(0.1) ? random.pick({0, 1, 0x3ff, 0x400, 0x7bff}) : ordinary));
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
  static void drawLevels(Random& random, lowbit::LowBitFormat& format) {
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

void compareLowBitProduct(const Kernels& kernels, Random& random, const std::string& name) {
  const bool direct = random.chance(0.7), toFloat = random.chance(0.25);
  const int depth = random.size(700), outputs = random.size(70), rows = random.size(12);
  const LowBitCase drawn(random, outputs, depth, toFloat);
  const lowbit::LowBitFormat& format = drawn.matrix.format;
  const std::string where = name + " low-bit product" + text("depth", depth) + text("outputs", outputs) +
                            text("rows", rows) + text("bits", format.bits) + text("trellis", format.trellis) +
                            text("group", format.group) + text("direct", direct) + text("float", toFloat) +
                            text("table", drawn.stage.table != nullptr);

  const std::vector<uint8_t> dense = random.codes(rows * pitchOf(depth) + kOverRead);
  const Pixels pixels(random, depth, static_cast<size_t>(rows));
  lowbit::LowBitArgs args{};
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
  run(*lowbit::scalarKernels(), expected);
  run(kernels, actual);
  compareBytes(expected.data(), actual.data(), outBytes, where);
}

void compareDepthwise(const Kernels& kernels, Random& random, const std::string& name) {
  const int channels = random.size(140), kernelH = random.between(1, 7), kernelW = random.between(1, 7);
  const int stride = random.between(1, 3), dilation = random.between(1, 3), outputs = random.between(1, 11);
  const size_t perChannel = static_cast<size_t>(kernelH) * kernelW;
  const std::vector<int8_t> filter = random.weights(perChannel * channels);
  std::vector<int64_t> magnitudes(channels);
  for (size_t i = 0; i < filter.size(); ++i) magnitudes[i % channels] += std::abs(filter[i]);
  const bool toFloat = random.chance(0.25);
  const Stage stage(random, magnitudes, toFloat);
  const std::string where = name + " depthwise" + text("channels", channels) + text("kernel height", kernelH) +
                            text("width", kernelW) + text("stride", stride) + text("dilation", dilation) +
                            text("outputs", outputs) + text("float", toFloat) +
                            text("table", stage.stage.table != nullptr) + text("bounded", stage.stage.bounded);

  lowbit::DepthwiseArgs args{};
  args.columnCount = (outputs - 1) * stride + (kernelW - 1) * dilation + 1;
  const Pixels pixels(random, channels, static_cast<size_t>(kernelH) * args.columnCount);
  args.columns = pixels.pointers.data();
  args.kernelH = kernelH;
  args.kernelW = kernelW;
  args.stride = stride;
  args.dilation = dilation;
  args.outputs = outputs;
  args.channels = channels;
  args.stage = &stage.stage;
  args.outStride = toFloat ? channels + random.between(0, 3) : pitchOf(channels);

  const size_t elementBytes = toFloat ? sizeof(float) : 1, outBytes = outputs * args.outStride * elementBytes;
  const auto run = [&](const Kernels& table, Buffer& out) {
    Buffer packed(table.packedDepthwiseBytes(channels, kernelH, kernelW));
    Buffer scratch(table.depthwiseScratchBytes(args.columnCount, kernelH));
    table.packDepthwise(filter.data(), channels, kernelH, kernelW, {stage.bias.data(), stage.multiplier.data()},
                        packed.data());
    args.packed = packed.data();
    args.scratch = scratch.data();
    args.out = toFloat ? nullptr : out.data();
    args.floatOut = toFloat ? out.as<float>() : nullptr;
    table.depthwise(args);
    if (!packed.marginIntact()) fail("packed past the end", where);
    if (!scratch.marginIntact()) fail("wrote past the end of the scratch", where);
    if (!out.marginIntact()) fail("wrote past the end of the output", where);
  };
  Buffer expected(outBytes), actual(outBytes);
  run(*lowbit::scalarKernels(), expected);
  run(kernels, actual);
  if (toFloat) return compareBytes(expected.data(), actual.data(), outBytes, where);
  for (int m = 0; m < outputs; ++m) {
    const size_t at = m * args.outStride;
    compareBytes(expected.data() + at, actual.data() + at, channels, where + text("pixel", m));
  }
}

// Calls `run(table, out)` for the scalar table and for `kernels`, and compares what they leave in `out`.
template <class Run>
void compareOutputs(const Kernels& kernels, size_t bytes, const std::string& where, Run run) {
  Buffer expected(bytes), actual(bytes);
  run(*lowbit::scalarKernels(), expected);
  run(kernels, actual);
  compareBytes(expected.data(), actual.data(), bytes, where);
  if (!actual.marginIntact()) fail("wrote past the end of the output", where);
}

template <class Args>
void drawRange(Random& random, Args& args) {
  args.zeroPoint = random.code();
  const auto [low, high] = std::minmax({random.code(), random.code()});
  args.low = static_cast<float>(low - args.zeroPoint);
  args.high = static_cast<float>(high - args.zeroPoint);
}

void compareElementWise(const Kernels& kernels, Random& random, const std::string& name) {
  const size_t count = static_cast<size_t>(random.size(100));
  const std::vector<uint8_t> a = random.codes(count + kOverRead), b = random.codes(count + kOverRead);
  std::vector<uint8_t> entries(256);
  for (uint8_t& entry : entries) entry = static_cast<uint8_t>(random.between(0, 255));
  const uint8_t* table = random.chance(0.3) ? entries.data() : nullptr;
  const bool inPlace = random.chance(0.5);
  const std::string where = text("count", count) + text("in place", inPlace);
  // The first operand may be the output.
  const auto first = [&](Buffer& out) -> const uint8_t* {
    if (!inPlace) return a.data();
    std::copy_n(a.data(), count, out.data());
    return out.data();
  };

  lowbit::AddArgs add{};
  add.zeroA = random.code();
  add.zeroB = random.code();
  add.multiplierA = random.multiplier(100);
  add.multiplierB = random.pick({1.0f, -1.0f}) * random.multiplier(100);
  add.table = table;
  drawRange(random, add);
  compareOutputs(kernels, count, name + " add" + where,
                 [&](const Kernels& of, Buffer& out) { of.add(first(out), b.data(), count, add, out.data()); });

  lowbit::MulArgs mul{};
  mul.zeroA = random.code();
  mul.zeroB = random.code();
  mul.multiplier = random.multiplier(10000);
  mul.table = table;
  drawRange(random, mul);
  compareOutputs(kernels, count, name + " mul" + where,
                 [&](const Kernels& of, Buffer& out) { of.mul(first(out), b.data(), count, mul, out.data()); });

  lowbit::RescaleArgs rescale{};
  rescale.zeroIn = random.code();
  rescale.multiplier = random.multiplier(100);
  drawRange(random, rescale);
  compareOutputs(kernels, count, name + " rescale" + where,
                 [&](const Kernels& of, Buffer& out) { of.rescale(first(out), count, rescale, out.data()); });

  std::vector<float> slopes(count);
  for (float& slope : slopes) slope = random.pick({1.0f, -1.0f}) * random.multiplier(100);
  compareOutputs(kernels, count, name + " prelu" + where, [&](const Kernels& of, Buffer& out) {
    of.prelu(first(out), count, slopes.data(), rescale, out.data());
  });

  compareOutputs(kernels, count, name + " lookup" + where,
                 [&](const Kernels& of, Buffer& out) { of.lookup(first(out), count, entries.data(), out.data()); });
}

void compareBorder(const Kernels& kernels, Random& random, const std::string& name) {
  const size_t count = static_cast<size_t>(random.size(100));
  const float scale = random.chance(0.5) ? std::ldexp(1.0f, random.between(-8, 2)) : random.real(1e-6f, 2);
  const int32_t zeroPoint = random.code();
  const std::string where = text("count", count) + text("scale", scale) + text("zero point", zeroPoint);
  std::vector<float> values(count);
  for (float& value : values) {
    using Limits = std::numeric_limits<float>;
    value = random.chance(0.2) ? random.pick({0.0f, -0.0f, Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                                              Limits::signaling_NaN(), Limits::denorm_min(), Limits::max()})
                               : 0.5f * scale * static_cast<float>(random.between(-600, 600));
  }
  compareOutputs(kernels, count, name + " quantize" + where, [&](const Kernels& of, Buffer& out) {
    of.quantize(values.data(), count, scale, zeroPoint, out.data());
  });
  const std::vector<uint8_t> codes = random.codes(count + kOverRead);
  compareOutputs(kernels, count * sizeof(float), name + " dequantize" + where, [&](const Kernels& of, Buffer& out) {
    of.dequantize(codes.data(), count, scale, zeroPoint, out.as<float>());
  });
}

void comparePools(const Kernels& kernels, Random& random, const std::string& name) {
  const int channels = random.size(140), rowCount = random.between(1, 12);
  const Pixels pixels(random, channels, rowCount);
  const std::string where = text("channels", channels) + text("rows", rowCount);
  const auto [low, high] = std::minmax({random.code(), random.code()});
  const uint8_t least = static_cast<uint8_t>(low), greatest = static_cast<uint8_t>(high);
  compareOutputs(kernels, channels, name + " maxRows" + where, [&](const Kernels& of, Buffer& out) {
    of.maxRows(pixels.pointers.data(), rowCount, channels, least, greatest, out.data());
  });

  std::vector<int32_t> sums(channels);
  for (int32_t& sum : sums) sum = random.between(-100000, 100000);
  compareOutputs(kernels, channels * sizeof(int32_t), name + " sumRows" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(sums.begin(), sums.end(), out.as<int32_t>());
    of.sumRows(pixels.pointers.data(), rowCount, channels, out.as<int32_t>());
  });

  lowbit::RescaleArgs args{};
  args.multiplier = random.multiplier(100000);
  drawRange(random, args);
  const int32_t sumOfZeros = rowCount * random.code();
  compareOutputs(kernels, channels, name + " rescaleSums" + where, [&](const Kernels& of, Buffer& out) {
    of.rescaleSums(sums.data(), channels, sumOfZeros, args, out.data());
  });
}

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
    of.rows->rotate(out.as<float>(), size, signs.data(), multiplier, inverse);
  });
}

void compareRouting(const Kernels& kernels, Random& random, const std::string& name) {
  using Limits = std::numeric_limits<float>;
  const int experts = std::max(2, random.size(random.chance(0.8) ? 160 : 1024)),
            tokens = random.between(1, random.chance(0.8) ? 4 : 150);
  const int padded = lowbit::paddedExperts(experts), count = random.between(1, std::min(experts, 16));
  const bool coarse = random.chance(0.5), hasBonus = random.chance(0.5), hasRanges = random.chance(0.5);
  const std::string where = text("experts", experts) + text("tokens", tokens) + text("bonus", hasBonus);
  std::vector<float> scores(tokens * experts), bonus(padded);
  for (float& score : scores) {
    score = random.chance(0.1) ? random.pick({0.0f, -0.0f, Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                                              Limits::signaling_NaN(), Limits::max()})
            : coarse           ? 0.5f * static_cast<float>(random.between(-4, 4))
                               : random.real(-20, 20);
  }
  for (float& extra : bonus) extra = hasBonus && random.chance(0.5) ? random.pick({0.5f, 3.0f}) : 0;
  const float* extras = hasBonus ? bonus.data() : nullptr;

  compareOutputs(kernels, (padded + 2) * sizeof(float), name + " keys" + where, [&](const Kernels& of, Buffer& out) {
    of.routing->keys(scores.data(), extras, experts, out.as<float>(), out.as<float>() + padded);
  });
  std::vector<float> keys(padded);
  float extremes[2];
  kernels.routing->keys(scores.data(), extras, experts, keys.data(), extremes);
  compareOutputs(kernels, count * sizeof(int32_t), name + " select" + where, [&](const Kernels& of, Buffer& out) {
    of.routing->select(keys.data(), padded, count, out.as<int32_t>());
  });

  // Ids, weights, the sum of ranges and the row that is refused.
  const size_t bytes = sizeof(double) + sizeof(int32_t) * (4 * tokens + 1);
  compareOutputs(kernels, bytes, name + " pairs" + where, [&](const Kernels& of, Buffer& out) {
    double ranges = 0;
    int32_t* ids = out.as<int32_t>() + 3;
    float* weights = reinterpret_cast<float*>(ids + 2 * tokens);
    const int bad =
        of.routing->pairs(scores.data(), extras, tokens, experts, 1.5f, ids, weights, hasRanges ? &ranges : nullptr);
    if (bad >= 0)
      std::memset(ids, 0, 4 * tokens * sizeof(int32_t)), ranges = 0;  // what was written before does not count
    std::memcpy(out.data(), &ranges, sizeof ranges);
    out.as<int32_t>()[2] = bad;
  });

  std::vector<float> exponents(random.between(0, 40));
  for (float& x : exponents)
    x = random.chance(0.1) ? random.pick({0.0f, -0.0f, -87.0f, -Limits::infinity()}) : random.real(-90, 0);
  compareOutputs(kernels, exponents.size() * sizeof(float), name + " exponentials",
                 [&](const Kernels& of, Buffer& out) {
                   std::copy(exponents.begin(), exponents.end(), out.as<float>());
                   of.routing->exponentials(out.as<float>(), exponents.size());
                 });
}

void compareDecoding(const Kernels& kernels, Random& random, const std::string& name) {
  lowbit::LowBitMatrix matrix{};
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

  lowbit::Tile tile{};
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
      [&](const Kernels& of, Buffer& out) { of.rows->decode(matrix, tile, out.as<float>() + start, stride, stream); });
  const float scale = random.real(1e-3f, 20);
  const int32_t zeroPoint = random.code();
  compareOutputs(kernels, tile.rows * stride, name + " decodeCodes" + where, [&](const Kernels& of, Buffer& out) {
    of.rows->decodeCodes(matrix, tile, scale, zeroPoint, out.data(), stride);
  });
}

std::vector<float> drawFloats(Random& random, size_t count, float most) {
  std::vector<float> values(count);
  for (float& value : values) value = random.real(-most, most);
  return values;
}

void compareProducts(const Kernels& kernels, Random& random, const std::string& name) {
  const int rows = random.between(1, 9);
  const size_t count = static_cast<size_t>(random.size(200)), stride = count + random.between(0, 9);
  const std::vector<float> x = drawFloats(random, count, 9), values = drawFloats(random, rows * stride, 9);
  const std::vector<float> sums = drawFloats(random, rows * lowbit::kSums, 9);
  const std::string where = text("rows", rows) + text("count", count);
  compareOutputs(kernels, sums.size() * sizeof(float), name + " multiply" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(sums.begin(), sums.end(), out.as<float>());
    of.rows->multiply(x.data(), count, values.data(), stride, rows, out.as<float>());
  });
}

// int16 in [-most, most], the ends now and then.
std::vector<int16_t> drawInt16(Random& random, size_t count, int most) {
  std::vector<int16_t> values(count);
  for (int16_t& value : values) {
    value = static_cast<int16_t>(random.chance(0.2) ? random.pick({-most, most}) : random.between(-most, most));
  }
  return values;
}

void compareInt16Gemm(const Kernels& kernels, Random& random, const std::string& name) {
  lowbit::Int16GemmArgs args{};
  args.taps = random.chance(0.5) ? 1 : random.between(2, 9);
  args.pairs = random.between(1, 20);
  args.rowCount = random.between(1, 20);
  args.outputs = random.size(70);
  const size_t panels = (args.outputs + lowbit::kInt16Panel - 1) / lowbit::kInt16Panel;
  const size_t perOutput = 2 * static_cast<size_t>(args.taps) * args.pairs;
  const size_t stride = 2 * static_cast<size_t>(args.pairs) + random.between(0, 3);
  const std::vector<int16_t> codes = drawInt16(random, stride * args.taps * args.rowCount + kOverRead, 32767);
  const std::vector<int16_t> packed = drawInt16(random, panels * lowbit::kInt16Panel * perOutput,
                                                static_cast<int>(std::min<size_t>(32767, 65536 / perOutput)));
  const std::vector<float> multiplier = drawFloats(random, panels * lowbit::kInt16Panel, 1e-3f);
  const std::vector<float> bias = drawFloats(random, panels * lowbit::kInt16Panel, 9);
  std::vector<const int16_t*> rows;
  for (int i = 0; i < args.taps * args.rowCount; ++i) {
    rows.push_back(codes.data() + stride * random.between(0, args.taps * args.rowCount - 1));
  }
  if (args.taps > 1 || random.chance(0.5)) args.rows = rows.data();
  args.base = codes.data();
  args.rowStride = stride;
  args.packed = packed.data();
  args.multiplier = multiplier.data();
  args.bias = bias.data();
  args.low = random.pick({-std::numeric_limits<float>::infinity(), 0.0f, -9.0f});
  args.high = random.pick({std::numeric_limits<float>::infinity(), 6.0f});
  const std::string where = text("taps", args.taps) + text("pairs", args.pairs) + text("outputs", args.outputs);
  const size_t bytes = sizeof(float) * args.rowCount * args.outputs;
  compareOutputs(kernels, bytes, name + " int16 gemm" + where, [&](const Kernels& of, Buffer& out) {
    lowbit::Int16GemmArgs call = args;
    call.out = out.as<float>();
    of.int16->gemm(call);
  });
}

void compareInt16Depthwise(const Kernels& kernels, Random& random, const std::string& name) {
  lowbit::Int16DepthwiseArgs args{};
  args.taps = random.between(1, 10);
  args.channels = random.size(70);
  args.pixelCount = random.between(1, 12);
  const size_t padded =
      static_cast<size_t>((args.channels + lowbit::kInt16Block - 1) / lowbit::kInt16Block * lowbit::kInt16Block);
  const std::vector<int16_t> codes = drawInt16(random, padded * 8 + kOverRead, 32767);
  std::vector<int16_t> packed(lowbit::int16DepthwiseElements(args.taps, args.channels));
  const std::vector<int16_t> weights = drawInt16(random, packed.size(), std::min(32767, 65536 / args.taps));
  for (int t = 0; t < args.taps; ++t) {
    for (int c = 0; c < args.channels; ++c) {
      packed[lowbit::int16DepthwiseIndex(t, c, args.channels)] = weights[static_cast<size_t>(t) * args.channels + c];
    }
  }
  const std::vector<float> multiplier = drawFloats(random, padded, 1e-3f), bias = drawFloats(random, padded, 9);
  std::vector<const int16_t*> pixels;
  for (int i = 0; i < args.taps * args.pixelCount; ++i) pixels.push_back(codes.data() + padded * random.between(0, 7));
  args.pixels = pixels.data();
  args.packed = packed.data();
  args.multiplier = multiplier.data();
  args.bias = bias.data();
  args.low = -9;
  args.high = std::numeric_limits<float>::infinity();
  const std::string where = text("taps", args.taps) + text("channels", args.channels);
  const size_t bytes = sizeof(float) * args.pixelCount * args.channels;
  compareOutputs(kernels, bytes, name + " int16 depthwise" + where, [&](const Kernels& of, Buffer& out) {
    lowbit::Int16DepthwiseArgs call = args;
    call.out = out.as<float>();
    of.int16->depthwise(call);
  });
}

void compareInt16Conversion(const Kernels& kernels, Random& random, const std::string& name) {
  const size_t count = static_cast<size_t>(random.size(70));
  std::vector<float> values = drawFloats(random, count, 300);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (float& value : values) {
    if (random.chance(0.1)) value = random.pick({0.0f, -0.0f, 0.5f, kInfinity, -kInfinity, std::nanf("")});
  }
  const float inverse = random.pick({1.0f, 109.3f, 32767.0f});
  const std::string where = text("count", count);
  compareOutputs(
      kernels, count * sizeof(int16_t), name + " int16 quantize" + where,
      [&](const Kernels& of, Buffer& out) { of.int16->quantize(values.data(), count, inverse, out.as<int16_t>()); });
  compareOutputs(kernels, sizeof(float), name + " int16 largest" + where,
                 [&](const Kernels& of, Buffer& out) { *out.as<float>() = of.int16->largest(values.data(), count); });
}

// One sign, both, all zero, of any magnitude, NaN and infinities among them.
std::vector<float> drawDynamicFloats(Random& random, size_t count) {
  using Limits = std::numeric_limits<float>;
  const float magnitude = random.pick({1e-38f, 1e-30f, 1e-3f, 9.0f, 3e38f});
  const float low = random.pick({-magnitude, -magnitude, 0.0f}), high = random.pick({magnitude, magnitude, 0.0f});
  const bool odd = random.chance(0.3);
  std::vector<float> values(count);
  for (float& value : values) {
    value = odd && random.chance(0.1)
                ? random.pick({0.0f, -0.0f, Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                               Limits::signaling_NaN(), Limits::denorm_min(), Limits::max(), -Limits::max()})
                : random.real(0, 1) * (random.chance(0.5) ? low : high);
  }
  return values;
}

// Only the codes of channels count: bytes behind them up to the pitch may be anything.
void compareRowsOfCodes(const uint8_t* expected, const uint8_t* actual, int rows, int channels,
                        const std::string& where) {
  for (int r = 0; r < rows; ++r) {
    const size_t at = r * pitchOf(channels);
    compareBytes(expected + at, actual + at, channels, where + text("row", r));
  }
}

void compareDynamicExtrema(const Kernels& kernels, Random& random, const std::string& name) {
  const int rows = random.size(40), channels = random.size(70);
  const std::vector<float> values = drawDynamicFloats(random, static_cast<size_t>(rows) * channels);
  const std::string where = text("rows", rows) + text("channels", channels);
  compareOutputs(kernels, 2 * sizeof(float), name + " dynamic extrema" + where, [&](const Kernels& of, Buffer& out) {
    float* extrema = out.as<float>();
    extrema[0] = extrema[1] = 0;
    of.dynamic->extrema(values.data(), values.size(), extrema, extrema + 1);
  });
  const size_t bytes = 2 * sizeof(float) * channels;
  compareOutputs(kernels, bytes, name + " dynamic channelExtrema" + where, [&](const Kernels& of, Buffer& out) {
    float* extrema = out.as<float>();
    std::fill_n(extrema, 2 * channels, 0.0f);
    of.dynamic->channelExtrema(values.data(), rows, channels, extrema, extrema + channels);
  });
}

void compareDynamicCodes(const Kernels& kernels, Random& random, const std::string& name) {
  const int rows = random.chance(0.1) ? random.between(200, 600) : random.size(20), channels = random.size(70);
  const std::vector<float> values = drawDynamicFloats(random, static_cast<size_t>(rows) * channels);
  const std::string where = text("rows", rows) + text("channels", channels);
  const size_t pitch = pitchOf(channels), codeBytes = rows * pitch;
  const float most = random.pick({1e-3f, 9.0f, 300.0f, 3e38f});
  const lowbit::DynamicRange range =
      lowbit::dynamicRange(random.pick({0.0f, -1.0f}) * most, random.pick({0.0f, 1.0f}) * random.real(0, most));
  std::vector<float> inverse(channels), zero(channels);
  for (int c = 0; c < channels; ++c) {
    const lowbit::DynamicRange own = lowbit::dynamicRange(-random.real(0, most), random.real(0, most));
    inverse[c] = own.inverse;
    zero[c] = random.chance(0.5) ? own.zero : 127.5f;
  }
  // What `run` leaves: codes, then `floats` numbers.
  const auto compare = [&](const std::string& what, size_t floats, auto run) {
    const size_t at = (codeBytes + 63) / 64 * 64;
    Buffer expected(at + floats * sizeof(float)), actual(at + floats * sizeof(float));
    for (Buffer* out : {&expected, &actual}) {
      run(*(out == &expected ? lowbit::scalarKernels() : &kernels)->dynamic, out->data(),
          reinterpret_cast<float*>(out->data() + at));
    }
    const std::string there = name + " dynamic " + what + where;
    compareRowsOfCodes(expected.data(), actual.data(), rows, channels, there);
    compareBytes(expected.data() + at, actual.data() + at, floats * sizeof(float), there);
    if (!actual.marginIntact()) fail("wrote past the end of the output", there);
  };
  compare("quantize", 0, [&](const lowbit::DynamicKernels& of, uint8_t* codes, float*) {
    of.quantize(values.data(), rows, channels, range, codes, pitch);
  });
  compare("quantizeChannels", 0, [&](const lowbit::DynamicKernels& of, uint8_t* codes, float*) {
    of.quantizeChannels(values.data(), rows, channels, inverse.data(), zero.data(), codes, pitch);
  });
  compare("quantizeRows", 2 * rows, [&](const lowbit::DynamicKernels& of, uint8_t* codes, float* floats) {
    of.quantizeRows(values.data(), rows, channels, codes, pitch, floats, floats + rows);
  });
}

void compareDynamicFinish(const Kernels& kernels, Random& random, const std::string& name) {
  const int rows = random.size(20), count = random.size(140);
  const size_t stride = static_cast<size_t>(count + random.between(0, 3)), step = random.pick({0, 1});
  const std::vector<float> values = drawDynamicFloats(random, rows * stride);
  const int scales = std::max(rows, count);
  const std::vector<float> scale = drawFloats(random, scales, 2), shift = drawFloats(random, scales, 300);
  const std::vector<float> bias = drawFloats(random, count, 9), sum = drawFloats(random, count, 30);
  const float low = random.pick({-std::numeric_limits<float>::infinity(), 0.0f, -0.0f, -9.0f});
  const float high = random.pick({std::numeric_limits<float>::infinity(), 6.0f, 0.0f});
  const std::string where = text("rows", rows) + text("count", count) + text("step", step);
  const size_t bytes = values.size() * sizeof(float);
  compareOutputs(kernels, bytes, name + " dynamic finish" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(values.begin(), values.end(), out.as<float>());
    of.dynamic->finish(out.as<float>(), rows, stride, count, scale.data(), shift.data(), step, bias.data(), sum.data(),
                       low, high);
  });
  compareOutputs(kernels, bytes, name + " dynamic finishChannels" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(values.begin(), values.end(), out.as<float>());
    of.dynamic->finishChannels(out.as<float>(), rows, stride, count, scale.data(), shift.data(), bias.data(),
                               sum.data(), low, high);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : std::random_device()();
  const int cases = argc > 2 ? std::atoi(argv[2]) : 300;
  const char* error = nullptr;
  const Kernels* chosen = lowbit::selectKernels(nullptr, &error);
  std::printf("seed %llu\ndispatch picks %s\n", static_cast<unsigned long long>(seed), chosen->name);
  for (const char* name : kVariants) {
    const Kernels* kernels = lowbit::selectKernels(name, &error);
    if (!kernels) continue;
    for (int i = 0; i < cases; ++i) {
      Random random(seed, i);
      const std::string where = std::string(name) + text("case", i) + ":";
      compareGemm(*kernels, random, where);
      compareLowBitProduct(*kernels, random, where);
      compareDepthwise(*kernels, random, where);
      compareElementWise(*kernels, random, where);
      compareInt16Gemm(*kernels, random, where);
      compareInt16Depthwise(*kernels, random, where);
      compareInt16Conversion(*kernels, random, where);
      compareDynamicExtrema(*kernels, random, where);
      compareDynamicCodes(*kernels, random, where);
      compareDynamicFinish(*kernels, random, where);
      compareBorder(*kernels, random, where);
      comparePools(*kernels, random, where);
      compareRotation(*kernels, random, where);
      compareRouting(*kernels, random, where);
      compareDecoding(*kernels, random, where);
      compareProducts(*kernels, random, where);
    }
    std::printf("%s equals scalar in %d cases of every kernel\n", name, cases);
  }
  return 0;
}
