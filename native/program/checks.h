// What the schema does not say of parameters: conditions on several of them at once.
#pragma once
#include "op-reader.h"

namespace lowbit {

inline void check(const OpReader& reader, const Window& window) {
  // A kernel of 0 x 0 is the whole image.
  if (window.kernelH == 0 && window.kernelW != 0) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: kernel width is %d, expected 0 to 0.", reader.label().c_str(), window.kernelW);
  }
  if (window.kernelH != 0 && window.kernelW == 0) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: kernel width is 0, expected 1 to %d.", reader.label().c_str(), kMaxWindow);
  }
  if (static_cast<int64_t>(window.kernelH) * window.kernelW > kMaxWindow) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: kernel %d x %d has more than %d taps.", reader.label().c_str(), window.kernelH,
         window.kernelW, kMaxWindow);
  }
}

inline void check(const OpReader& reader, const SliceRange& range) {
  if (range.size == 0) fail(LOWBIT_INVALID_PROGRAM, "%s: size is 0.", reader.label().c_str());
}

inline void check(const OpReader& reader, const ResizeSize& size) {
  if (size.alignCorners && size.halfPixelCenters) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: corners cannot be aligned where pixel centers are.", reader.label().c_str());
  }
}

inline void check(const OpReader& reader, const Rotation& rotation) {
  if ((rotation.block & (rotation.block - 1)) != 0) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: block is %d, expected a power of two.", reader.label().c_str(), rotation.block);
  }
}

constexpr uint32_t formatBit(WeightFormat format) { return 1u << static_cast<int32_t>(format); }

// `allowed`: the formats that an op takes, by their bits.
inline WeightFormat readWeightFormat(OpReader& reader, uint32_t allowed) {
  const int32_t format = reader.word();
  if (!isWeightFormat(format)) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: unknown weight format %d, expected %s.", reader.label().c_str(), format,
         kWeightFormatNumbers);
  }
  if ((allowed & formatBit(static_cast<WeightFormat>(format))) == 0) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: takes no weights of format %d; linear layers and 1x1 convolutions do.",
         reader.label().c_str(), format);
  }
  return static_cast<WeightFormat>(format);
}

}  // namespace lowbit
