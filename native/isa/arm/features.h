// Features of the processor, as the operating system reports them.
#pragma once
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace lowbit {
namespace {

#if defined(__linux__)
inline bool hasDotProduct() { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
inline bool hasMatrixProduct() { return getauxval(AT_HWCAP2) & HWCAP2_I8MM; }
#elif defined(__APPLE__)
inline bool hasFeature(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
inline bool hasDotProduct() { return hasFeature("hw.optional.arm.FEAT_DotProd"); }
inline bool hasMatrixProduct() { return hasFeature("hw.optional.arm.FEAT_I8MM"); }
#elif defined(_WIN32)
inline bool hasDotProduct() { return IsProcessorFeaturePresent(PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE); }
inline bool hasMatrixProduct() { return IsProcessorFeaturePresent(PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE); }
#else
inline bool hasDotProduct() { return false; }
inline bool hasMatrixProduct() { return false; }
#endif

}  // namespace
}  // namespace lowbit
