// Memory of the WebAssembly build: malloc and operator new over memory.grow.
//
// Blocks lie one after the other, each with a header of 16 bytes: its own size and that of the block before it, by
// which a freed block joins its free neighbours, and its neighbours in a list of free blocks. Free blocks are in lists
// by size, four to a power of two; the first block of a list that is large enough is taken and what it has too much is
// split off. Memory that was grown is never given back (WebAssembly cannot), but used again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "../base/pages.h"

namespace {

constexpr size_t kUnit = 16;  // sizes, headers and alignment
constexpr size_t kPage = 65536;
constexpr size_t kLeastGrowth = 16 * kPage;
constexpr int kLists = 4 * 32;
// A larger request could never be met, and sizes stay far from overflow.
constexpr size_t kLargest = size_t{0xffff0000} - kLeastGrowth;

struct Block {
  size_t size;    // with the header; the lowest bit is set where the block is in use
  size_t before;  // size of the block before, 0 for the first
  Block* next;    // of a free block: its list
  Block* last;

  bool used() const { return size & 1; }
  size_t bytes() const { return size & ~size_t{1}; }
  Block* after() { return reinterpret_cast<Block*>(reinterpret_cast<uint8_t*>(this) + bytes()); }
  Block* previous() { return reinterpret_cast<Block*>(reinterpret_cast<uint8_t*>(this) - before); }
  void* memory() { return reinterpret_cast<uint8_t*>(this) + kUnit; }
  static Block* of(void* memory) { return reinterpret_cast<Block*>(static_cast<uint8_t*>(memory) - kUnit); }
};
static_assert(sizeof(Block) == kUnit, "memory behind a header is aligned");

extern "C" uint8_t __heap_base;

// The blocks end with a header that is in use and never freed.
Block* ending = nullptr;
Block* lists[kLists];

// Lists are ordered by size: every block of a later list is larger.
int listOf(size_t bytes) {
  const int log = 31 - __builtin_clz(static_cast<uint32_t>(bytes));
  return 4 * log + static_cast<int>(bytes >> (log - 2) & 3);
}

void enlist(Block* block) {
  Block*& list = lists[listOf(block->bytes())];
  block->next = list;
  block->last = nullptr;
  if (list) list->last = block;
  list = block;
}

void unlist(Block* block) {
  (block->last ? block->last->next : lists[listOf(block->bytes())]) = block->next;
  if (block->next) block->next->last = block->last;
}

// A free block of `bytes`, in no list, becomes one in use of `wanted` and a free rest.
void* use(Block* block, size_t bytes, size_t wanted) {
  Block* after = block->after();
  if (bytes - wanted > kUnit) {
    block->size = wanted;
    Block* rest = block->after();
    rest->size = bytes - wanted;
    rest->before = wanted;
    after->before = rest->size;
    enlist(rest);
  }
  block->size |= 1;
  return block->memory();
}

// Adds a free block of at least `bytes` at the end.
bool grow(size_t bytes) {
  const size_t size = (bytes + 2 * kUnit > kLeastGrowth ? bytes + 2 * kUnit : kLeastGrowth) + kPage - 1;
  const size_t pages = size / kPage;
  const size_t old = __builtin_wasm_memory_grow(0, pages);
  if (old == SIZE_MAX) return false;
  uint8_t* const end = reinterpret_cast<uint8_t*>((old + pages) * kPage);
  Block* block = ending;
  if (!block) {
    block = reinterpret_cast<Block*>((reinterpret_cast<uintptr_t>(&__heap_base) + kUnit - 1) & ~(kUnit - 1));
    block->before = 0;
  }
  ending = reinterpret_cast<Block*>(end - kUnit);
  block->size = reinterpret_cast<uint8_t*>(ending) - reinterpret_cast<uint8_t*>(block);
  ending->size = kUnit | 1;
  ending->before = block->size;
  block->size |= 1;
  std::free(block->memory());
  return true;
}

}  // namespace

extern "C" {

void* malloc(size_t bytes) {
  if (bytes > kLargest) return nullptr;
  const size_t wanted = (bytes + 2 * kUnit - 1) & ~(kUnit - 1);
  for (;;) {
    // In the first list some blocks may be too small.
    int list = listOf(wanted);
    for (Block* block = lists[list]; block; block = block->next) {
      if (block->bytes() < wanted) continue;
      unlist(block);
      return use(block, block->bytes(), wanted);
    }
    while (++list < kLists) {
      Block* block = lists[list];
      if (!block) continue;
      unlist(block);
      return use(block, block->bytes(), wanted);
    }
    if (!grow(wanted)) return nullptr;
  }
}

void free(void* memory) {
  if (!memory) return;
  Block* block = Block::of(memory);
  block->size &= ~size_t{1};
  Block* after = block->after();
  if (!after->used()) {
    unlist(after);
    block->size += after->bytes();
  }
  if (block->before != 0 && !block->previous()->used()) {
    Block* previous = block->previous();
    unlist(previous);
    previous->size += block->bytes();
    block = previous;
  }
  block->after()->before = block->bytes();
  enlist(block);
}

void* calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* memory = malloc(bytes);
  return memory ? std::memset(memory, 0, bytes) : nullptr;
}

// Of the C++ runtime, for exceptions, which are no more than 16-aligned.
void* aligned_alloc(size_t alignment, size_t bytes) { return alignment <= kUnit ? malloc(bytes) : nullptr; }

}  // extern "C"

namespace lowbit {

void* mapPages(size_t bytes) { return calloc(bytes, 1); }
void unmapPages(void* memory, size_t) { free(memory); }
void allowHugePages(void*, size_t) {}

}  // namespace lowbit

void* operator new(size_t bytes) {
  void* memory = malloc(bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return malloc(bytes); }
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }
