// Weights of a program that are read piece by piece while it is compiled, so that they never lie in memory as a whole.
#pragma once
#include <vector>

#include "../include/lowbit.h"
#include "../program/op-reader.h"

namespace lowbit {

// As many bytes of address space as there are weights. What an op asks for is read into its place, and given back to
// the system once ops have read some megabytes.
class WeightRegion : public WeightLoader {
 public:
  // Throws LOWBIT_OUT_OF_MEMORY if there is not so much address space.
  WeightRegion(size_t bytes, lowbit_read_weights read, void* context);
  ~WeightRegion() override;
  WeightRegion(const WeightRegion&) = delete;
  WeightRegion& operator=(const WeightRegion&) = delete;

  WeightBlob blob() { return WeightBlob{data_, bytes_, this}; }

  void load(size_t offset, size_t bytes) override;
  void endStep() override;

 private:
  uint8_t* data_;
  size_t bytes_;
  lowbit_read_weights read_;
  void* context_;
  std::vector<bool> present_;  // by block
  size_t held_ = 0;            // bytes of blocks that are present
};

}  // namespace lowbit
