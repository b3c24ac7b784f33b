// A tensor of a program.
#pragma once
#include "../base/shape.h"
#include "enums.h"

namespace lowbit {

struct Tensor {
  TensorType type = TensorType::kFloat32;
  float scale = 1;
  int32_t zeroPoint = 0;                           // unsigned code: the program's zero point + 128
  Granularity granularity = Granularity::kSample;  // of dynamic int8 codes
  Shape declared;                                  // -1: known when planned
};

// Element bytes at the border of the program (int8 codes cross it as int32).
inline size_t elementBytes(TensorType type) { return type == TensorType::kInt8 ? 1 : 4; }

}  // namespace lowbit
