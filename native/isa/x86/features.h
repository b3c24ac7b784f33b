// Features of the processor whose registers the operating system keeps. Asked of the processor itself: the compiler's
// __builtin_cpu_supports reads a table of its run-time library, and Zig's lacks some.
#pragma once
#include <cpuid.h>

#include <cstdint>

namespace lowbit {
namespace {

struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

inline Leaf leafOf(unsigned leaf, unsigned subleaf = 0) {
  Leaf found;
  if (!__get_cpuid_count(leaf, subleaf, &found.eax, &found.ebx, &found.ecx, &found.edx)) return {};
  return found;
}

inline bool hasAll(unsigned word, unsigned bits) { return (word & bits) == bits; }

// Whether the system keeps the parts of the register state of these bits of XCR0.
inline bool keeps(uint32_t state) {
  constexpr unsigned kOsxsave = 1u << 27;
  if (!hasAll(leafOf(1).ecx, kOsxsave)) return false;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return hasAll(low, state);
}

inline bool keepsVectors256() { return keeps(0x06); }

inline bool keepsVectors512() {
#if defined(__APPLE__)
  // macOS sets the bits when a thread first uses the registers.
  return keepsVectors256();
#else
  return keeps(0xe6);
#endif
}

inline bool hasAvx2() {
  constexpr unsigned kF16c = 1u << 29, kAvx = 1u << 28, kAvx2 = 1u << 5;
  return keepsVectors256() && hasAll(leafOf(1).ecx, kAvx | kF16c) && hasAll(leafOf(7).ebx, kAvx2);
}

// Beyond AVX2.
inline bool hasAvxVnni() { return hasAll(leafOf(7, 1).eax, 1u << 4); }

inline bool hasAvx512Vnni() {
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31, kVnni = 1u << 11;
  const Leaf leaf = leafOf(7);
  return keepsVectors512() && hasAll(leaf.ebx, kF | kDq | kBw | kVl) && hasAll(leaf.ecx, kVnni);
}

}  // namespace
}  // namespace lowbit
