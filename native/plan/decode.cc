#include "decode.h"

#include <cmath>
#include <cstring>

#include "../base/ceil-div.h"
#include "../ops/factories.h"

namespace lowbit {
namespace {

constexpr int32_t kHeaderWords = 8;
constexpr int32_t kMaxNameBytes = 1024;

// A cursor over the words of the whole program.
class Words {
 public:
  Words(const int32_t* words, size_t count) : words_(words), count_(count) {}

  size_t left() const { return count_ - next_; }

  int32_t take(const char* what) {
    require(1, what);
    return words_[next_++];
  }

  const int32_t* take(size_t count, const char* what) {
    require(count, what);
    const int32_t* start = words_ + next_;
    next_ += count;
    return start;
  }

  // A count of things that take at least one word each.
  size_t takeCount(const char* what) {
    const int32_t value = take(what);
    if (value < 0 || static_cast<size_t>(value) > count_) {
      fail(LOWBIT_INVALID_PROGRAM, "The program is damaged: %d %s.", value, what);
    }
    return static_cast<size_t>(value);
  }

 private:
  void require(size_t count, const char* what) {
    if (left() < count) fail(LOWBIT_INVALID_PROGRAM, "The program is cut short: its %s are missing.", what);
  }

  const int32_t* words_;
  size_t count_;
  size_t next_ = 0;
};

// The zero point of a tensor and, of dynamic int8 codes, the granularity.
void decodeQuantization(Words& words, int32_t version, size_t index, Tensor* tensor) {
  const bool dynamic = tensor->type == TensorType::kDynamicInt8;
  int32_t zeroPoint = words.take("tensors");
  if (zeroPoint < -128 || zeroPoint > 127) {
    fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has zero point %d, expected -128 to 127.", index, zeroPoint);
  }
  int32_t granularity = 0;
  if (version >= kGranularityVersion) {
    granularity = words.take("tensors");
  } else if (dynamic) {
    granularity = zeroPoint;
    zeroPoint = 0;
  }
  const int32_t last = dynamic ? kGranularityCount - 1 : 0;
  if (granularity < 0 || granularity > last) {
    fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has granularity %d, expected 0 to %d.", index, granularity, last);
  }
  tensor->zeroPoint = zeroPoint + 128;
  tensor->granularity = static_cast<Granularity>(granularity);
}

Tensor decodeTensor(Words& words, int32_t version, size_t index) {
  Tensor tensor;
  const int32_t type = words.take("tensors");
  if (type < 0 || type >= kTensorTypeCount) {
    fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has type %d, which this version does not know.", index, type);
  }
  tensor.type = static_cast<TensorType>(type);
  tensor.declared.rank = words.take("tensors");
  if (tensor.declared.rank < 0 || tensor.declared.rank > kMaxRank) {
    fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has rank %d, expected 0 to %d.", index, tensor.declared.rank, kMaxRank);
  }
  const int32_t scaleBits = words.take("tensors");
  std::memcpy(&tensor.scale, &scaleBits, sizeof tensor.scale);
  if (!(tensor.scale > 0) || std::isinf(tensor.scale)) {
    fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has scale %g, expected a positive number.", index,
         static_cast<double>(tensor.scale));
  }
  decodeQuantization(words, version, index, &tensor);
  int64_t known = 1;
  for (int i = 0; i < tensor.declared.rank; ++i) {
    const int32_t dim = words.take("tensors");
    tensor.declared.dims[i] = dim;
    if (dim < -1 || dim == 0) {
      fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has shape %s: dimension %d is %d, expected -1 or at least 1.", index,
           tensor.declared.toString().c_str(), i, dim);
    }
    if (dim > 0) known *= dim;
    if (known > kMaxElements) {
      fail(LOWBIT_INVALID_PROGRAM, "Tensor %zu has shape %s: more than %lld elements.", index,
           tensor.declared.toString().c_str(), static_cast<long long>(kMaxElements));
    }
  }
  return tensor;
}

std::string decodeName(Words& words) {
  const int32_t bytes = words.take("op names");
  if (bytes < 0 || bytes > kMaxNameBytes) {
    fail(LOWBIT_INVALID_PROGRAM, "An op name has %d bytes, expected at most %d.", bytes, kMaxNameBytes);
  }
  const int32_t* start = words.take(static_cast<size_t>(ceilDiv(bytes, 4)), "op names");
  return std::string(reinterpret_cast<const char*>(start), static_cast<size_t>(bytes));
}

std::vector<int> decodeIds(Words& words, size_t tensors, const char* what) {
  const size_t count = words.takeCount(what);
  std::vector<int> ids(count);
  for (int& id : ids) {
    id = words.take(what);
    if (id < 0 || static_cast<size_t>(id) >= tensors) {
      fail(LOWBIT_INVALID_PROGRAM, "The program refers to tensor %d, but has %zu tensors.", id, tensors);
    }
  }
  return ids;
}

void checkInputs(const OpRow& row, const std::string& label, size_t inputs) {
  if (inputs < row.minInputs || inputs > row.maxInputs) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: has %zu inputs, expected %s%zu.", label.c_str(), inputs,
         row.maxInputs == kAnyNumber ? "at least " : "", row.minInputs);
  }
}

const OpRow& decodeKind(Words& words, int32_t version) {
  const int32_t kind = words.take("ops");
  const OpRow* row = findOp(kind);
  if (!row) {
    fail(LOWBIT_INVALID_PROGRAM, "The program has an op of kind %d, which this version does not know.", kind);
  }
  if (row->since > version) {
    fail(LOWBIT_INVALID_PROGRAM, "The program has format version %d and a %s, which came with version %d.", version,
         row->name, row->since);
  }
  return *row;
}

Step decodeStep(Words& words, int32_t version, const Program& program, WeightBlob weights, const Kernels& kernels,
                SharedPackings& packings, std::vector<bool>& written) {
  const OpRow& row = decodeKind(words, version);
  const int32_t recordWords = words.take("ops");
  if (recordWords < 2) fail(LOWBIT_INVALID_PROGRAM, "An op record has %d words.", recordWords);
  const size_t bodyWords = static_cast<size_t>(recordWords) - 2;
  Words body(words.take(bodyWords, "ops"), bodyWords);

  const std::string label = std::string(row.name) + " '" + decodeName(body) + "'";
  Step step;
  step.inputs = decodeIds(body, program.tensors.size(), "op inputs");
  const std::vector<int> outputs = decodeIds(body, program.tensors.size(), "op outputs");
  if (outputs.size() != 1) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: has %zu outputs, expected 1.", label.c_str(), outputs.size());
  }
  step.output = outputs[0];
  std::vector<Tensor> inputs;
  for (int id : step.inputs) {
    if (!written[id]) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: reads tensor %d before anything writes it.", label.c_str(), id);
    }
    inputs.push_back(program.tensors[id]);
  }
  if (written[step.output]) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: writes tensor %d, which is written already.", label.c_str(), step.output);
  }
  written[step.output] = true;

  const size_t parameterWords = body.left();
  OpReader reader(label, body.take(parameterWords, "parameters"), parameterWords, weights, kernels, packings);
  checkInputs(row, label, inputs.size());
  step.op = makeOperator(row.kind, reader, inputs, program.tensors[step.output]);
  reader.end();
  return step;
}

}  // namespace

Program decodeProgram(const int32_t* data, size_t wordCount, const WeightBlob& weights, const Kernels& kernels) {
  if (wordCount < kHeaderWords || data[0] != kProgramMagic) {
    fail(LOWBIT_INVALID_PROGRAM, "This is not a quantized program; convert the model again.");
  }
  if (data[1] > kProgramVersion) {
    fail(LOWBIT_UNSUPPORTED_VERSION,
         "The program has format version %d, but this engine reads up to version %d; install a newer tfjs-lowbit.",
         data[1], kProgramVersion);
  }
  if (data[1] < 1 || data[2] < kHeaderWords || static_cast<size_t>(data[2]) != wordCount) {
    fail(LOWBIT_INVALID_PROGRAM, "The program has %zu words, but its header tells version %d and %d words.", wordCount,
         data[1], data[2]);
  }
  Words words(data, wordCount);
  words.take(3, "header");
  const size_t tensorCount = words.takeCount("tensors");
  const size_t stepCount = words.takeCount("ops");
  const size_t inputCount = words.takeCount("inputs");
  const size_t outputCount = words.takeCount("outputs");
  words.take("header");
  if (inputCount == 0 || outputCount == 0) {
    fail(LOWBIT_INVALID_PROGRAM, "The program has %zu inputs and %zu outputs, expected at least 1 of each.", inputCount,
         outputCount);
  }

  Program program;
  const int32_t* inputs = words.take(inputCount, "inputs");
  const int32_t* outputs = words.take(outputCount, "outputs");
  for (size_t i = 0; i < tensorCount; ++i) program.tensors.push_back(decodeTensor(words, data[1], i));

  std::vector<bool> written(tensorCount);
  auto checkBorder = [&](int32_t id, const char* what) {
    if (id < 0 || static_cast<size_t>(id) >= tensorCount) {
      fail(LOWBIT_INVALID_PROGRAM, "The %s tensor %d is not one of %zu.", what, id, tensorCount);
    }
    const TensorType type = program.tensors[id].type;
    if (type != TensorType::kFloat32 && type != TensorType::kInt32) {
      fail(LOWBIT_INVALID_PROGRAM, "The %s tensor %d is %s; only float32 and int32 cross the border.", what, id,
           nameOf(type));
    }
  };
  for (size_t i = 0; i < inputCount; ++i) {
    checkBorder(inputs[i], "input");
    if (written[inputs[i]]) fail(LOWBIT_INVALID_PROGRAM, "Tensor %d is an input twice.", inputs[i]);
    written[inputs[i]] = true;
    program.inputs.push_back(inputs[i]);
  }
  std::vector<bool> isInput = written;
  for (size_t i = 0; i < stepCount; ++i) {
    program.steps.push_back(decodeStep(words, data[1], program, weights, kernels, program.packings, written));
    program.packedBytes += program.steps.back().op->packedBytes();
    if (weights.loader) weights.loader->endStep();
  }
  program.packedBytes += program.packings.bytes();
  if (words.left() != 0) {
    fail(LOWBIT_INVALID_PROGRAM, "The program has %zu words after its last op.", words.left());
  }
  std::vector<bool> isOutput(tensorCount);
  for (size_t i = 0; i < outputCount; ++i) {
    checkBorder(outputs[i], "output");
    if (!written[outputs[i]] || isInput[outputs[i]] || isOutput[outputs[i]]) {
      fail(LOWBIT_INVALID_PROGRAM, "Output tensor %d must be written by one op and named once.", outputs[i]);
    }
    isOutput[outputs[i]] = true;
    program.outputs.push_back(outputs[i]);
  }
  return program;
}

}  // namespace lowbit
