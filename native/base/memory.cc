#include "memory.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace lowbit {
namespace {

constexpr uint64_t kUnknown = uint64_t{4} << 30;

uint64_t machineMemory() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
  const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && bytes > 0) return static_cast<uint64_t>(pages) * static_cast<uint64_t>(bytes);
#elif defined(_WIN32)
  MEMORYSTATUSEX status;
  status.dwLength = sizeof status;
  if (GlobalMemoryStatusEx(&status)) return status.ullTotalPhys;
#endif
  return kUnknown;
}

// The limit of a control group, of version 2 or 1; without one, no less than any machine has.
uint64_t groupMemory() {
  uint64_t least = UINT64_MAX;
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::FILE* file = std::fopen(path, "r");
    if (!file) continue;
    unsigned long long bytes = 0;
    if (std::fscanf(file, "%llu", &bytes) == 1 && bytes > 0) least = std::min<uint64_t>(least, bytes);
    std::fclose(file);
  }
  return least;
}

std::atomic<size_t>& limit() {
  static std::atomic<size_t> bytes{
      static_cast<size_t>(std::min<uint64_t>(std::min(machineMemory(), groupMemory()) / 2, SIZE_MAX))};
  return bytes;
}

}  // namespace

size_t maxMemory() { return limit(); }

void setMaxMemory(size_t bytes) { limit() = bytes; }

}  // namespace lowbit
