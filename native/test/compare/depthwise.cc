#include "families.h"
#include "stage.h"

namespace lowbit {
namespace compare {

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

  DepthwiseArgs args{};
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
  run(scalarKernels(), expected);
  run(kernels, actual);
  if (toFloat) return compareBytes(expected.data(), actual.data(), outBytes, where);
  for (int m = 0; m < outputs; ++m) {
    const size_t at = m * args.outStride;
    compareBytes(expected.data() + at, actual.data() + at, channels, where + text("pixel", m));
  }
}

}  // namespace compare
}  // namespace lowbit
