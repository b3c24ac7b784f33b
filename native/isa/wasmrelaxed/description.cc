#include "../instruction-set.h"

namespace lowbit::wasmrelaxed {

void setKernels(Kernels& table);

// A host that lacks the instructions refuses the module.
extern const InstructionSet description;
const InstructionSet description = {"wasmrelaxed", "wasmsimd", 20, [] { return true; }, setKernels};

}  // namespace lowbit::wasmrelaxed
