// Reads one op of an untrusted program: its parameters word by word, and what they refer to in the weights.
#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "../base/error.h"
#include "../base/packed-bytes.h"
#include "params.h"

namespace lowbit {

struct Kernels;

// Brings weights into memory when they are needed.
class WeightLoader {
 public:
  virtual ~WeightLoader() = default;
  // Where they lie until the end of the step.
  virtual const uint8_t* load(size_t offset, size_t bytes) = 0;
  // An op is done with its weights; they may go.
  virtual void endStep() = 0;
};

struct WeightBlob {
  const uint8_t* data;  // unless there is a loader
  size_t bytes;
  WeightLoader* loader;  // null: all weights are there
};

class OpReader {
 public:
  OpReader(std::string label, const int32_t* words, size_t count, WeightBlob weights, const Kernels& kernels,
           SharedPackings& packings)
      : label_(std::move(label)),
        words_(words),
        count_(count),
        weights_(weights),
        kernels_(kernels),
        packings_(packings) {}

  const std::string& label() const { return label_; }

  // Those that the op packs its weights for.
  const Kernels& kernels() const { return kernels_; }

  // Of all ops of the program.
  SharedPackings& packings() const { return packings_; }

  int32_t word() {
    if (next_ == count_) fail(LOWBIT_INVALID_PROGRAM, "%s: parameters are cut short.", label_.c_str());
    return words_[next_++];
  }

  int32_t word(const char* name, int32_t min, int32_t max) {
    const int32_t value = word();
    if (value < min || value > max) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: %s is %d, expected %d to %d.", label_.c_str(), name, value, min, max);
    }
    return value;
  }

  float real(const char* name) {
    const int32_t bits = word();
    float value;
    std::memcpy(&value, &bits, sizeof value);
    if (std::isnan(value)) fail(LOWBIT_INVALID_PROGRAM, "%s: %s is NaN.", label_.c_str(), name);
    return value;
  }

  float positive(const char* name) {
    const float value = real(name);
    if (!(value > 0) || std::isinf(value)) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: %s is %g, expected a positive number.", label_.c_str(), name,
           static_cast<double>(value));
    }
    return value;
  }

  // The table at the offset that is the next word, or none where that is -1.
  std::vector<uint8_t> optionalTable(const char* name) {
    const int32_t offset = word();
    return offset == -1 ? std::vector<uint8_t>() : table(name, offset);
  }

  void end() {
    if (next_ != count_) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: %zu parameter words too many.", label_.c_str(), count_ - next_);
    }
  }

  // `bytes` bytes of the weights from `offset`.
  const uint8_t* bytes(const char* name, int64_t offset, int64_t bytes, int64_t alignment = 1) const {
    if (offset < 0 || offset % alignment != 0 || bytes > static_cast<int64_t>(weights_.bytes) ||
        offset > static_cast<int64_t>(weights_.bytes) - bytes) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: %s needs %lld bytes at offset %lld, but the weights have %zu bytes.",
           label_.c_str(), name, static_cast<long long>(bytes), static_cast<long long>(offset), weights_.bytes);
    }
    if (weights_.loader) return weights_.loader->load(static_cast<size_t>(offset), static_cast<size_t>(bytes));
    return weights_.data + offset;
  }

  std::vector<float> floats(const char* name, int64_t offset, int64_t count) const {
    // Checked before memory is had for as many.
    const uint8_t* data = bytes(name, offset, 4 * count, 4);
    std::vector<float> values(static_cast<size_t>(count));
    std::memcpy(values.data(), data, sizeof(float) * values.size());
    return values;
  }

  // 256 int8 codes by int8 code + 128, as unsigned codes by unsigned code.
  std::vector<uint8_t> table(const char* name, int64_t offset) const {
    const uint8_t* codes = bytes(name, offset, 256);
    std::vector<uint8_t> unsignedCodes(256);
    for (int i = 0; i < 256; ++i) unsignedCodes[i] = static_cast<uint8_t>(codes[i] ^ 0x80);
    return unsignedCodes;
  }

  // The int8 weights of a filter; the range [-127, 127] lets a variant add two products in 16 bits.
  const int8_t* weights(const Filter& filter, int64_t count) const {
    const uint8_t* data = bytes("filter", filter.filterOffset, count);
    if (std::memchr(data, 0x80, static_cast<size_t>(count))) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has a weight of -128, expected weights in [-127, 127].",
           label_.c_str());
    }
    return reinterpret_cast<const int8_t*>(data);
  }

 private:
  std::string label_;
  const int32_t* words_;
  size_t count_;
  size_t next_ = 0;
  WeightBlob weights_;
  const Kernels& kernels_;
  SharedPackings& packings_;
};

}  // namespace lowbit
