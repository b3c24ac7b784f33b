// Memory by pages, of zeros, straight from the operating system.
#pragma once
#include <cstddef>

namespace lowbit {

// nullptr where the system refuses.
void* mapPages(size_t bytes);
// `memory` and `bytes` as they were mapped or reserved.
void unmapPages(void* memory, size_t bytes);
// The system may hold it in huge pages, where it has them.
void allowHugePages(void* memory, size_t bytes);

// Addresses alone, nullptr where the system refuses. They can be used from commitPages to discardPages.
void* reservePages(size_t bytes);
bool commitPages(void* memory, size_t bytes);
void discardPages(void* memory, size_t bytes);

}  // namespace lowbit
