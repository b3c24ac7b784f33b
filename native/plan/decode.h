// A program as decoded from its words and checked: the C++ image of src/program/program.ts.
#pragma once
#include <memory>
#include <vector>

#include "../isa/kernels.h"
#include "../ops/operator.h"
#include "../program/op-reader.h"
#include "../program/tensor.h"

namespace lowbit {

struct Step {
  std::vector<int> inputs;
  int output = 0;
  std::unique_ptr<Operator> op;
};

struct Program {
  SharedPackings packings;  // outlives the steps, which point into it
  std::vector<Tensor> tensors;
  std::vector<Step> steps;
  std::vector<int> inputs;
  std::vector<int> outputs;
  size_t packedBytes = 0;
};

// Decodes, checks everything that does not depend on the input shapes, and packs the weights.
Program decodeProgram(const int32_t* words, size_t wordCount, const WeightBlob& weights, const Kernels& kernels);

}  // namespace lowbit
