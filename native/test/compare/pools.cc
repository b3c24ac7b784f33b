#include "families.h"

namespace lowbit {
namespace compare {

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

  RescaleArgs args{};
  args.multiplier = random.multiplier(100000);
  drawRange(random, args);
  const int32_t sumOfZeros = rowCount * random.code();
  compareOutputs(kernels, channels, name + " rescaleSums" + where, [&](const Kernels& of, Buffer& out) {
    of.rescaleSums(sums.data(), channels, sumOfZeros, args, out.data());
  });
}

}  // namespace compare
}  // namespace lowbit
