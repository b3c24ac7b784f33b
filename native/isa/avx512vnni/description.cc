#include "../instruction-set.h"
#include "../x86/features.h"

namespace lowbit::avx512vnni {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"avx512vnni", "scalar", 30, hasAvx512Vnni, setKernels};

}  // namespace lowbit::avx512vnni
