// The C ABI: handles, cached plans, and errors instead of exceptions.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/environment.h"
#include "base/memory.h"
#include "include/lowbit.h"
#include "isa/registry.h"
#include "ops/dequantize.h"
#include "ops/rotation.h"
#include "moe/expert.h"
#include "moe/route.h"
#include "plan/plan.h"
#include "plan/probe.h"
#include "plan/weight-region.h"

using lowbit::fail;

// Plans are kept most recently used first.
struct lowbit_program {
  static constexpr size_t kMaxPlans = 8;

  const lowbit::Kernels* kernels;
  lowbit::Program program;
  std::vector<std::unique_ptr<lowbit::Plan>> plans;
  std::unique_ptr<lowbit::Profile> profile;

  lowbit::Plan& planFor(const int32_t* shapes, size_t words) {
    const auto found =
        std::find_if(plans.begin(), plans.end(), [&](const auto& plan) { return plan->fits(shapes, words); });
    if (found != plans.end()) {
      std::rotate(plans.begin(), found, found + 1);
      return *plans.front();
    }
    auto plan = std::make_unique<lowbit::Plan>(program, lowbit::decodeShapes(shapes, words, program.inputs.size()));
    if (plans.size() == kMaxPlans) plans.pop_back();
    plans.insert(plans.begin(), std::move(plan));
    return *plans.front();
  }
};

namespace {

template <class Body>
int guarded(lowbit_error* error, Body&& body) {
  try {
    body();
    error->code = LOWBIT_OK;
    error->message[0] = '\0';
  } catch (const lowbit::Error& e) {
    error->code = e.code;
    std::snprintf(error->message, sizeof error->message, "%s", e.message.c_str());
  } catch (const std::exception& e) {  // bad_alloc, length_error
    error->code = LOWBIT_OUT_OF_MEMORY;
    std::snprintf(error->message, sizeof error->message,
                  "Not enough memory (%s). Use smaller inputs or batches, or dispose of models that are not used.",
                  e.what());
  }
  return error->code;
}

const lowbit::Kernels& chooseKernels(const char* isa) {
  const std::string variable = lowbit::environmentVariable("LOWBIT_ISA");
  const char* name = isa ? isa : variable.c_str();
  const lowbit::Kernels* kernels = lowbit::selectKernels(name);
  if (!kernels) {
    fail(LOWBIT_INVALID_ARGUMENT, "%s '%s': %s.", isa ? "Instruction set" : "LOWBIT_ISA", name,
         lowbit::whyUnavailable(name).c_str());
  }
  return *kernels;
}

void checkBuffers(const lowbit::Program& program, const lowbit::Plan& plan, const std::vector<int>& ids,
                  const size_t* bytes, size_t count, const char* what) {
  if (count != ids.size()) {
    fail(LOWBIT_INVALID_ARGUMENT, "The program has %zu %ss, but %zu were given.", ids.size(), what, count);
  }
  for (size_t i = 0; i < count; ++i) {
    const size_t expected =
        static_cast<size_t>(plan.shapes()[ids[i]].elements()) * lowbit::elementBytes(program.tensors[ids[i]].type);
    if (bytes[i] != expected) {
      fail(LOWBIT_INVALID_ARGUMENT, "The buffer of %s %zu has %zu bytes, expected %zu.", what, i, bytes[i], expected);
    }
  }
}

}  // namespace

int lowbit_compile(const int32_t* program, size_t program_words, const uint8_t* weights, size_t weight_bytes,
                   const char* isa, lowbit_program** out, lowbit_error* error) {
  return guarded(error, [&] {
    const lowbit::Kernels& kernels = chooseKernels(isa);
    const lowbit::WeightBlob blob{weights, weight_bytes, nullptr};
    *out = new lowbit_program{&kernels, lowbit::decodeProgram(program, program_words, blob, kernels), {}, {}};
  });
}

int lowbit_compile_from(const int32_t* program, size_t program_words, lowbit_read_weights read, void* context,
                        size_t weight_bytes, const char* isa, lowbit_program** out, lowbit_error* error) {
  return guarded(error, [&] {
    const lowbit::Kernels& kernels = chooseKernels(isa);
    lowbit::WeightRegion region(weight_bytes, read, context);
    *out = new lowbit_program{&kernels, lowbit::decodeProgram(program, program_words, region.blob(), kernels), {}, {}};
  });
}

int lowbit_output_shapes(lowbit_program* program, const int32_t* input_shapes, size_t input_words,
                         int32_t* output_shapes, size_t capacity_words, size_t* output_words, lowbit_error* error) {
  return guarded(error, [&] {
    const lowbit::Plan& plan = program->planFor(input_shapes, input_words);
    *output_words = 0;
    for (int id : program->program.outputs) {
      const lowbit::Shape& shape = plan.shapes()[id];
      if (capacity_words - *output_words < static_cast<size_t>(shape.rank) + 1) {
        fail(LOWBIT_INVALID_ARGUMENT, "No room for the output shapes in %zu words.", capacity_words);
      }
      output_shapes[(*output_words)++] = shape.rank;
      for (int i = 0; i < shape.rank; ++i) output_shapes[(*output_words)++] = shape.dims[i];
    }
  });
}

int lowbit_run(lowbit_program* program, const int32_t* input_shapes, size_t input_words, const void* const* inputs,
               const size_t* input_bytes, size_t input_count, void* const* outputs, const size_t* output_bytes,
               size_t output_count, lowbit_error* error) {
  return guarded(error, [&] {
    lowbit::Plan& plan = program->planFor(input_shapes, input_words);
    checkBuffers(program->program, plan, program->program.inputs, input_bytes, input_count, "input");
    checkBuffers(program->program, plan, program->program.outputs, output_bytes, output_count, "output");
    plan.run(program->program, *program->kernels, inputs, outputs, program->profile.get());
  });
}

size_t lowbit_ops(const lowbit_program* program) { return program->program.steps.size(); }

size_t lowbit_output_shape_words(const lowbit_program* program) {
  return program->program.outputs.size() * (lowbit::kMaxRank + 1);
}

void lowbit_start_profile(lowbit_program* program) {
  program->profile = std::make_unique<lowbit::Profile>();
  program->profile->nanoseconds.resize(lowbit_ops(program));
}

size_t lowbit_end_profile(lowbit_program* program, double* nanoseconds) {
  std::fill_n(nanoseconds, lowbit_ops(program), 0);
  const std::unique_ptr<lowbit::Profile> profile = std::move(program->profile);
  if (!profile) return 0;
  std::copy(profile->nanoseconds.begin(), profile->nanoseconds.end(), nanoseconds);
  return profile->runs;
}

lowbit_memory_bytes lowbit_memory(const lowbit_program* program) {
  lowbit_memory_bytes bytes = {program->program.packedBytes, 0, 0};
  for (const auto& plan : program->plans) {
    bytes.arena += plan->bytes();
    bytes.without_reuse += plan->bytesWithoutReuse();
  }
  return bytes;
}

void lowbit_destroy(lowbit_program* program) { delete program; }

int lowbit_threads(void) { return lowbit::ThreadPool::shared().threads(); }

uint64_t lowbit_max_memory(void) { return lowbit::maxMemory(); }

void lowbit_set_max_memory(uint64_t bytes) {
  lowbit::setMaxMemory(static_cast<size_t>(std::min<uint64_t>(bytes, SIZE_MAX)));
}

void lowbit_set_threads(int threads) { lowbit::ThreadPool::shared().setThreads(threads); }

const char* lowbit_isa(lowbit_error* error) {
  const char* name = nullptr;
  guarded(error, [&] { name = chooseKernels(nullptr).name; });
  return name;
}

int lowbit_supports(const char* isa) { return lowbit::selectKernels(isa) != nullptr; }

const char* lowbit_instruction_set(size_t index) {
  const std::vector<lowbit::RegisteredSet>& sets = lowbit::instructionSets();
  return index < sets.size() ? sets[index].name : nullptr;
}

int lowbit_measure_limits(const char* isa, lowbit_limits* limits, lowbit_error* error) {
  return guarded(error, [&] {
    const lowbit::MachineLimits measured = lowbit::measureLimits(chooseKernels(isa));
    *limits = {measured.macsPerSecond, measured.l2BytesPerSecond, measured.dramBytesPerSecond,
               measured.l2StoresPerSecond, measured.dramStoresPerSecond};
  });
}

int lowbit_dequantize(const lowbit_matrix* matrix, lowbit_type type, void* out, size_t out_bytes, const char* isa,
                      lowbit_error* error) {
  return guarded(error, [&] { lowbit::dequantizeMatrix(chooseKernels(isa), *matrix, type, out, out_bytes); });
}

int lowbit_hadamard(float* values, int64_t rows, int64_t depth, int32_t block, uint32_t seed, int inverse,
                    const char* isa, lowbit_error* error) {
  return guarded(error, [&] {
    const lowbit::RowKernels& kernels = chooseKernels(isa).rows;
    if (rows < 0 || depth < 0) fail(LOWBIT_INVALID_ARGUMENT, "Expected sizes of at least 0 for rows and depth.");
    if (!lowbit::isRotationBlock(block)) {
      fail(LOWBIT_INVALID_ARGUMENT, "Expected a power of two from 2 to %d for block but received %d.",
           lowbit::kMaxRotationBlock, block);
    }
    lowbit::rotateRows(kernels, values, rows, depth, block, seed, inverse != 0);
  });
}

int lowbit_route(const lowbit_router* router, const float* logits, int32_t tokens, const float* bias,
                 const int32_t* resident, const char* isa, int32_t* ids, float* weights, float* mean_range,
                 lowbit_error* error) {
  return guarded(error, [&] {
    lowbit::RouteArgs args{};
    args.logits = logits;
    args.bias = bias;
    args.resident = resident;
    args.tokens = tokens;
    args.router = *router;
    args.ids = ids;
    args.weights = weights;
    args.meanRange = mean_range;
    lowbit::route(chooseKernels(isa), args);
  });
}

int lowbit_run_expert(const lowbit_expert_shape* shape, const uint8_t* bytes, size_t size, const float* x,
                      size_t elements, const int32_t* rows, const float* weights, size_t count, const int32_t* out_rows,
                      const char* isa, float* out, size_t out_elements, lowbit_error* error) {
  return guarded(error, [&] {
    const size_t width = static_cast<size_t>(shape->width);
    if (shape->width < 1 || elements % width != 0 || out_elements % width != 0) {
      fail(LOWBIT_INVALID_ARGUMENT, "%zu activations or %zu results are no rows of %d.", elements, out_elements,
           shape->width);
    }
    if (reinterpret_cast<uintptr_t>(bytes) % alignof(float) != 0) {
      fail(LOWBIT_INVALID_ARGUMENT, "The bytes of an expert do not start at a multiple of %zu.", alignof(float));
    }
    const auto check = [&](int32_t row, size_t most) {
      if (row < 0 || static_cast<size_t>(row) >= most)
        fail(LOWBIT_INVALID_ARGUMENT, "Row %d is not one of %zu.", row, most);
    };
    for (size_t i = 0; i < count; ++i) {
      check(rows[i], elements / width);
      check(out_rows[i], out_elements / width);
    }
    lowbit::runExpert(chooseKernels(isa), *shape, bytes, size, x, rows, weights, static_cast<int32_t>(count), out_rows,
                      out);
  });
}
