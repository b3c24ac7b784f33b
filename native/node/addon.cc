// The Node-API face of the C ABI. Errors become JavaScript errors with a `code`; src/runtime/native-engine.ts makes
// LowbitErrors of them.
#include <node_api.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "../include/lowbit.h"
#include "../include/records.h"
#include "expert-reader.h"
#include "stay-loaded.h"

namespace {

// A compiled program and the external memory that the garbage collector was told of.
struct Handle {
  lowbit_program* program;
  int64_t reported;
};

napi_value throwError(napi_env env, const char* code, const char* message) {
  napi_throw_error(env, code, message);
  return nullptr;
}

napi_value throwError(napi_env env, const lowbit_error& error) {
  static constexpr const char* kCodes[] = {
      "ok", "invalid-program", "unsupported-version", "invalid-shape", "invalid-argument", "out-of-memory"};
  static_assert(std::size(kCodes) == LOWBIT_OUT_OF_MEMORY + 1);
  return throwError(env, kCodes[error.code], error.message);
}

// The result of a call that has none but its success.
napi_value finish(napi_env env, int status, const lowbit_error& error) {
  return status == LOWBIT_OK ? nullptr : throwError(env, error);
}

template <size_t N>
size_t readArguments(napi_env env, napi_callback_info info, napi_value (&arguments)[N]) {
  size_t count = N;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  return count;
}

napi_value textOf(napi_env env, const char* text) {
  napi_value value;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

struct Bytes {
  void* data = nullptr;
  size_t size = 0;
  napi_typedarray_type type = napi_uint8_array;
};

size_t elementSize(napi_typedarray_type type) {
  switch (type) {
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: return 4;
    case napi_int16_array:
    case napi_uint16_array: return 2;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array: return 8;
    default: return 1;
  }
}

bool bytesOf(napi_env env, napi_value value, Bytes* out) {
  size_t length;
  if (napi_get_typedarray_info(env, value, &out->type, &length, &out->data, nullptr, nullptr) != napi_ok) return false;
  out->size = length * elementSize(out->type);
  return true;
}

bool bytesOfList(napi_env env, napi_value list, std::vector<void*>* data, std::vector<size_t>* sizes) {
  uint32_t count = 0;
  if (napi_get_array_length(env, list, &count) != napi_ok) return false;
  for (uint32_t i = 0; i < count; ++i) {
    napi_value element;
    Bytes bytes;
    if (napi_get_element(env, list, i, &element) != napi_ok || !bytesOf(env, element, &bytes)) return false;
    data->push_back(bytes.data);
    sizes->push_back(bytes.size);
  }
  return true;
}

napi_value listOf(napi_env env, const double* numbers, size_t count) {
  napi_value list;
  napi_create_array_with_length(env, count, &list);
  for (size_t i = 0; i < count; ++i) {
    napi_value number;
    napi_create_double(env, numbers[i], &number);
    napi_set_element(env, list, static_cast<uint32_t>(i), number);
  }
  return list;
}

void destroy(Handle* handle) {
  lowbit_destroy(handle->program);
  handle->program = nullptr;
}

void finalize(napi_env env, void* data, void*) {
  Handle* handle = static_cast<Handle*>(data);
  int64_t total;
  napi_adjust_external_memory(env, -handle->reported, &total);
  destroy(handle);
  delete handle;
}

void reportMemory(napi_env env, Handle* handle) {
  lowbit_memory_bytes held = {};
  if (handle->program) held = lowbit_memory(handle->program);
  const int64_t bytes = static_cast<int64_t>(held.weights + held.arena);
  if (bytes == handle->reported) return;
  int64_t total;
  napi_adjust_external_memory(env, bytes - handle->reported, &total);
  handle->reported = bytes;
}

// Reads the arguments of a call whose first one is a handle that was not destroyed.
template <size_t N>
Handle* handleCall(napi_env env, napi_callback_info info, napi_value (&arguments)[N]) {
  void* data = nullptr;
  if (readArguments(env, info, arguments) != N || napi_get_value_external(env, arguments[0], &data) != napi_ok) {
    throwError(env, "invalid-argument", "Expected a compiled program.");
    return nullptr;
  }
  Handle* handle = static_cast<Handle*>(data);
  if (!handle->program) {
    throwError(env, "invalid-argument", "The compiled program was disposed of.");
    return nullptr;
  }
  return handle;
}

// An optional argument: the name of an instruction set, or none where it is not a string.
class IsaName {
 public:
  IsaName(napi_env env, napi_value value) {
    size_t length;
    given_ = napi_get_value_string_utf8(env, value, name_, sizeof name_, &length) == napi_ok;
  }

  const char* get() const { return given_ ? name_ : nullptr; }

 private:
  char name_[32];
  bool given_;
};

napi_value handleOf(napi_env env, lowbit_program* compiled) {
  Handle* handle = new Handle{compiled, 0};
  napi_value external;
  if (napi_create_external(env, handle, finalize, nullptr, &external) != napi_ok) {
    destroy(handle);
    delete handle;
    return throwError(env, "out-of-memory", "Could not create a handle.");
  }
  reportMemory(env, handle);
  return external;
}

// compile(program: Int32Array, weights: typed array, isa: string | undefined): handle
napi_value compile(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  readArguments(env, info, arguments);
  Bytes program, weights;
  if (!bytesOf(env, arguments[0], &program) || !bytesOf(env, arguments[1], &weights)) {
    return throwError(env, "invalid-argument", "Expected the program and its weights as typed arrays.");
  }
  const IsaName isa(env, arguments[2]);
  lowbit_error error;
  lowbit_program* compiled = nullptr;
  if (lowbit_compile(static_cast<const int32_t*>(program.data), program.size / 4,
                     static_cast<const uint8_t*>(weights.data), weights.size, isa.get(), &compiled,
                     &error) != LOWBIT_OK) {
    return throwError(env, error);
  }
  return handleOf(env, compiled);
}

// The function that gives the weights of `compileFrom`: it fills `chunk` with bytes from an offset on.
struct ReadCall {
  napi_env env;
  napi_value read;
  Bytes chunk;
};

int readWeights(void* context, size_t offset, size_t bytes, uint8_t* into) {
  const ReadCall& call = *static_cast<const ReadCall*>(context);
  for (size_t done = 0; done < bytes;) {
    const size_t size = std::min(bytes - done, call.chunk.size);
    napi_handle_scope scope;
    if (napi_open_handle_scope(call.env, &scope) != napi_ok) return 1;
    napi_value receiver, arguments[2];
    napi_get_undefined(call.env, &receiver);
    napi_create_double(call.env, static_cast<double>(offset + done), &arguments[0]);
    napi_create_double(call.env, static_cast<double>(size), &arguments[1]);
    const napi_status status = napi_call_function(call.env, receiver, call.read, 2, arguments, nullptr);
    napi_close_handle_scope(call.env, scope);
    if (status != napi_ok) return 1;
    std::memcpy(into + done, call.chunk.data, size);
    done += size;
  }
  return 0;
}

// compileFrom(program: Int32Array, weightBytes: number, read: (offset, bytes) => void, chunk: Uint8Array that `read`
// fills, isa: string | undefined): handle
napi_value compileFrom(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  Bytes program;
  double weightBytes = 0;
  ReadCall call{env, arguments[2], {}};
  if (!bytesOf(env, arguments[0], &program) || napi_get_value_double(env, arguments[1], &weightBytes) != napi_ok ||
      !(weightBytes >= 0 && weightBytes < 0x1p53) || !bytesOf(env, arguments[3], &call.chunk) || call.chunk.size == 0) {
    return throwError(env, "invalid-argument", "Expected a program, the size of its weights, and what reads them.");
  }
  const IsaName isa(env, arguments[4]);
  lowbit_error error;
  lowbit_program* compiled = nullptr;
  const int code = lowbit_compile_from(static_cast<const int32_t*>(program.data), program.size / 4, readWeights, &call,
                                       static_cast<size_t>(weightBytes), isa.get(), &compiled, &error);
  if (code == LOWBIT_OK) return handleOf(env, compiled);
  // An error of the function that reads goes on as it is.
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  return pending ? nullptr : throwError(env, error);
}

// outputShapes(handle, shapes: Int32Array): Int32Array-like list of words
napi_value outputShapes(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Handle* handle = handleCall(env, info, arguments);
  if (!handle) return nullptr;
  Bytes shapes;
  if (!bytesOf(env, arguments[1], &shapes)) return throwError(env, "invalid-argument", "Expected shape words.");
  std::vector<int32_t> words(lowbit_output_shape_words(handle->program));
  size_t written = 0;
  lowbit_error error;
  if (lowbit_output_shapes(handle->program, static_cast<const int32_t*>(shapes.data), shapes.size / 4, words.data(),
                           words.size(), &written, &error) != LOWBIT_OK) {
    return throwError(env, error);
  }
  reportMemory(env, handle);
  napi_value list;
  napi_create_array_with_length(env, written, &list);
  for (size_t i = 0; i < written; ++i) {
    napi_value word;
    napi_create_int32(env, words[i], &word);
    napi_set_element(env, list, static_cast<uint32_t>(i), word);
  }
  return list;
}

// run(handle, shapes: Int32Array, inputs: typed array[], outputs: typed array[])
napi_value run(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  Handle* handle = handleCall(env, info, arguments);
  if (!handle) return nullptr;
  Bytes shapes;
  std::vector<void*> inputs, outputs;
  std::vector<size_t> inputBytes, outputBytes;
  if (!bytesOf(env, arguments[1], &shapes) || !bytesOfList(env, arguments[2], &inputs, &inputBytes) ||
      !bytesOfList(env, arguments[3], &outputs, &outputBytes)) {
    return throwError(env, "invalid-argument", "Expected shape words and lists of typed arrays.");
  }
  lowbit_error error;
  if (lowbit_run(handle->program, static_cast<const int32_t*>(shapes.data), shapes.size / 4, inputs.data(),
                 inputBytes.data(), inputs.size(), outputs.data(), outputBytes.data(), outputs.size(),
                 &error) != LOWBIT_OK) {
    return throwError(env, error);
  }
  reportMemory(env, handle);
  return nullptr;
}

// startProfile(handle)
napi_value startProfile(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Handle* handle = handleCall(env, info, arguments);
  if (handle) lowbit_start_profile(handle->program);
  return nullptr;
}

// endProfile(handle): [runs, nanoseconds of each op...]
napi_value endProfile(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Handle* handle = handleCall(env, info, arguments);
  if (!handle) return nullptr;
  std::vector<double> numbers(1 + lowbit_ops(handle->program));
  numbers[0] = static_cast<double>(lowbit_end_profile(handle->program, numbers.data() + 1));
  return listOf(env, numbers.data(), numbers.size());
}

// memory(handle): [packed weights, arenas, arenas without reuse] in bytes
napi_value memory(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Handle* handle = handleCall(env, info, arguments);
  if (!handle) return nullptr;
  const lowbit_memory_bytes held = lowbit_memory(handle->program);
  const double sizes[] = {static_cast<double>(held.weights), static_cast<double>(held.arena),
                          static_cast<double>(held.without_reuse)};
  return listOf(env, sizes, 3);
}

// dispose(handle)
napi_value dispose(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Handle* handle = handleCall(env, info, arguments);
  if (!handle) return nullptr;
  destroy(handle);
  reportMemory(env, handle);
  return nullptr;
}

// threads(): number
napi_value threads(napi_env env, napi_callback_info) {
  napi_value count;
  napi_create_int32(env, lowbit_threads(), &count);
  return count;
}

// setThreads(count)
napi_value setThreads(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  int32_t wanted = 0;
  readArguments(env, info, arguments);
  if (napi_get_value_int32(env, arguments[0], &wanted) != napi_ok || wanted < 1) {
    return throwError(env, "invalid-argument", "Expected a positive integer for threads.");
  }
  lowbit_set_threads(wanted);
  return nullptr;
}

// maxMemory(): bytes
napi_value maxMemory(napi_env env, napi_callback_info) {
  napi_value bytes;
  napi_create_double(env, static_cast<double>(lowbit_max_memory()), &bytes);
  return bytes;
}

// setMaxMemory(bytes)
napi_value setMaxMemory(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  double bytes = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (napi_get_value_double(env, argument, &bytes) != napi_ok || !(bytes > 0 && bytes < 0x1p63)) {
    return throwError(env, "invalid-argument", "Expected a positive number of bytes.");
  }
  lowbit_set_max_memory(static_cast<uint64_t>(bytes));
  return nullptr;
}

// isa(): string, the default one
napi_value isa(napi_env env, napi_callback_info) {
  lowbit_error error;
  const char* name = lowbit_isa(&error);
  return name ? textOf(env, name) : throwError(env, error);
}

// supports(isa: string): boolean
napi_value supports(napi_env env, napi_callback_info info) {
  napi_value arguments[1], answer;
  char name[32] = "";
  size_t length;
  readArguments(env, info, arguments);
  napi_get_value_string_utf8(env, arguments[0], name, sizeof name, &length);
  napi_get_boolean(env, name[0] != '\0' && lowbit_supports(name), &answer);
  return answer;
}

// instructionSets(): string[], those the engine was built with, the fastest last
napi_value instructionSets(napi_env env, napi_callback_info) {
  napi_value names;
  napi_create_array(env, &names);
  for (uint32_t i = 0; const char* name = lowbit_instruction_set(i); ++i) {
    napi_set_element(env, names, i, textOf(env, name));
  }
  return names;
}

// limits(isa: string | undefined): [multiply-accumulates, bytes from L2, from memory, to L2, to memory] per second
napi_value limits(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  readArguments(env, info, arguments);
  const IsaName isa(env, arguments[0]);
  lowbit_error error;
  lowbit_limits measured;
  if (lowbit_measure_limits(isa.get(), &measured, &error) != LOWBIT_OK) return throwError(env, error);
  const double numbers[] = {measured.macs_per_second, measured.l2_bytes_per_second, measured.dram_bytes_per_second,
                            measured.l2_stores_per_second, measured.dram_stores_per_second};
  return listOf(env, numbers, 5);
}

// dequantize(numbers: Float64Array of MatrixNumbers, levels: Int8Array, codes, scales: typed arrays, out: Float32Array,
//            Int8Array or Int32Array, isa: string | undefined)
napi_value dequantize(napi_env env, napi_callback_info info) {
  napi_value arguments[6];
  readArguments(env, info, arguments);
  Bytes numbers, levels, codes, scales, out;
  lowbit_matrix matrix{};
  if (!bytesOf(env, arguments[0], &numbers) || numbers.size != kMatrixNumbersCount * sizeof(double) ||
      !bytesOf(env, arguments[1], &levels) || levels.size != sizeof matrix.levels ||
      !bytesOf(env, arguments[2], &codes) || !bytesOf(env, arguments[3], &scales) ||
      !bytesOf(env, arguments[4], &out)) {
    return throwError(env, "invalid-argument", "Expected the numbers of a matrix, 16 levels, codes, scales and room.");
  }
  matrix.numbers = readMatrixNumbers(static_cast<const double*>(numbers.data));
  std::memcpy(matrix.levels, levels.data, sizeof matrix.levels);
  matrix.codes = static_cast<const uint8_t*>(codes.data);
  matrix.code_bytes = codes.size;
  matrix.scales = static_cast<const uint16_t*>(scales.data);
  matrix.scale_bytes = scales.size;
  const lowbit_type type = out.type == napi_float32_array ? LOWBIT_FLOAT32
                           : out.type == napi_int8_array  ? LOWBIT_INT8
                                                          : LOWBIT_INT32;
  const IsaName isa(env, arguments[5]);
  lowbit_error error;
  const int status = lowbit_dequantize(&matrix, type, out.data, out.size, isa.get(), &error);
  return finish(env, status, error);
}

// hadamard(values: Float32Array, rows, depth, block, seed, inverse: numbers, isa: string | undefined), in place
napi_value hadamard(napi_env env, napi_callback_info info) {
  napi_value arguments[7];
  readArguments(env, info, arguments);
  Bytes values;
  double numbers[5];
  bool read = bytesOf(env, arguments[0], &values);
  for (int i = 0; i < 5; ++i) read = read && napi_get_value_double(env, arguments[1 + i], &numbers[i]) == napi_ok;
  if (!read || numbers[0] * numbers[1] * 4 != static_cast<double>(values.size)) {
    return throwError(env, "invalid-argument", "Expected rows x depth float32 values.");
  }
  const IsaName isa(env, arguments[6]);
  lowbit_error error;
  const int status =
      lowbit_hadamard(static_cast<float*>(values.data), static_cast<int64_t>(numbers[0]),
                      static_cast<int64_t>(numbers[1]), static_cast<int32_t>(numbers[2]),
                      static_cast<uint32_t>(static_cast<int64_t>(numbers[3])), numbers[4] != 0, isa.get(), &error);
  return finish(env, status, error);
}

// Bytes of a typed array of at least `least` bytes; of one that is null or undefined, nothing.
bool optionalBytes(napi_env env, napi_value value, size_t least, Bytes* out) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type == napi_null || type == napi_undefined) return true;
  return bytesOf(env, value, out) && out->size >= least;
}

// route(router: Float64Array of RouterNumbers, logits, tokens, bias?, resident?, isa, ids, weights,
// meanRange?)
napi_value route(napi_env env, napi_callback_info info) {
  napi_value arguments[9];
  readArguments(env, info, arguments);
  Bytes router, logits, bias, resident, ids, weights, meanRange;
  int32_t tokens = 0;
  if (!bytesOf(env, arguments[0], &router) || router.size != kRouterNumbersCount * sizeof(double) ||
      napi_get_value_int32(env, arguments[2], &tokens) != napi_ok || tokens < 0) {
    return throwError(env, "invalid-argument", "Expected the numbers of a router and a number of tokens.");
  }
  const lowbit_router args = readRouterNumbers(static_cast<const double*>(router.data));
  const size_t row = 4 * static_cast<size_t>(args.experts), chosen = 4 * static_cast<size_t>(args.top_k);
  if (!bytesOf(env, arguments[1], &logits) || logits.size != tokens * row ||
      !optionalBytes(env, arguments[3], row, &bias) || !optionalBytes(env, arguments[4], row, &resident) ||
      !bytesOf(env, arguments[6], &ids) || ids.size != tokens * chosen || !bytesOf(env, arguments[7], &weights) ||
      weights.size != tokens * chosen || !optionalBytes(env, arguments[8], 4, &meanRange)) {
    return throwError(env, "invalid-argument", "Routing: an array does not have the size that the router tells.");
  }
  const IsaName isa(env, arguments[5]);
  lowbit_error error;
  const int status =
      lowbit_route(&args, static_cast<const float*>(logits.data), tokens, static_cast<const float*>(bias.data),
                   static_cast<const int32_t*>(resident.data), isa.get(), static_cast<int32_t*>(ids.data),
                   static_cast<float*>(weights.data), static_cast<float*>(meanRange.data), &error);
  return finish(env, status, error);
}

// runExpert(shape: Float64Array of ExpertShape, bytes, x, rows: Int32Array, weights, outRows: Int32Array, out,
// isa)
napi_value runExpert(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  readArguments(env, info, arguments);
  Bytes shape, bytes, x, rows, weights, outRows, out;
  if (!bytesOf(env, arguments[0], &shape) || shape.size != kExpertShapeCount * sizeof(double) ||
      !bytesOf(env, arguments[1], &bytes) || !bytesOf(env, arguments[2], &x) || !bytesOf(env, arguments[3], &rows) ||
      !bytesOf(env, arguments[4], &weights) || !bytesOf(env, arguments[5], &outRows) ||
      !bytesOf(env, arguments[6], &out) || weights.size != rows.size || outRows.size != rows.size) {
    return throwError(env, "invalid-argument", "Expected an expert, activations, and rows with a weight each.");
  }
  lowbit_error error;
  const IsaName isa(env, arguments[7]);
  const lowbit_expert_shape args = readExpertShape(static_cast<const double*>(shape.data));
  const int status = lowbit_run_expert(
      &args, static_cast<const uint8_t*>(bytes.data), bytes.size, static_cast<const float*>(x.data), x.size / 4,
      static_cast<const int32_t*>(rows.data), static_cast<const float*>(weights.data), rows.size / 4,
      static_cast<const int32_t*>(outRows.data), isa.get(), static_cast<float*>(out.data), out.size / 4, &error);
  return finish(env, status, error);
}

template <size_t N>
bool setFunctions(napi_env env, napi_value exports, const Function (&functions)[N]) {
  for (const Function& entry : functions) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function) != napi_ok ||
        napi_set_named_property(env, exports, entry.name, function) != napi_ok) {
      return false;
    }
  }
  return true;
}

}  // namespace

NAPI_MODULE_INIT() {
  stayLoaded();
  static constexpr Function kFunctions[] = {
      {"compile", compile},
      {"compileFrom", compileFrom},
      {"outputShapes", outputShapes},
      {"run", run},
      {"startProfile", startProfile},
      {"endProfile", endProfile},
      {"memory", memory},
      {"dispose", dispose},
      {"threads", threads},
      {"setThreads", setThreads},
      {"maxMemory", maxMemory},
      {"setMaxMemory", setMaxMemory},
      {"isa", isa},
      {"supports", supports},
      {"instructionSets", instructionSets},
      {"limits", limits},
      {"dequantize", dequantize},
      {"hadamard", hadamard},
      {"route", route},
      {"runExpert", runExpert},
  };
  return setFunctions(env, exports, kFunctions) && setFunctions(env, exports, kExpertFunctions) ? exports : nullptr;
}
