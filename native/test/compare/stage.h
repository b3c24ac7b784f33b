#pragma once
#include "case.h"

namespace lowbit {
namespace compare {

// The constants of the output channels and the stage of a convolution.
struct Stage {
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
  std::vector<uint8_t> table;
  OutputStage stage{};

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

}  // namespace compare
}  // namespace lowbit
