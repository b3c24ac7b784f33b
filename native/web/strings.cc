// The functions of string.h that the WebAssembly build calls; compilers emit calls of the first four.
// Compiled without recognition of loops as calls of these very functions, and with the bulk instructions, which pay off
// from some hundred bytes on.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr size_t kBulk = 256;

#if defined(__wasm_simd128__)
typedef int32_t Chunk __attribute__((vector_size(16)));
#else
typedef uint64_t Chunk;
#endif

Chunk load(const uint8_t* p) {
  Chunk chunk;
  __builtin_memcpy(&chunk, p, sizeof chunk);
  return chunk;
}

void store(uint8_t* p, Chunk chunk) { __builtin_memcpy(p, &chunk, sizeof chunk); }

}  // namespace

extern "C" {

void* memcpy(void* to, const void* from, size_t bytes) {
  uint8_t* out = static_cast<uint8_t*>(to);
  const uint8_t* in = static_cast<const uint8_t*>(from);
  if (bytes >= kBulk) {
    __builtin_memcpy(to, from, bytes);
  } else if (bytes >= sizeof(Chunk)) {
    // The last chunk overlaps the one before it.
    const size_t last = bytes - sizeof(Chunk);
    for (size_t i = 0; i < last; i += sizeof(Chunk)) store(out + i, load(in + i));
    store(out + last, load(in + last));
  } else {
    for (size_t i = 0; i < bytes; ++i) out[i] = in[i];
  }
  return to;
}

void* memmove(void* to, const void* from, size_t bytes) {
  if (bytes > 0) __builtin_memmove(to, from, bytes);
  return to;
}

void* memset(void* to, int value, size_t bytes) {
  uint8_t* out = static_cast<uint8_t*>(to);
  if (bytes >= 64) {
    __builtin_memset(to, value, bytes);
  } else {
    for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>(value);
  }
  return to;
}

int memcmp(const void* a, const void* b, size_t bytes) {
  const uint8_t* left = static_cast<const uint8_t*>(a);
  const uint8_t* right = static_cast<const uint8_t*>(b);
  for (size_t i = 0; i < bytes; ++i) {
    if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
  }
  return 0;
}

void* memchr(const void* in, int value, size_t bytes) {
  const uint8_t* at = static_cast<const uint8_t*>(in);
  for (size_t i = 0; i < bytes; ++i) {
    if (at[i] == static_cast<uint8_t>(value)) return const_cast<uint8_t*>(at + i);
  }
  return nullptr;
}

size_t strlen(const char* text) {
  size_t length = 0;
  while (text[length]) ++length;
  return length;
}

int strcmp(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return static_cast<uint8_t>(*a) - static_cast<uint8_t>(*b);
}

}  // extern "C"
