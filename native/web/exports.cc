// What the WebAssembly module offers besides the functions of the C ABI (scripts/build-wasm.js lists those): memory in
// which a host lays out their arguments, and the initialization of statics.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" {

void __wasm_call_ctors(void);

__attribute__((export_name("initialize"))) void lowbit_web_initialize(void) { __wasm_call_ctors(); }

// 64-aligned; null where there is no memory left.
__attribute__((export_name("allocate"))) void* lowbit_web_allocate(size_t bytes) {
  constexpr size_t kAlignment = 64;
  if (bytes > SIZE_MAX - kAlignment) return nullptr;
  uint8_t* block = static_cast<uint8_t*>(std::malloc(bytes + kAlignment));
  if (!block) return nullptr;
  // The start of the block lies right before the memory; blocks are 16-aligned, so there is room for it.
  uint8_t* memory = block + kAlignment - reinterpret_cast<uintptr_t>(block) % kAlignment;
  std::memcpy(memory - sizeof block, &block, sizeof block);
  return memory;
}

__attribute__((export_name("release"))) void lowbit_web_release(void* memory) {
  if (!memory) return;
  void* block;
  std::memcpy(&block, static_cast<uint8_t*>(memory) - sizeof block, sizeof block);
  std::free(block);
}

}  // extern "C"
