#include "plan.h"

#include <algorithm>
#include <chrono>

#include "../base/memory.h"
#include "../ops/dynamic.h"
#include "../ops/int16.h"

namespace lowbit {
namespace {

constexpr size_t kGuard = 128;  // kernels read past the end of rows

// Sums of sizes are 64-bit, so that they are right where addresses have 32 bits (WebAssembly).
uint64_t tensorBytes(const Tensor& tensor, const Shape& shape) {
  switch (tensor.type) {
    case TensorType::kInt8: return static_cast<uint64_t>(shape.rows()) * rowPitch(shape.channels());
    case TensorType::kInt16: return int16TensorBytes(shape);
    case TensorType::kDynamicInt8: return dynamicTensorBytes(shape, tensor.granularity);
    case TensorType::kFloat32:
    case TensorType::kInt32: return static_cast<uint64_t>(shape.elements()) * 4;
  }
  return 0;
}

void checkDeclared(const Tensor& tensor, const Shape& shape, const std::string& what) {
  bool fits = tensor.declared.rank == shape.rank;
  for (int i = 0; fits && i < shape.rank; ++i) {
    fits = tensor.declared.dims[i] == -1 || tensor.declared.dims[i] == shape.dims[i];
  }
  if (!fits) {
    fail(LOWBIT_INVALID_SHAPE, "%s has shape %s, expected %s (-1: any).", what.c_str(), shape.toString().c_str(),
         tensor.declared.toString().c_str());
  }
}

struct Block {
  uint64_t offset, bytes;
  size_t first, last;  // the steps that write it and read it last
};

size_t mebibytes(uint64_t bytes) { return static_cast<size_t>(bytes >> 20); }

// Places each tensor at the lowest offset that is free for its whole life: largest tensors first.
uint64_t planArena(std::vector<Block*> blocks) {
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block* a, const Block* b) { return a->bytes > b->bytes; });
  std::vector<Block*> placed;  // by offset
  uint64_t total = 0;
  for (Block* block : blocks) {
    uint64_t offset = 0;
    for (const Block* other : placed) {
      const bool alive = other->first <= block->last && block->first <= other->last;
      if (alive && offset + block->bytes > other->offset && offset < other->offset + other->bytes) {
        offset = other->offset + other->bytes;
      }
    }
    block->offset = offset;
    total = std::max(total, offset + block->bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), block,
                                   [](const Block* a, const Block* b) { return a->offset < b->offset; }),
                  block);
  }
  return total;
}

}  // namespace

std::vector<Shape> decodeShapes(const int32_t* words, size_t wordCount, size_t count) {
  std::vector<Shape> shapes(count);
  size_t next = 0;
  for (Shape& shape : shapes) {
    if (next == wordCount) {
      fail(LOWBIT_INVALID_ARGUMENT, "The program takes %zu inputs, but fewer shapes were given.", count);
    }
    shape.rank = words[next++];
    if (shape.rank < 0 || shape.rank > kMaxRank) {
      fail(LOWBIT_INVALID_SHAPE, "An input has rank %d, expected 0 to %d.", shape.rank, kMaxRank);
    }
    if (wordCount - next < static_cast<size_t>(shape.rank)) {
      fail(LOWBIT_INVALID_ARGUMENT, "The input shapes are cut short.");
    }
    for (int i = 0; i < shape.rank; ++i) shape.dims[i] = words[next++];
  }
  if (next != wordCount) fail(LOWBIT_INVALID_ARGUMENT, "The program takes %zu inputs, but more were given.", count);
  return shapes;
}

Plan::Plan(const Program& program, std::vector<Shape> inputShapes) : shapes_(program.tensors.size()) {
  for (size_t i = 0; i < inputShapes.size(); ++i) {
    const Shape& shape = inputShapes[i];
    const std::string what = "Input " + std::to_string(i);
    checkShape(shape, what);
    checkDeclared(program.tensors[program.inputs[i]], shape, what);
    shapes_[program.inputs[i]] = shape;
    inputWords_.push_back(shape.rank);
    inputWords_.insert(inputWords_.end(), shape.dims, shape.dims + shape.rank);
  }

  size_t widest = 0;
  for (const Step& step : program.steps) {
    const std::vector<Shape> inputs = shapesOf(step.inputs);
    Shape& shape = shapes_[step.output];
    shape = step.op->outputShape(inputs);
    const std::string what = step.op->label() + ": output";
    checkShape(shape, what);
    checkDeclared(program.tensors[step.output], shape, what);
    scratchPerThread_ = std::max(scratchPerThread_, alignUp(step.op->scratchBytes(inputs, shape) + kGuard));
    widest = std::max(widest, step.inputs.size());
  }
  planActions(program);
  planMemory(program);
  arguments_.resize(widest);
  epilogueArguments_.resize(widest);
}

std::vector<Shape> Plan::shapesOf(const std::vector<int>& ids) const {
  std::vector<Shape> shapes;
  for (int id : ids) shapes.push_back(shapes_[id]);
  return shapes;
}

// An element-wise step becomes the epilogue of the step that makes the later one of its inputs, where nothing else
// reads that input: it never leaves the cache, and takes no memory of its own.
void Plan::planActions(const Program& program) {
  std::vector<size_t> readers(program.tensors.size());
  std::vector<size_t> writer(program.tensors.size(), SIZE_MAX);  // the action; SIZE_MAX: an input of the program
  for (const Step& step : program.steps) {
    for (int id : step.inputs) ++readers[id];
  }
  for (int id : program.outputs) ++readers[id];
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    if (step.op->canBeEpilogue(shapesOf(step.inputs))) {
      int last = -1;  // the input that is made last
      for (int id : step.inputs) {
        if (writer[id] != SIZE_MAX && (last == -1 || writer[id] > writer[last])) last = id;
      }
      if (last != -1 && readers[last] == 1) {
        Action& maker = actions_[writer[last]];
        if (maker.epilogue == maker.step && program.steps[maker.step].op->takesEpilogue()) {
          maker.epilogue = s;
          maker.output = step.output;
          writer[step.output] = writer[last];
          continue;
        }
      }
    }
    writer[step.output] = actions_.size();
    actions_.push_back(Action{s, s, step.output});
  }
}

void Plan::planMemory(const Program& program) {
  std::vector<Block> blocks(program.tensors.size());
  std::vector<bool> outside(program.tensors.size());
  for (int id : program.inputs) outside[id] = true;
  for (int id : program.outputs) outside[id] = true;
  std::vector<Block*> inside;
  for (size_t a = 0; a < actions_.size(); ++a) {
    const Action& action = actions_[a];
    for (int id : program.steps[action.step].inputs) blocks[id].last = a;
    for (int id : program.steps[action.epilogue].inputs) blocks[id].last = a;
    const int id = action.output;
    blocks[id] = Block{
        0, (tensorBytes(program.tensors[id], shapes_[id]) + kGuard + kAlignment - 1) / kAlignment * kAlignment, a, a};
    if (outside[id]) continue;
    inside.push_back(&blocks[id]);
    tensorBytes_ += blocks[id].bytes;
  }
  const uint64_t total = planArena(inside);
  checkMemory(program, total);
  arena_ = PackedBytes(static_cast<size_t>(total));
  views_.resize(program.tensors.size());
  for (size_t id = 0; id < views_.size(); ++id) {
    views_[id].shape = &shapes_[id];
    if (!outside[id]) views_[id].data = arena_.data() + blocks[id].offset;
  }
  // What an epilogue takes over is made in the place of its output.
  for (const Action& action : actions_) {
    if (action.epilogue == action.step || outside[action.output]) continue;
    views_[program.steps[action.step].output].data = views_[action.output].data;
  }
}

// Sums of sizes that each fit many times over into 64 bits: tensors have less than 2^31 elements.
void Plan::checkMemory(const Program& program, uint64_t arena) const {
  const auto threads = static_cast<size_t>(ThreadPool::shared().threads());
  const uint64_t scratch = uint64_t{scratchPerThread_} * threads;
  uint64_t outputs = 0;
  for (int id : program.outputs) outputs += tensorBytes(program.tensors[id], shapes_[id]);
  if (arena + scratch + outputs <= maxMemory()) return;
  fail(LOWBIT_OUT_OF_MEMORY,
       "These input shapes need %zu MiB (%zu for intermediate tensors, %zu for scratch of %zu threads, %zu for "
       "outputs), "
       "but only %zu MiB are allowed; use smaller inputs, or raise maxMemory.",
       mebibytes(arena + scratch + outputs), mebibytes(arena), mebibytes(scratch), threads, mebibytes(outputs),
       mebibytes(maxMemory()));
}

bool Plan::fits(const int32_t* shapeWords, size_t count) const {
  return count == inputWords_.size() && std::equal(inputWords_.begin(), inputWords_.end(), shapeWords);
}

void Plan::run(const Program& program, const Kernels& kernels, const void* const* inputs, void* const* outputs,
               Profile* profile) {
  const ThreadPool::Lease pool(ThreadPool::shared());
  const size_t scratchBytes = scratchPerThread_ * static_cast<size_t>(pool.threads());
  if (scratch_.bytes() < scratchBytes) scratch_ = PackedBytes(scratchBytes);
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    views_[program.inputs[i]].data = static_cast<uint8_t*>(const_cast<void*>(inputs[i]));
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    views_[program.outputs[i]].data = static_cast<uint8_t*>(outputs[i]);
  }
  using Clock = std::chrono::steady_clock;
  if (profile) ++profile->runs;
  for (const Action& action : actions_) {
    const Step& step = program.steps[action.step];
    for (size_t i = 0; i < step.inputs.size(); ++i) arguments_[i] = views_[step.inputs[i]];
    Epilogue epilogue;
    if (action.epilogue != action.step) {
      const Step& next = program.steps[action.epilogue];
      for (size_t i = 0; i < next.inputs.size(); ++i) epilogueArguments_[i] = views_[next.inputs[i]];
      epilogue = Epilogue{next.op.get(), epilogueArguments_.data()};
    }
    const Clock::time_point start = profile ? Clock::now() : Clock::time_point();
    step.op->run(RunContext{kernels, pool, arguments_.data(), views_[action.output], scratch_.data(), scratchPerThread_,
                            epilogue});
    if (profile) {
      profile->nanoseconds[action.step] += std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    }
  }
}

}  // namespace lowbit
