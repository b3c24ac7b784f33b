#include "../instruction-set.h"

namespace lowbit::scalar {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"scalar", nullptr, 0, [] { return true; }, setKernels};

}  // namespace lowbit::scalar
