// Randomised block-Hadamard rotations of rows: x' = H_b D x / sqrt(b) on every block of b elements.
//
// A row is cut into as many full blocks as fit and ever smaller powers of two (100 with blocks of 64: 64, 32, 4). D
// holds the signs: element i is negated where bit i % 32 of the word floor(i / 32) is set, and word j is the finalizer
// of MurmurHash3 of seed + 0x9e3779b9 * (j + 1) modulo 2^32. H_b is the Walsh-Hadamard matrix; as it is symmetric and
// H_b H_b = b, the inverse is D H_b / sqrt(b).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../isa/rows.h"
#include "../program/enums.h"

namespace lowbit {

inline bool isRotationBlock(int32_t block) {
  return block >= 2 && block <= kMaxRotationBlock && (block & (block - 1)) == 0;
}

// Bit i in element i. As a table, so that compilers take four or more signs at once from a word.
struct BitTable {
  uint32_t of[32] = {};
  constexpr BitTable() {
    for (int i = 0; i < 32; ++i) of[i] = 1u << i;
  }
};
inline constexpr BitTable kBits;

// The signs of the first `count` elements, as the kernels take them.
inline std::vector<uint32_t> rotationSigns(size_t count, uint32_t seed) {
  std::vector<uint32_t> signs(count);
  for (size_t first = 0; first < count; first += 32) {
    uint32_t word = seed + 0x9e3779b9u * static_cast<uint32_t>(first / 32 + 1);
    word = (word ^ word >> 16) * 0x85ebca6bu;
    word = (word ^ word >> 13) * 0xc2b2ae35u;
    word ^= word >> 16;
    const auto sign = [word](size_t i) { return (word & kBits.of[i]) != 0 ? 0x80000000u : 0u; };
    uint32_t* out = signs.data() + first;
    if (count - first >= 32) {
      for (size_t i = 0; i < 32; ++i) out[i] = sign(i);
    } else {
      for (size_t i = 0; i < count - first; ++i) out[i] = sign(i);
    }
  }
  return signs;
}

// Calls body(first element, elements) for the blocks of a row.
template <class Body>
void forRotationBlocks(size_t depth, size_t block, Body&& body) {
  for (size_t first = 0; first < depth; first += block) {
    while (block > depth - first) block /= 2;
    body(first, block);
  }
}

// float32(scale / sqrt(block))
inline float rotationMultiplier(double scale, size_t block) {
  return static_cast<float>(scale / std::sqrt(static_cast<double>(block)));
}

// Rotates rows in place, on all threads.
void rotateRows(const RowKernels& kernels, float* values, int64_t rows, int64_t depth, int32_t block, uint32_t seed,
                bool inverse);

}  // namespace lowbit
