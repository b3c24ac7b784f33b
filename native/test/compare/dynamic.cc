#include "families.h"

namespace lowbit {
namespace compare {

namespace {

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
    of.dynamic.extrema(values.data(), values.size(), extrema, extrema + 1);
  });
  const size_t bytes = 2 * sizeof(float) * channels;
  compareOutputs(kernels, bytes, name + " dynamic channelExtrema" + where, [&](const Kernels& of, Buffer& out) {
    float* extrema = out.as<float>();
    std::fill_n(extrema, 2 * channels, 0.0f);
    of.dynamic.channelExtrema(values.data(), rows, channels, extrema, extrema + channels);
  });
}

void compareDynamicCodes(const Kernels& kernels, Random& random, const std::string& name) {
  const int rows = random.chance(0.1) ? random.between(200, 600) : random.size(20), channels = random.size(70);
  const std::vector<float> values = drawDynamicFloats(random, static_cast<size_t>(rows) * channels);
  const std::string where = text("rows", rows) + text("channels", channels);
  const size_t pitch = pitchOf(channels), codeBytes = rows * pitch;
  const float most = random.pick({1e-3f, 9.0f, 300.0f, 3e38f});
  const DynamicRange range =
      dynamicRange(random.pick({0.0f, -1.0f}) * most, random.pick({0.0f, 1.0f}) * random.real(0, most));
  std::vector<float> inverse(channels), zero(channels);
  for (int c = 0; c < channels; ++c) {
    const DynamicRange own = dynamicRange(-random.real(0, most), random.real(0, most));
    inverse[c] = own.inverse;
    zero[c] = random.chance(0.5) ? own.zero : 127.5f;
  }
  // What `run` leaves: codes, then `floats` numbers.
  const auto compare = [&](const std::string& what, size_t floats, auto run) {
    const size_t at = (codeBytes + 63) / 64 * 64;
    Buffer expected(at + floats * sizeof(float)), actual(at + floats * sizeof(float));
    run(scalarKernels().dynamic, expected.data(), reinterpret_cast<float*>(expected.data() + at));
    run(kernels.dynamic, actual.data(), reinterpret_cast<float*>(actual.data() + at));
    const std::string there = name + " dynamic " + what + where;
    compareRowsOfCodes(expected.data(), actual.data(), rows, channels, there);
    compareBytes(expected.data() + at, actual.data() + at, floats * sizeof(float), there);
    if (!actual.marginIntact()) fail("wrote past the end of the output", there);
  };
  compare("quantize", 0, [&](const DynamicKernels& of, uint8_t* codes, float*) {
    of.quantize(values.data(), rows, channels, range, codes, pitch);
  });
  compare("quantizeChannels", 0, [&](const DynamicKernels& of, uint8_t* codes, float*) {
    of.quantizeChannels(values.data(), rows, channels, inverse.data(), zero.data(), codes, pitch);
  });
  compare("quantizeRows", 2 * rows, [&](const DynamicKernels& of, uint8_t* codes, float* floats) {
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
    of.dynamic.finish(out.as<float>(), rows, stride, count, scale.data(), shift.data(), step, bias.data(), sum.data(),
                      low, high);
  });
  compareOutputs(kernels, bytes, name + " dynamic finishChannels" + where, [&](const Kernels& of, Buffer& out) {
    std::copy(values.begin(), values.end(), out.as<float>());
    of.dynamic.finishChannels(out.as<float>(), rows, stride, count, scale.data(), shift.data(), bias.data(), sum.data(),
                              low, high);
  });
}

}  // namespace

void compareDynamic(const Kernels& kernels, Random& random, const std::string& name) {
  compareDynamicExtrema(kernels, random, name);
  compareDynamicCodes(kernels, random, name);
  compareDynamicFinish(kernels, random, name);
}

}  // namespace compare
}  // namespace lowbit
