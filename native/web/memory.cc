// The limit of base/memory.h where nothing tells how much memory the machine has: half of all addresses.
#include "../base/memory.h"

#include <cstdint>

namespace lowbit {
namespace {

size_t limit = SIZE_MAX / 2;

}  // namespace

size_t maxMemory() { return limit; }

void setMaxMemory(size_t bytes) { limit = bytes; }

}  // namespace lowbit
