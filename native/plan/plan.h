// A program laid out for concrete input shapes: all shapes, and one arena for everything between input and output.
#pragma once
#include <memory>
#include <vector>

#include "../ops/operator.h"
#include "decode.h"

namespace lowbit {

// Time of each step, summed over runs.
struct Profile {
  std::vector<double> nanoseconds;
  size_t runs = 0;
};

class Plan {
 public:
  // Throws LOWBIT_INVALID_SHAPE, LOWBIT_OUT_OF_MEMORY.
  Plan(const Program& program, std::vector<Shape> inputShapes);

  bool fits(const int32_t* shapeWords, size_t count) const;
  const std::vector<Shape>& shapes() const { return shapes_; }
  size_t bytes() const { return arena_.bytes() + scratch_.bytes(); }
  // The same if every intermediate tensor had memory of its own.
  size_t bytesWithoutReuse() const { return tensorBytes_ + scratch_.bytes(); }

  // `profile`: null, or where the time of each step is added.
  void run(const Program& program, const Kernels& kernels, const void* const* inputs, void* const* outputs,
           Profile* profile);

 private:
  // A step of the program as it runs: on its own, or with the step after it as the epilogue of its store.
  struct Action {
    size_t step;
    size_t epilogue;  // the same as `step`: none
    int output;       // of the epilogue, where there is one
  };

  std::vector<Shape> shapesOf(const std::vector<int>& ids) const;
  void planActions(const Program& program);
  void planMemory(const Program& program);
  // Throws unless the program may take so much memory beside an arena of these bytes.
  void checkMemory(const Program& program, uint64_t arena) const;

  std::vector<int32_t> inputWords_;
  std::vector<Shape> shapes_;  // by tensor
  PackedBytes arena_;
  size_t tensorBytes_ = 0;  // of all tensors in the arena
  size_t scratchPerThread_ = 0;
  PackedBytes scratch_;
  std::vector<View> views_;  // by tensor
  std::vector<Action> actions_;
  std::vector<View> arguments_;          // inputs of the step at hand
  std::vector<View> epilogueArguments_;  // inputs of its epilogue
};

// Decodes "rank, dims..." for `count` tensors.
std::vector<Shape> decodeShapes(const int32_t* words, size_t wordCount, size_t count);

}  // namespace lowbit
