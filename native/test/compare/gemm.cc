#include "families.h"
#include "stage.h"

namespace lowbit {
namespace compare {

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
  GemmArgs args{};
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
  run(scalarKernels(), expected);
  run(kernels, actual);
  compareBytes(expected.data(), actual.data(), outBytes, where);
}

}  // namespace compare
}  // namespace lowbit
