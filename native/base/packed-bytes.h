// Memory of packed weights, arenas and scratch.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace lowbit {

constexpr size_t kAlignment = 64;

inline size_t alignUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// 64-aligned bytes, zeros at first, whose tail may be over-read by kernels. Large ones lie in huge pages where the
// system has them: weights that stream from memory once a run would miss the address translation cache at every small
// page.
class PackedBytes {
 public:
  explicit PackedBytes(size_t bytes = 0) : bytes_(bytes) {
    if (bytes < kHugePage) {
      small_.resize(bytes + 2 * kAlignment);
      data_ = alignTo(small_.data(), kAlignment);
      return;
    }
    const size_t size = bytes + kHugePage + kAlignment;
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mapping_ = Mapping(static_cast<uint8_t*>(memory), Unmap{size});
    data_ = alignTo(mapping_.get(), kHugePage);
#ifdef MADV_HUGEPAGE
    // Whole huge pages only: of the last one that is begun no more is used than there are bytes.
    madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  }

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
#if defined(__wasm__)
  static constexpr size_t kHugePage = SIZE_MAX;  // there are none
#else
  static constexpr size_t kHugePage = size_t{2} << 20;
#endif

  struct Unmap {
    size_t size;
    void operator()(uint8_t* memory) const { munmap(memory, size); }
  };
  using Mapping = std::unique_ptr<uint8_t, Unmap>;

  static uint8_t* alignTo(uint8_t* memory, size_t alignment) {
    return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory) + alignment - 1) & ~(alignment - 1));
  }

  size_t bytes_;
  uint8_t* data_;
  std::vector<uint8_t> small_;
  Mapping mapping_{nullptr, Unmap{0}};
};

// Buffers one after the other in memory, in the order of their sizes' list.
class PackedBlocks {
 public:
  // sizes: of each buffer, in bytes
  explicit PackedBlocks(const std::vector<size_t>& sizes) {
    size_t total = 0;
    for (const size_t size : sizes) {
      offsets_.push_back(total);
      total += alignUp(size);
    }
    bytes_ = PackedBytes(total);
  }
  PackedBlocks() : PackedBlocks(std::vector<size_t>{}) {}

  uint8_t* block(size_t index) { return bytes_.data() + offsets_[index]; }
  size_t bytes() const { return bytes_.bytes(); }

 private:
  std::vector<size_t> offsets_;
  PackedBytes bytes_;
};

}  // namespace lowbit
