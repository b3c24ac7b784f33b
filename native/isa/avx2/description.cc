#include "../instruction-set.h"

namespace lowbit {
namespace avx2 {

void setKernels(Kernels& table);

static bool isSupported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }

extern const InstructionSet description;
const InstructionSet description = {"avx2", "scalar", 10, isSupported, setKernels};

}  // namespace avx2
}  // namespace lowbit
