// The C ABI of the engine: all that a host (Node-API, WebAssembly) sees.
#ifndef LOWBIT_H_
#define LOWBIT_H_

#include <stddef.h>
#include <stdint.h>

#include "lowbit-records.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  LOWBIT_OK = 0,
  LOWBIT_INVALID_PROGRAM = 1,
  LOWBIT_UNSUPPORTED_VERSION = 2,
  LOWBIT_INVALID_SHAPE = 3,
  LOWBIT_INVALID_ARGUMENT = 4,
  LOWBIT_OUT_OF_MEMORY = 5,
} lowbit_code;

typedef struct {
  int32_t code;
  char message[1024];  // UTF-8, one sentence or more, zero-terminated
} lowbit_error;

typedef struct lowbit_program lowbit_program;

// Validates the encoded program (32-bit little-endian words) and packs its weights for the instruction set named
// (null: the fastest, or the one LOWBIT_ISA names). Neither buffer is kept. Every function returns a lowbit_code and
// fills `error` unless it is LOWBIT_OK. A handle is used by one thread at a time.
int lowbit_compile(const int32_t* program, size_t program_words, const uint8_t* weights, size_t weight_bytes,
                   const char* isa, lowbit_program** out, lowbit_error* error);

// Reads `bytes` bytes of the weights from `offset` on into `into`; 0 if it did.
typedef int (*lowbit_read_weights)(void* context, size_t offset, size_t bytes, uint8_t* into);

// The same with weights that are read piece by piece, as each op needs them: they never lie in memory as a whole.
int lowbit_compile_from(const int32_t* program, size_t program_words, lowbit_read_weights read, void* context,
                        size_t weight_bytes, const char* isa, lowbit_program** out, lowbit_error* error);

// Shapes are written as words: for each tensor its rank, then its dims.
// Plans the program for these input shapes, if it is not planned yet, and writes the output shapes.
int lowbit_output_shapes(lowbit_program* program, const int32_t* input_shapes, size_t input_words,
                         int32_t* output_shapes, size_t capacity_words, size_t* output_words, lowbit_error* error);

// Runs on inputs of these shapes; buffers are dense and row-major, of the byte sizes that types and shapes imply.
int lowbit_run(lowbit_program* program, const int32_t* input_shapes, size_t input_words, const void* const* inputs,
               const size_t* input_bytes, size_t input_count, void* const* outputs, const size_t* output_bytes,
               size_t output_count, lowbit_error* error);

// Ops of the program.
size_t lowbit_ops(const lowbit_program* program);

// The most words that the shapes of its outputs take.
size_t lowbit_output_shape_words(const lowbit_program* program);
// Starts to count the time of each op over the runs that follow, from zero.
void lowbit_start_profile(lowbit_program* program);
// Ends it: writes the nanoseconds of each op (lowbit_ops of them, in the program's order, summed over the runs) and
// returns the number of runs; 0 without a start. An op that runs as part of another one counts there.
size_t lowbit_end_profile(lowbit_program* program, double* nanoseconds);

typedef struct {
  size_t weights;        // packed
  size_t arena;          // arenas and scratch of the cached plans
  size_t without_reuse;  // what `arena` would be if no two tensors shared memory
} lowbit_memory_bytes;

// Bytes held.
lowbit_memory_bytes lowbit_memory(const lowbit_program* program);

void lowbit_destroy(lowbit_program* program);

// Threads of the pool that all programs of the process share; at least 1. Default: LOWBIT_NUM_THREADS or the number of
// physical cores.
int lowbit_threads(void);
void lowbit_set_threads(int threads);

// Bytes that a program may take for intermediate tensors, scratch and outputs of one combination of input shapes; more
// is refused before it is allocated. Default: half of the memory of the machine or of its control group.
uint64_t lowbit_max_memory(void);
void lowbit_set_max_memory(uint64_t bytes);

// The instruction set that compile(null) takes, or null with `error` filled (LOWBIT_ISA names one that is not there).
const char* lowbit_isa(lowbit_error* error);
// Whether this machine can run the instruction set.
int lowbit_supports(const char* isa);
// The instruction sets that the engine was built with, the fastest last; null past the end.
const char* lowbit_instruction_set(size_t index);

// What the machine can do at most, with an instruction set (null: the default one) and the current number of threads.
typedef struct {
  double macs_per_second;         // int8 multiply-accumulates
  double l2_bytes_per_second;     // read from the second level of cache
  double dram_bytes_per_second;   // read from memory
  double l2_stores_per_second;    // bytes written to the second level of cache
  double dram_stores_per_second;  // bytes written to memory, past the caches
} lowbit_limits;

// Measures for about a quarter of a second and takes 256 MiB of memory meanwhile.
int lowbit_measure_limits(const char* isa, lowbit_limits* limits, lowbit_error* error);

// A matrix of 2, 3 or 4 bits a number; src/program/schema.ts (WEIGHT_FORMAT_DOC) tells what the numbers mean.
typedef struct {
  lowbit_matrix_numbers numbers;
  int8_t levels[16];
  const uint8_t* codes;
  size_t code_bytes;
  const uint16_t* scales;  // bits of scales: float16, one with its sign set 2^-30 times its magnitude
  size_t scale_bytes;
} lowbit_matrix;

// Writes the numbers of a matrix [rows, depth]: as float32, level * (scale of the group * unit), or as the int8 codes
// of these, clamp(rint(number / scale) + zero_point, -128, 127), all in float32 and clamped before the conversion.
// `type`: LOWBIT_FLOAT32, LOWBIT_INT8, or LOWBIT_INT32 for codes that take an element each.
int lowbit_dequantize(const lowbit_matrix* matrix, lowbit_type type, void* out, size_t out_bytes, const char* isa,
                      lowbit_error* error);

// Rotates rows of float32 values in place by the randomised block-Hadamard transform that native/ops/rotation.h
// defines, or rotates them back. `block` is a power of two in [2, 4096].
int lowbit_hadamard(float* values, int64_t rows, int64_t depth, int32_t block, uint32_t seed, int inverse,
                    const char* isa, lowbit_error* error);

// From logits [tokens, experts] to the ids and the gate weights [tokens, top_k] of the experts chosen. bias [experts]
// (float32), resident [experts] (not 0 where resident) and mean_range (one number) may be null.
int lowbit_route(const lowbit_router* router, const float* logits, int32_t tokens, const float* bias,
                 const int32_t* resident, const char* isa, int32_t* ids, float* weights, float* mean_range,
                 lowbit_error* error);

// out[out_rows[i]] = weights[i] * expert(x[rows[i]]) for i < count; x and out are float32, rows of `width`.
int lowbit_run_expert(const lowbit_expert_shape* shape, const uint8_t* bytes, size_t size, const float* x,
                      size_t elements, const int32_t* rows, const float* weights, size_t count, const int32_t* out_rows,
                      const char* isa, float* out, size_t out_elements, lowbit_error* error);

#ifdef __cplusplus
}
#endif
#endif
