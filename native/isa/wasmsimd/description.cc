#include "../instruction-set.h"

namespace lowbit::wasmsimd {

void setKernels(Kernels& table);

// A host that lacks the instructions refuses the module.
extern const InstructionSet description;
const InstructionSet description = {"wasmsimd", "scalar", 10, [] { return true; }, setKernels};

}  // namespace lowbit::wasmsimd
