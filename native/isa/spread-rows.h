// Rows of codes that lie side by side, moved apart.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lowbit {

// To rows `pitch` bytes apart, which may take bytes of no value behind their channels. Three bytes behind the last row
// of `dense` are read. Static: a copy that was compiled for one instruction set must not serve another.
static inline void spreadRows(const uint8_t* dense, size_t rows, size_t channels, uint8_t* codes, size_t pitch) {
  if (pitch == 4) {  // whole words
    for (size_t r = 0; r < rows; ++r) std::memcpy(codes + 4 * r, dense + r * channels, 4);
  } else {
    for (size_t r = 0; r < rows; ++r) std::memcpy(codes + r * pitch, dense + r * channels, channels);
  }
}

}  // namespace lowbit
