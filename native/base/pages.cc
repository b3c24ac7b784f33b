#include "pages.h"

#if defined(_WIN32)
#include <windows.h>

namespace lowbit {

void* mapPages(size_t bytes) { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
void unmapPages(void* memory, size_t) { VirtualFree(memory, 0, MEM_RELEASE); }
// Large pages of Windows are a privilege of the user.
void allowHugePages(void*, size_t) {}

void* reservePages(size_t bytes) { return VirtualAlloc(nullptr, bytes, MEM_RESERVE, PAGE_READWRITE); }
bool commitPages(void* memory, size_t bytes) { return VirtualAlloc(memory, bytes, MEM_COMMIT, PAGE_READWRITE); }
void discardPages(void* memory, size_t bytes) { VirtualFree(memory, bytes, MEM_DECOMMIT); }

}  // namespace lowbit

#else
#include <sys/mman.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace lowbit {
namespace {

void* map(size_t bytes, int flags) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

void* mapPages(size_t bytes) { return map(bytes, 0); }
void unmapPages(void* memory, size_t bytes) { ::munmap(memory, bytes); }

void allowHugePages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
  ::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

void* reservePages(size_t bytes) { return map(bytes, MAP_NORESERVE); }
bool commitPages(void*, size_t) { return true; }
void discardPages(void* memory, size_t bytes) { ::madvise(memory, bytes, MADV_DONTNEED); }

}  // namespace lowbit
#endif
