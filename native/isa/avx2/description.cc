#include "../instruction-set.h"
#include "../x86/features.h"

namespace lowbit::avx2 {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"avx2", "scalar", 10, hasAvx2, setKernels};

}  // namespace lowbit::avx2
