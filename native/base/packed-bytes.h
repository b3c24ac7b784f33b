// Memory of packed weights, arenas and scratch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "pages.h"

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
    void* memory = mapPages(size);
    if (!memory) throw std::bad_alloc();
    mapping_ = Mapping(static_cast<uint8_t*>(memory), Unmap{size});
    data_ = alignTo(mapping_.get(), kHugePage);
    // Whole huge pages only: of the last one that is begun no more is used than there are bytes.
    allowHugePages(data_, bytes / kHugePage * kHugePage);
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
    void operator()(uint8_t* memory) const { unmapPages(memory, size); }
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
  const uint8_t* data() const { return bytes_.data(); }
  size_t bytes() const { return bytes_.bytes(); }

 private:
  std::vector<size_t> offsets_;
  PackedBytes bytes_;
};

// What the ops of a program have packed, so that those that pack the same hold it once: the turns of a loop do.
class SharedPackings {
 public:
  // Keeps `packed`, or gives what was packed before, if that is the same.
  PackedBlocks* share(PackedBlocks packed) {
    const uint32_t hash = hashOf(packed);
    for (const Packing& other : packings_) {
      if (other.hash == hash && other.blocks->bytes() == packed.bytes() &&
          std::memcmp(other.blocks->data(), packed.data(), packed.bytes()) == 0) {
        return other.blocks.get();
      }
    }
    packings_.push_back(Packing{hash, std::make_unique<PackedBlocks>(std::move(packed))});
    return packings_.back().blocks.get();
  }

  size_t bytes() const {
    size_t sum = 0;
    for (const Packing& packing : packings_) sum += packing.blocks->bytes();
    return sum;
  }

 private:
  struct Packing {
    uint32_t hash;
    std::unique_ptr<PackedBlocks> blocks;
  };

  // FNV-1a of as many bytes as tell most packings apart.
  static uint32_t hashOf(const PackedBlocks& packed) {
    const size_t step = packed.bytes() / 1024 + 1;
    uint32_t hash = 0x811c9dc5;
    for (size_t i = 0; i < packed.bytes(); i += step) hash = (hash ^ packed.data()[i]) * 0x01000193;
    return hash;
  }

  std::vector<Packing> packings_;
};

}  // namespace lowbit
