#include "plan.h"

#include <algorithm>
#include <chrono>

namespace lowbit {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kGuard = 128;  // kernels read past the end of rows
constexpr size_t kMaxArenaBytes = size_t{16} << 30;

size_t alignUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t tensorBytes(const Tensor& tensor, const Shape& shape) {
  if (tensor.type == TensorType::kInt8) return static_cast<size_t>(shape.rows()) * rowPitch(shape.channels());
  return static_cast<size_t>(shape.elements()) * 4;
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
  size_t offset, bytes;
  size_t first, last;  // the steps that write it and read it last
};

// Places each tensor at the lowest offset that is free for its whole life: largest tensors first.
size_t planArena(std::vector<Block*> blocks) {
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block* a, const Block* b) { return a->bytes > b->bytes; });
  std::vector<Block*> placed;  // by offset
  size_t total = 0;
  for (Block* block : blocks) {
    size_t offset = 0;
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

Plan::Plan(const Program& program, std::vector<Shape> inputShapes)
    : shapes_(program.tensors.size()) {
  for (size_t i = 0; i < inputShapes.size(); ++i) {
    const Shape& shape = inputShapes[i];
    const std::string what = "Input " + std::to_string(i);
    checkShape(shape, what);
    checkDeclared(program.tensors[program.inputs[i]], shape, what);
    shapes_[program.inputs[i]] = shape;
    inputWords_.push_back(shape.rank);
    inputWords_.insert(inputWords_.end(), shape.dims, shape.dims + shape.rank);
  }

  std::vector<Block> blocks(program.tensors.size());
  std::vector<bool> outside(program.tensors.size());
  for (int id : program.inputs) outside[id] = true;
  for (int id : program.outputs) outside[id] = true;
  size_t widest = 0;
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    std::vector<Shape> inputs;
    for (int id : step.inputs) {
      inputs.push_back(shapes_[id]);
      blocks[id].last = s;
      widest = std::max(widest, step.inputs.size());
    }
    Shape& shape = shapes_[step.output];
    shape = step.op->outputShape(inputs);
    const std::string what = step.op->label() + ": output";
    checkShape(shape, what);
    checkDeclared(program.tensors[step.output], shape, what);
    blocks[step.output] = Block{0, alignUp(tensorBytes(program.tensors[step.output], shape) + kGuard), s, s};
    scratchPerThread_ = std::max(scratchPerThread_, alignUp(step.op->scratchBytes(inputs, shape) + kGuard));
  }

  std::vector<Block*> inside;
  for (const Step& step : program.steps) {
    if (!outside[step.output]) inside.push_back(&blocks[step.output]);
  }
  const size_t total = planArena(inside);
  if (total > kMaxArenaBytes) {
    fail(LOWBIT_OUT_OF_MEMORY, "These input shapes need %zu MiB for intermediate tensors; use a smaller batch.",
         total >> 20);
  }
  arena_ = PackedBytes(total);
  views_.resize(program.tensors.size());
  arguments_.resize(widest);
  for (size_t id = 0; id < views_.size(); ++id) {
    views_[id].shape = &shapes_[id];
    if (!outside[id]) views_[id].data = arena_.data() + blocks[id].offset;
  }
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
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    for (size_t i = 0; i < step.inputs.size(); ++i) arguments_[i] = views_[step.inputs[i]];
    const Clock::time_point start = profile ? Clock::now() : Clock::time_point();
    step.op->run(RunContext{kernels, pool, arguments_.data(), views_[step.output], scratch_.data(),
                            scratchPerThread_});
    if (profile) {
      profile->nanoseconds[s] += std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    }
  }
}

}  // namespace lowbit
