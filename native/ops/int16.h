// Tensors of int16 codes: rows of 2-byte codes as rows of bytes twice as long, and one scale a sample (an entry of the
// first axis) behind them. Zero is code 0; what fills a row up to its pitch is zeros, or nothing that weights multiply.
#pragma once
#include "operator.h"

namespace lowbit {

// The shape of the bytes.
inline Shape int16Bytes(const Shape& shape) {
  Shape bytes = shape;
  if (bytes.rank == 0) bytes.rank = 1, bytes.dims[0] = 1;
  bytes.dims[bytes.rank - 1] *= 2;
  return bytes;
}

inline size_t int16Pitch(const Shape& shape) { return rowPitch(2 * shape.channels()); }

inline size_t int16CodeBytes(const Shape& shape) {
  return alignUp(static_cast<size_t>(shape.rows()) * int16Pitch(shape));
}

inline size_t int16TensorBytes(const Shape& shape) {
  return int16CodeBytes(shape) + sizeof(float) * static_cast<size_t>(shape.samples());
}

inline float* int16Scales(const View& view) {
  return reinterpret_cast<float*>(view.data + int16CodeBytes(*view.shape));
}

}  // namespace lowbit
