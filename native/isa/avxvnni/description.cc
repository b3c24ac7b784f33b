// VNNI on 256-bit vectors: Intel's client processors since the 12th generation, which have no AVX-512. Its product is
// that of the GEMM; depthwise convolutions and all other kernels are avx2's.
#include <cpuid.h>

#include "../instruction-set.h"

namespace lowbit {
namespace avxvnni {

void setKernels(Kernels& table);

// Bit 4 of EAX in subleaf 1 of leaf 7. That the operating system keeps AVX registers is a condition of avx2.
static bool isSupported() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}

extern const InstructionSet description;
const InstructionSet description = {"avxvnni", "avx2", 20, isSupported, setKernels};

}  // namespace avxvnni
}  // namespace lowbit
