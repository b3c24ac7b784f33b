// A program as decoded from its words and checked: the C++ image of src/program/program.ts.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "../isa/kernels.h"
#include "../base/shape.h"

namespace lowbit {

enum class TensorType : int32_t { kFloat32 = 0, kInt8 = 1, kInt16 = 2, kInt32 = 3, kDynamicInt8 = 4 };

inline const char* typeName(TensorType type) {
  static constexpr const char* kNames[] = {"float32", "int8", "int16", "int32", "dynamic int8"};
  return kNames[static_cast<int>(type)];
}

// What has a scale and a zero point of its own in a tensor of dynamic int8 codes.
enum class Granularity : int32_t { kSample = 0, kRow = 1, kChannel = 2 };

struct Tensor {
  TensorType type = TensorType::kFloat32;
  float scale = 1;
  int32_t zeroPoint = 0;                           // unsigned code: the program's zero point + 128
  Granularity granularity = Granularity::kSample;  // of dynamic int8 codes, in the place of a zero point
  Shape declared;                                  // -1: known when planned
};

// Element bytes at the border of the program (int8 codes cross it as int32).
inline size_t elementBytes(TensorType type) { return type == TensorType::kInt8 ? 1 : 4; }

class Operator;

struct Step {
  std::vector<int> inputs;
  int output = 0;
  std::unique_ptr<Operator> op;
};

struct Program {
  std::vector<Tensor> tensors;
  std::vector<Step> steps;
  std::vector<int> inputs;
  std::vector<int> outputs;
  size_t packedBytes = 0;
};

// Decodes, checks everything that does not depend on the input shapes, and packs the weights.
Program decodeProgram(const int32_t* words, size_t wordCount, const uint8_t* weights, size_t weightBytes,
                      const Kernels& kernels);

}  // namespace lowbit
