// The one place that knows which instruction sets exist.
#include <cstring>

#include "kernels.h"

namespace lowbit {

#if !defined(__x86_64__)
const Kernels* avx2Kernels() { return nullptr; }
const Kernels* avx512vnniKernels() { return nullptr; }
#endif

namespace {

bool machineHas(const char* name) {
#if defined(__x86_64__)
  if (std::strcmp(name, "avx2") == 0) return __builtin_cpu_supports("avx2");
  if (std::strcmp(name, "avx512vnni") == 0) {
#if defined(LOWBIT_EMULATED_AVX512)
    return true;
#endif
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  }
#endif
  return std::strcmp(name, "scalar") == 0;
}

struct Variant {
  const char* name;
  const Kernels* (*kernels)();
};

// Fastest first.
constexpr Variant kVariants[] = {
    {"avx512vnni", avx512vnniKernels},
    {"avx2", avx2Kernels},
    {"scalar", scalarKernels},
};

}  // namespace

const Kernels* selectKernels(const char* override, const char** error) {
  const bool chosen = override != nullptr && *override != '\0';
  *error = "unknown instruction set; expected scalar, avx2 or avx512vnni";
  for (const Variant& variant : kVariants) {
    if (chosen && std::strcmp(variant.name, override) != 0) continue;
    const Kernels* kernels = machineHas(variant.name) ? variant.kernels() : nullptr;
    if (kernels) return kernels;
    *error = "this machine does not have the instruction set";
  }
  return nullptr;
}

}  // namespace lowbit
