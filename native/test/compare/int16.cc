#include "families.h"

namespace lowbit {
namespace compare {

namespace {

// int16 in [-most, most], the ends now and then.
std::vector<int16_t> drawInt16(Random& random, size_t count, int most) {
  std::vector<int16_t> values(count);
  for (int16_t& value : values) {
    value = static_cast<int16_t>(random.chance(0.2) ? random.pick({-most, most}) : random.between(-most, most));
  }
  return values;
}

void compareInt16Gemm(const Kernels& kernels, Random& random, const std::string& name) {
  Int16GemmArgs args{};
  args.taps = random.chance(0.5) ? 1 : random.between(2, 9);
  args.pairs = random.between(1, 20);
  args.rowCount = random.between(1, 20);
  args.outputs = random.size(70);
  const size_t panels = (args.outputs + kInt16Panel - 1) / kInt16Panel;
  const size_t perOutput = 2 * static_cast<size_t>(args.taps) * args.pairs;
  const size_t stride = 2 * static_cast<size_t>(args.pairs) + random.between(0, 3);
  const std::vector<int16_t> codes = drawInt16(random, stride * args.taps * args.rowCount + kOverRead, 32767);
  const std::vector<int16_t> packed =
      drawInt16(random, panels * kInt16Panel * perOutput, static_cast<int>(std::min<size_t>(32767, 65536 / perOutput)));
  const std::vector<float> multiplier = drawFloats(random, panels * kInt16Panel, 1e-3f);
  const std::vector<float> bias = drawFloats(random, panels * kInt16Panel, 9);
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
    Int16GemmArgs call = args;
    call.out = out.as<float>();
    of.int16.gemm(call);
  });
}

void compareInt16Depthwise(const Kernels& kernels, Random& random, const std::string& name) {
  Int16DepthwiseArgs args{};
  args.taps = random.between(1, 10);
  args.channels = random.size(70);
  args.pixelCount = random.between(1, 12);
  const size_t padded = static_cast<size_t>((args.channels + kInt16Block - 1) / kInt16Block * kInt16Block);
  const std::vector<int16_t> codes = drawInt16(random, padded * 8 + kOverRead, 32767);
  std::vector<int16_t> packed(int16DepthwiseElements(args.taps, args.channels));
  const std::vector<int16_t> weights = drawInt16(random, packed.size(), std::min(32767, 65536 / args.taps));
  for (int t = 0; t < args.taps; ++t) {
    for (int c = 0; c < args.channels; ++c) {
      packed[int16DepthwiseIndex(t, c, args.channels)] = weights[static_cast<size_t>(t) * args.channels + c];
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
    Int16DepthwiseArgs call = args;
    call.out = out.as<float>();
    of.int16.depthwise(call);
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
      [&](const Kernels& of, Buffer& out) { of.int16.quantize(values.data(), count, inverse, out.as<int16_t>()); });
  compareOutputs(kernels, sizeof(float), name + " int16 largest" + where,
                 [&](const Kernels& of, Buffer& out) { *out.as<float>() = of.int16.largest(values.data(), count); });
}

}  // namespace

void compareInt16(const Kernels& kernels, Random& random, const std::string& name) {
  compareInt16Gemm(kernels, random, name);
  compareInt16Depthwise(kernels, random, name);
  compareInt16Conversion(kernels, random, name);
}

}  // namespace compare
}  // namespace lowbit
