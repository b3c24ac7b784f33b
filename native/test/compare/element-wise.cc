#include "families.h"

namespace lowbit {
namespace compare {

namespace {

void compareArithmetic(const Kernels& kernels, Random& random, const std::string& name) {
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

  AddArgs add{};
  add.zeroA = random.code();
  add.zeroB = random.code();
  add.multiplierA = random.multiplier(100);
  add.multiplierB = random.pick({1.0f, -1.0f}) * random.multiplier(100);
  add.table = table;
  drawRange(random, add);
  compareOutputs(kernels, count, name + " add" + where,
                 [&](const Kernels& of, Buffer& out) { of.add(first(out), b.data(), count, add, out.data()); });

  MulArgs mul{};
  mul.zeroA = random.code();
  mul.zeroB = random.code();
  mul.multiplier = random.multiplier(10000);
  mul.table = table;
  drawRange(random, mul);
  compareOutputs(kernels, count, name + " mul" + where,
                 [&](const Kernels& of, Buffer& out) { of.mul(first(out), b.data(), count, mul, out.data()); });

  RescaleArgs rescale{};
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

}  // namespace

void compareElementWise(const Kernels& kernels, Random& random, const std::string& name) {
  compareArithmetic(kernels, random, name);
  compareBorder(kernels, random, name);
}

}  // namespace compare
}  // namespace lowbit
