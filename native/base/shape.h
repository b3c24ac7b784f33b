// Shapes of tensors and the layout of their rows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "ceil-div.h"
#include "error.h"

namespace lowbit {

constexpr int kMaxRank = 8;
// A tensor of any type fits the addresses of the machine.
constexpr int64_t kMaxElements = sizeof(size_t) == 4 ? INT32_MAX / 8 : INT32_MAX;

struct Shape {
  int rank = 0;
  int32_t dims[kMaxRank] = {};

  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i) {
      if (dims[i] != other.dims[i]) return false;
    }
    return true;
  }
  bool operator!=(const Shape& other) const { return !(*this == other); }

  int32_t channels() const { return rank == 0 ? 1 : dims[rank - 1]; }

  int64_t elements() const {
    int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= dims[i];
    return product;
  }

  // Entries of the first axis; a vector is one sample.
  int64_t samples() const { return rank < 2 ? 1 : dims[0]; }

  // All elements but those along the last axis.
  int64_t rows() const { return elements() / channels(); }

  std::string toString() const {
    std::string text = "[";
    for (int i = 0; i < rank; ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
    return text + "]";
  }
};

// Refuses empty dimensions and more elements than an int32 counts; `what` names the tensor.
inline void checkShape(const Shape& shape, const std::string& what) {
  int64_t product = 1;
  for (int i = 0; i < shape.rank; ++i) {
    if (shape.dims[i] < 1) {
      fail(LOWBIT_INVALID_SHAPE, "%s has shape %s: dimension %d is %d, expected at least 1.", what.c_str(),
           shape.toString().c_str(), i, shape.dims[i]);
    }
    product *= shape.dims[i];
    if (product > kMaxElements) {
      fail(LOWBIT_INVALID_SHAPE, "%s has shape %s: more than %lld elements; use a smaller batch.", what.c_str(),
           shape.toString().c_str(), static_cast<long long>(kMaxElements));
    }
  }
}

// Bytes from one row of codes to the next (see isa/kernels.h).
inline size_t rowPitch(int32_t channels) {
  const int unit = channels <= 4 ? 4 : 16;
  return static_cast<size_t>(ceilDiv(channels, unit)) * unit;
}

// The same of elements of so many bytes: those of more than one lie close together.
inline size_t rowBytes(const Shape& shape, size_t elementBytes) {
  return elementBytes == 1 ? rowPitch(shape.channels()) : elementBytes * static_cast<size_t>(shape.channels());
}

}  // namespace lowbit
