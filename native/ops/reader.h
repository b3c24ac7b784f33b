// Reads the parameters of one op out of a program that nobody vouches for.
#pragma once
#include <cmath>
#include <cstring>
#include <string>

#include "../plan/program.h"

namespace lowbit {

struct WeightBlob {
  const uint8_t* data;
  size_t bytes;
};

struct Activation {
  int32_t codeMin;
  int32_t codeMax;
  std::vector<uint8_t> table;  // 256 unsigned codes by unsigned code, or empty
  float preScale;
  int32_t preZeroPoint;  // unsigned
  float floatMin;
  float floatMax;
};

struct Window {
  int32_t kernelH, kernelW, strideH, strideW, dilationH, dilationW;
  int32_t mode, top, bottom, left, right;
  bool global() const { return kernelH == 0; }
};

enum class WeightFormat : int32_t { kInt8 = 0, kCodebook2, kCodebook3, kCodebook4, kTrellis2 };

// Of a low-bit format.
inline int bitsOf(WeightFormat format) { return format == WeightFormat::kTrellis2 ? 2 : static_cast<int>(format) + 1; }

struct Filter {
  int64_t offset;
  int64_t biasOffset;  // -1: none
  int64_t scaleOffset;
  WeightFormat format;
  // Of low-bit formats.
  int64_t levelsOffset;
  int32_t group;  // 0: the whole row
  float unit;
};

class OpReader {
 public:
  OpReader(std::string label, const int32_t* words, size_t count, WeightBlob weights)
      : label_(std::move(label)), words_(words), count_(count), weights_(weights) {}

  const std::string& label() const { return label_; }

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

  void end() {
    if (next_ != count_) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: %zu parameter words too many.", label_.c_str(), count_ - next_);
    }
  }

  // `bytes` bytes of the weights from `offset`.
  const uint8_t* bytes(const char* name, int64_t offset, int64_t bytes, int64_t alignment = 1) {
    if (offset < 0 || offset % alignment != 0 || bytes > static_cast<int64_t>(weights_.bytes) ||
        offset > static_cast<int64_t>(weights_.bytes) - bytes) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: %s needs %lld bytes at offset %lld, but the weights have %zu bytes.",
           label_.c_str(), name, static_cast<long long>(bytes), static_cast<long long>(offset), weights_.bytes);
    }
    return weights_.data + offset;
  }

  Filter filter() {
    Filter filter{};
    filter.offset = word();
    filter.biasOffset = word();
    filter.scaleOffset = word();
    const int32_t format = word();
    if (format < 0 || format > static_cast<int32_t>(WeightFormat::kTrellis2)) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: unknown weight format %d, expected 0 to %d.", label_.c_str(), format,
           static_cast<int32_t>(WeightFormat::kTrellis2));
    }
    filter.format = static_cast<WeightFormat>(format);
    if (filter.format == WeightFormat::kInt8) return filter;
    filter.levelsOffset = word();
    filter.group = word();
    filter.unit = real("unit of the filter scales");
    return filter;
  }

  // The filter of an op that takes no other format.
  Filter int8Filter() {
    const Filter filter = this->filter();
    if (filter.format != WeightFormat::kInt8) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: takes no weights of format %d; linear layers and 1x1 convolutions do.",
           label_.c_str(), static_cast<int32_t>(filter.format));
    }
    return filter;
  }

  // The weights of a filter; the range [-127, 127] lets a variant add two products in 16 bits.
  const int8_t* weights(const Filter& filter, int64_t count) {
    const uint8_t* data = bytes("filter", filter.offset, count);
    if (std::memchr(data, 0x80, static_cast<size_t>(count))) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has a weight of -128, expected weights in [-127, 127].",
           label_.c_str());
    }
    return reinterpret_cast<const int8_t*>(data);
  }

  Window window(bool mayBeGlobal) {
    constexpr int32_t kMaxExtent = 1 << 15;
    Window w;
    const int32_t least = mayBeGlobal ? 0 : 1;
    w.kernelH = word("kernel height", least, kMaxExtent);
    w.kernelW = word("kernel width", w.kernelH == 0 ? 0 : 1, w.kernelH == 0 ? 0 : kMaxExtent);
    w.strideH = word("stride height", 1, kMaxExtent);
    w.strideW = word("stride width", 1, kMaxExtent);
    w.dilationH = word("dilation height", 1, kMaxExtent);
    w.dilationW = word("dilation width", 1, kMaxExtent);
    w.mode = word("padding mode", 0, 2);
    w.top = word("padding top", 0, kMaxExtent);
    w.bottom = word("padding bottom", 0, kMaxExtent);
    w.left = word("padding left", 0, kMaxExtent);
    w.right = word("padding right", 0, kMaxExtent);
    if (static_cast<int64_t>(w.kernelH) * w.kernelW > kMaxExtent) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: kernel %d x %d has more than %d taps.", label_.c_str(), w.kernelH, w.kernelW,
           kMaxExtent);
    }
    return w;
  }

  Activation activation() {
    Activation a;
    a.codeMin = word("least output code", -128, 127);
    a.codeMax = word("greatest output code", a.codeMin, 127);
    const int32_t tableOffset = word();
    if (tableOffset != -1) a.table = table(tableOffset);
    a.preScale = real("scale before the table");
    if (!(a.preScale > 0) || std::isinf(a.preScale)) {
      fail(LOWBIT_INVALID_PROGRAM, "%s: scale before the table is %g, expected a positive number.", label_.c_str(),
           static_cast<double>(a.preScale));
    }
    a.preZeroPoint = word("zero point before the table", -128, 127) + 128;
    a.floatMin = real("least output");
    a.floatMax = real("greatest output");
    return a;
  }

  // `taker`: what cannot have one.
  void expectNoTable(const std::vector<uint8_t>& table, const char* taker) const {
    if (!table.empty()) fail(LOWBIT_INVALID_PROGRAM, "%s: %s takes no activation table.", label_.c_str(), taker);
  }

  // 256 int8 codes by int8 code + 128, as unsigned codes by unsigned code.
  std::vector<uint8_t> table(int32_t offset) {
    const uint8_t* codes = bytes("activation table", offset, 256);
    std::vector<uint8_t> unsignedCodes(256);
    for (int i = 0; i < 256; ++i) unsignedCodes[i] = static_cast<uint8_t>(codes[i] ^ 0x80);
    return unsignedCodes;
  }

 private:
  std::string label_;
  const int32_t* words_;
  size_t count_;
  size_t next_ = 0;
  WeightBlob weights_;
};

}  // namespace lowbit
