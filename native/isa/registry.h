// The instruction sets that this engine was built with.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace lowbit {

struct RegisteredSet {
  const char* name;
  int rank;
  bool supported;   // by this machine
  Kernels kernels;  // where supported
};

// By rank: the fastest last.
const std::vector<RegisteredSet>& instructionSets();

// The kernels of the set named, or of the fastest of this machine where the name is null or empty. Null where there
// are none: whyUnavailable says why.
const Kernels* selectKernels(const char* name);
std::string whyUnavailable(const char* name);

}  // namespace lowbit
