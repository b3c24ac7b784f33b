#include <cstring>

#include "families.h"

namespace lowbit {
namespace compare {

void compareRouting(const Kernels& kernels, Random& random, const std::string& name) {
  using Limits = std::numeric_limits<float>;
  const int experts = std::max(2, random.size(random.chance(0.8) ? 160 : 1024)),
            tokens = random.between(1, random.chance(0.8) ? 4 : 150);
  const int padded = paddedExperts(experts), count = random.between(1, std::min(experts, 16));
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
    of.routing.keys(scores.data(), extras, experts, out.as<float>(), out.as<float>() + padded);
  });
  std::vector<float> keys(padded);
  float extremes[2];
  kernels.routing.keys(scores.data(), extras, experts, keys.data(), extremes);
  compareOutputs(kernels, count * sizeof(int32_t), name + " select" + where, [&](const Kernels& of, Buffer& out) {
    of.routing.select(keys.data(), padded, count, out.as<int32_t>());
  });

  // Ids, weights, the sum of ranges and the row that is refused.
  const size_t bytes = sizeof(double) + sizeof(int32_t) * (4 * tokens + 1);
  compareOutputs(kernels, bytes, name + " pairs" + where, [&](const Kernels& of, Buffer& out) {
    double ranges = 0;
    int32_t* ids = out.as<int32_t>() + 3;
    float* weights = reinterpret_cast<float*>(ids + 2 * tokens);
    const int bad =
        of.routing.pairs(scores.data(), extras, tokens, experts, 1.5f, ids, weights, hasRanges ? &ranges : nullptr);
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
                   of.routing.exponentials(out.as<float>(), exponents.size());
                 });
}

}  // namespace compare
}  // namespace lowbit
