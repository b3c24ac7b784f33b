// The one place that knows which instruction sets exist.
#include <cstring>

#include "kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace lowbit {

#if !defined(__x86_64__)
const Kernels* avx2Kernels() { return nullptr; }
const Kernels* avx512vnniKernels() { return nullptr; }
#endif
#if !defined(__aarch64__)
const Kernels* neonKernels() { return nullptr; }
const Kernels* neondotKernels() { return nullptr; }
const Kernels* neoni8mmKernels() { return nullptr; }
#endif

namespace {

#if defined(__aarch64__) && defined(__linux__)
bool hasDotProduct() { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
bool hasMatrixProduct() { return getauxval(AT_HWCAP2) & HWCAP2_I8MM; }
#elif defined(__aarch64__) && defined(__APPLE__)
bool hasFeature(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool hasDotProduct() { return hasFeature("hw.optional.arm.FEAT_DotProd"); }
bool hasMatrixProduct() { return hasFeature("hw.optional.arm.FEAT_I8MM"); }
#elif defined(__aarch64__)
bool hasDotProduct() { return false; }
bool hasMatrixProduct() { return false; }
#endif

bool machineHas(const char* name) {
#if defined(__x86_64__)
  if (std::strcmp(name, "avx2") == 0) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  if (std::strcmp(name, "avx512vnni") == 0) {
#if defined(LOWBIT_EMULATED_AVX512)
    return true;
#endif
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  }
#elif defined(__aarch64__)
  if (std::strcmp(name, "neon") == 0) return true;
  if (std::strcmp(name, "neondot") == 0) return hasDotProduct();
  if (std::strcmp(name, "neoni8mm") == 0) return hasDotProduct() && hasMatrixProduct();
#endif
  return std::strcmp(name, "scalar") == 0;
}

struct Variant {
  const char* name;
  const Kernels* (*kernels)();
};

// Fastest first.
constexpr Variant kVariants[] = {
    {"avx512vnni", avx512vnniKernels}, {"avx2", avx2Kernels}, {"neoni8mm", neoni8mmKernels},
    {"neondot", neondotKernels},       {"neon", neonKernels}, {"scalar", scalarKernels},
};

}  // namespace

const Kernels* selectKernels(const char* override, const char** error) {
  const bool chosen = override != nullptr && *override != '\0';
  *error = "unknown instruction set; expected scalar, avx2, avx512vnni, neon, neondot or neoni8mm";
  for (const Variant& variant : kVariants) {
    if (chosen && std::strcmp(variant.name, override) != 0) continue;
    const Kernels* kernels = machineHas(variant.name) ? variant.kernels() : nullptr;
    if (kernels) return kernels;
    *error = "this machine does not have the instruction set";
  }
  return nullptr;
}

}  // namespace lowbit
