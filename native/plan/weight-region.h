// Weights of a program that are read piece by piece while it is compiled, so that they never lie in memory as a whole.
#pragma once
#include <memory>

#include "../include/lowbit.h"
#include "../program/op-reader.h"

namespace lowbit {

class WeightRegion : public WeightLoader {
 public:
  // Throws LOWBIT_OUT_OF_MEMORY if there is not so much address space.
  WeightRegion(size_t bytes, lowbit_read_weights read, void* context);
  ~WeightRegion() override;
  WeightRegion(const WeightRegion&) = delete;
  WeightRegion& operator=(const WeightRegion&) = delete;

  WeightBlob blob() { return WeightBlob{nullptr, bytes_, this}; }

  const uint8_t* load(size_t offset, size_t bytes) override;
  void endStep() override;

 private:
  void read(size_t offset, size_t bytes, uint8_t* into);

  struct State;

  size_t bytes_;
  lowbit_read_weights read_;
  void* context_;
  std::unique_ptr<State> state_;
};

}  // namespace lowbit
