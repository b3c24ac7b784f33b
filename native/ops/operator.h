// What an op is to the planner: a shape rule, a scratch size and a run. Inner loops come from the kernel table.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "../base/shape.h"
#include "../isa/kernels.h"
#include "../base/ceil-div.h"
#include "../base/threads.h"
#include "../base/packed-bytes.h"

namespace lowbit {

// A tensor's memory during a run. Codes lie in rows `pitch` bytes apart; float32 and int32 data are dense.
struct View {
  uint8_t* data = nullptr;
  const Shape* shape = nullptr;
  // The pixel that lies around the tensor, for windows; null: one of zero points, which the op has.
  const uint8_t* padding = nullptr;

  size_t pitch() const { return rowPitch(shape->channels()); }
  uint8_t* row(int64_t index) const { return data + static_cast<size_t>(index) * pitch(); }
  // A row of elements of so many bytes.
  uint8_t* row(int64_t index, size_t bytes) const {
    return data + static_cast<size_t>(index) * rowBytes(*shape, bytes);
  }
  float* floats() const { return reinterpret_cast<float*>(data); }
  int32_t* ints() const { return reinterpret_cast<int32_t*>(data); }
};

// A rectangle of a tensor seen as a matrix of rows by channels.
struct Rows {
  int64_t first;
  int64_t count;
  int32_t firstChannel;
  int32_t channels;
};

class Operator;

// An element-wise op one of whose inputs is the output at hand, run in place on each piece of it while that is still in
// the cache.
struct Epilogue {
  const Operator* op = nullptr;
  const View* inputs = nullptr;
};

struct RunContext {
  const Kernels& kernels;
  const ThreadPool::Lease& pool;
  const View* inputs;
  View output;
  uint8_t* scratch;  // one block a thread
  size_t scratchStride;
  Epilogue epilogue;

  void runEpilogue(const Rows& rows) const;

  template <class T>
  T* threadScratch(int thread) const {
    return reinterpret_cast<T*>(scratch + static_cast<size_t>(thread) * scratchStride);
  }
};

class Operator {
 public:
  explicit Operator(std::string label) : label_(std::move(label)) {}
  virtual ~Operator() = default;

  // The shape of the output; throws LOWBIT_INVALID_SHAPE.
  virtual Shape outputShape(const std::vector<Shape>& inputs) const = 0;
  // Bytes of scratch that each thread needs for these shapes.
  virtual size_t scratchBytes(const std::vector<Shape>& /*inputs*/, const Shape& /*output*/) const { return 0; }
  virtual void run(const RunContext& context) const = 0;
  // Whether run() calls runEpilogue on each piece of its output.
  virtual bool takesEpilogue() const { return false; }
  // Whether the op can be such an epilogue for these shapes, and its run on a piece of its output.
  virtual bool canBeEpilogue(const std::vector<Shape>& /*inputs*/) const { return false; }
  virtual void runRows(const Kernels& /*kernels*/, const View* /*inputs*/, const View& /*output*/,
                       const Rows& /*rows*/) const {}
  // Bytes of packed weights held, without those in the program's shared packings.
  virtual size_t packedBytes() const { return 0; }

  // "QuantizedConv2D 'block_3/conv'", for messages.
  const std::string& label() const { return label_; }

 private:
  std::string label_;
};

inline void RunContext::runEpilogue(const Rows& rows) const {
  if (epilogue.op) epilogue.op->runRows(kernels, epilogue.inputs, output, rows);
}

// Zero-corrected clamp bounds of an output, as the kernels take them.
struct CodeRange {
  float low;
  float high;
  CodeRange(int32_t codeMin, int32_t codeMax, int32_t zeroPoint)
      : low(static_cast<float>(codeMin + 128 - zeroPoint)), high(static_cast<float>(codeMax + 128 - zeroPoint)) {}
};

}  // namespace lowbit
