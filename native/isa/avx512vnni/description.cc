#include "../instruction-set.h"

namespace lowbit {
namespace avx512vnni {

void setKernels(Kernels& table);

static bool isSupported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

extern const InstructionSet description;
const InstructionSet description = {"avx512vnni", "scalar", 30, isSupported, setKernels};

}  // namespace avx512vnni
}  // namespace lowbit
