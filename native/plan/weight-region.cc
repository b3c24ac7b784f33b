// As many bytes of address space as there are weights. What an op asks for is read into its place, and given back to
// the system once ops have read some megabytes.
#include "weight-region.h"

#include <algorithm>
#include <vector>

#include "../base/ceil-div.h"
#include "../base/error.h"
#include "../base/pages.h"

namespace lowbit {
namespace {

constexpr size_t kBlock = size_t{64} << 10;
// Ops with few weights share blocks: these are not given back after each.
constexpr size_t kKept = size_t{2} << 20;

}  // namespace

struct WeightRegion::State {
  uint8_t* data;
  std::vector<bool> present;  // by block
  size_t held;                // bytes of blocks that are present
};

WeightRegion::WeightRegion(size_t bytes, lowbit_read_weights read, void* context)
    : bytes_(bytes), read_(read), context_(context) {
  void* memory = reservePages(std::max<size_t>(bytes, 1));
  if (!memory) fail(LOWBIT_OUT_OF_MEMORY, "No address space for %zu bytes of weights.", bytes);
  state_.reset(
      new State{static_cast<uint8_t*>(memory), std::vector<bool>(static_cast<size_t>(ceilDiv(bytes, kBlock))), 0});
}

WeightRegion::~WeightRegion() { unmapPages(state_->data, std::max<size_t>(bytes_, 1)); }

void WeightRegion::read(size_t offset, size_t bytes, uint8_t* into) {
  if (read_(context_, offset, bytes, into) == 0) return;
  fail(LOWBIT_INVALID_ARGUMENT, "%zu bytes of weights at %zu could not be read.", bytes, offset);
}

const uint8_t* WeightRegion::load(size_t offset, size_t bytes) {
  auto& [data, present, held] = *state_;
  const size_t end = bytes == 0 ? 0 : (offset + bytes - 1) / kBlock + 1;
  for (size_t block = offset / kBlock; block < end; ++block) {
    if (present[block]) continue;
    // The missing blocks in a row are read at once.
    size_t last = block;
    while (last < end && !present[last]) present[last++] = true;
    const size_t first = block * kBlock, size = std::min(bytes_, last * kBlock) - first;
    if (!commitPages(data + first, size)) fail(LOWBIT_OUT_OF_MEMORY, "No memory for %zu bytes of weights.", size);
    read(first, size, data + first);
    held += size;
    block = last - 1;
  }
  return data + offset;
}

void WeightRegion::endStep() {
  auto& [data, present, held] = *state_;
  if (held < kKept) return;
  discardPages(data, bytes_);
  std::fill(present.begin(), present.end(), false);
  held = 0;
}

}  // namespace lowbit
