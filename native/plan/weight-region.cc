#include "weight-region.h"

#include <sys/mman.h>

#include <algorithm>

#include "../base/ceil-div.h"
#include "../base/error.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace lowbit {
namespace {

constexpr size_t kBlock = size_t{64} << 10;
// Ops with few weights share blocks: these are not given back after each.
constexpr size_t kKept = size_t{2} << 20;

}  // namespace

WeightRegion::WeightRegion(size_t bytes, lowbit_read_weights read, void* context)
    : bytes_(bytes), read_(read), context_(context), present_(static_cast<size_t>(ceilDiv(bytes, kBlock))) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* memory = mmap(nullptr, std::max<size_t>(bytes, 1), PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) fail(LOWBIT_OUT_OF_MEMORY, "No address space for %zu bytes of weights.", bytes);
  data_ = static_cast<uint8_t*>(memory);
}

WeightRegion::~WeightRegion() { munmap(data_, std::max<size_t>(bytes_, 1)); }

void WeightRegion::load(size_t offset, size_t bytes) {
  if (bytes == 0) return;
  const size_t end = (offset + bytes - 1) / kBlock + 1;
  for (size_t block = offset / kBlock; block < end; ++block) {
    if (present_[block]) continue;
    // The missing blocks in a row are read at once.
    size_t last = block;
    while (last < end && !present_[last]) present_[last++] = true;
    const size_t first = block * kBlock, size = std::min(bytes_, last * kBlock) - first;
    if (read_(context_, first, size, data_ + first) != 0) {
      fail(LOWBIT_INVALID_ARGUMENT, "%zu bytes of weights at %zu could not be read.", size, first);
    }
    held_ += size;
    block = last - 1;
  }
}

void WeightRegion::endStep() {
  if (held_ < kKept) return;
  madvise(data_, bytes_, MADV_DONTNEED);
  std::fill(present_.begin(), present_.end(), false);
  held_ = 0;
}

}  // namespace lowbit
