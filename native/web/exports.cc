// What the WebAssembly module offers besides the functions of the C ABI (scripts/build-wasm.js lists those): memory in
// which a host lays out their arguments, the initialization of statics, and functions whose structs and 64-bit integers
// arrive as a host writes them: records as float64 numbers (src/program/generated.ts), integers as int32.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../include/lowbit.h"
#include "../include/records.h"

#define LOWBIT_EXPORT(name) __attribute__((export_name(name)))

extern "C" {

void __wasm_call_ctors(void);

LOWBIT_EXPORT("initialize") void lowbit_web_initialize(void) { __wasm_call_ctors(); }

// 64-aligned; null where there is no memory left.
LOWBIT_EXPORT("allocate") void* lowbit_web_allocate(size_t bytes) {
  constexpr size_t kAlignment = 64;
  if (bytes > SIZE_MAX - kAlignment) return nullptr;
  uint8_t* block = static_cast<uint8_t*>(std::malloc(bytes + kAlignment));
  if (!block) return nullptr;
  // The start of the block lies right before the memory; blocks are 16-aligned, so there is room for it.
  uint8_t* memory = block + kAlignment - reinterpret_cast<uintptr_t>(block) % kAlignment;
  std::memcpy(memory - sizeof block, &block, sizeof block);
  return memory;
}

LOWBIT_EXPORT("release") void lowbit_web_release(void* memory) {
  if (!memory) return;
  void* block;
  std::memcpy(&block, static_cast<uint8_t*>(memory) - sizeof block, sizeof block);
  std::free(block);
}

// `read` is a function that the host has put into the table of functions.
LOWBIT_EXPORT("compileFrom")
int lowbit_web_compile_from(const int32_t* program, size_t words, lowbit_read_weights read, size_t weightBytes,
                            const char* isa, lowbit_program** out, lowbit_error* error) {
  return lowbit_compile_from(program, words, read, nullptr, weightBytes, isa, out, error);
}

LOWBIT_EXPORT("maxMemory") size_t lowbit_web_max_memory(void) { return static_cast<size_t>(lowbit_max_memory()); }

LOWBIT_EXPORT("setMaxMemory") void lowbit_web_set_max_memory(size_t bytes) { lowbit_set_max_memory(bytes); }

LOWBIT_EXPORT("dequantize")
int lowbit_web_dequantize(const double* numbers, const int8_t* levels, const uint8_t* codes, size_t codeBytes,
                          const uint16_t* scales, size_t scaleBytes, lowbit_type type, void* out, size_t outBytes,
                          const char* isa, lowbit_error* error) {
  lowbit_matrix matrix = {readMatrixNumbers(numbers), {}, codes, codeBytes, scales, scaleBytes};
  std::memcpy(matrix.levels, levels, sizeof matrix.levels);
  return lowbit_dequantize(&matrix, type, out, outBytes, isa, error);
}

LOWBIT_EXPORT("hadamard")
int lowbit_web_hadamard(float* values, int32_t rows, int32_t depth, int32_t block, uint32_t seed, int inverse,
                        const char* isa, lowbit_error* error) {
  return lowbit_hadamard(values, rows, depth, block, seed, inverse, isa, error);
}

LOWBIT_EXPORT("route")
int lowbit_web_route(const double* numbers, const float* logits, int32_t tokens, const float* bias,
                     const int32_t* resident, const char* isa, int32_t* ids, float* weights, float* meanRange,
                     lowbit_error* error) {
  const lowbit_router router = readRouterNumbers(numbers);
  return lowbit_route(&router, logits, tokens, bias, resident, isa, ids, weights, meanRange, error);
}

LOWBIT_EXPORT("runExpert")
int lowbit_web_run_expert(const double* numbers, const uint8_t* bytes, size_t size, const float* x, size_t elements,
                          const int32_t* rows, const float* weights, size_t count, const int32_t* outRows,
                          const char* isa, float* out, size_t outElements, lowbit_error* error) {
  const lowbit_expert_shape shape = readExpertShape(numbers);
  return lowbit_run_expert(&shape, bytes, size, x, elements, rows, weights, count, outRows, isa, out, outElements,
                           error);
}

}  // extern "C"
