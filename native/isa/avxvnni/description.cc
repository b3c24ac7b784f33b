// VNNI on 256-bit vectors: Intel's client processors since the 12th generation, which have no AVX-512. Its product is
// that of the GEMM; depthwise convolutions and all other kernels are avx2's.
#include "../instruction-set.h"
#include "../x86/features.h"

namespace lowbit::avxvnni {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"avxvnni", "avx2", 20, hasAvxVnni, setKernels};

}  // namespace lowbit::avxvnni
