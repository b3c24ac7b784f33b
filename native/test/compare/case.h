// Drawn operands, buffers that notice writes past their end, and comparisons that end the program.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../../isa/kernels.h"

namespace lowbit {
namespace compare {

constexpr size_t kOverRead = 64;
constexpr uint8_t kUntouched = 0xa5;

class Random {
 public:
  Random(uint64_t seed, int index) : engine_(seed * 1000003 + static_cast<uint64_t>(index)) {}

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(engine_); }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  template <class T>
  T pick(std::initializer_list<T> of) {
    return of.begin()[between(0, static_cast<int>(of.size()) - 1)];
  }

  // Small, or around a multiple of a vector's width.
  int size(int most) {
    const int near = 8 * between(1, std::max(1, most / 8)) + between(-1, 1);
    return std::clamp(chance(0.5) ? between(1, 9) : near, 1, most);
  }

  int32_t code() { return chance(0.5) ? between(0, 255) : pick({0, 1, 127, 128, 254, 255}); }

  std::vector<uint8_t> codes(size_t count) {
    std::vector<uint8_t> values(count);
    const int style = between(0, 2);
    for (uint8_t& value : values) {
      value = static_cast<uint8_t>(style == 0 ? between(0, 255) : style == 1 ? 255 * between(0, 1) : 0);
    }
    return values;
  }

  std::vector<int8_t> weights(size_t count) {
    std::vector<int8_t> values(count);
    const int style = between(0, 3);
    for (int8_t& value : values) {
      value = static_cast<int8_t>(style == 0   ? between(-127, 127)
                                  : style == 1 ? 254 * between(0, 1) - 127
                                  : style == 2 ? -127
                                               : between(-2, 2));
    }
    return values;
  }

  // Powers of 2 make ties when values are rounded.
  float multiplier(double sum) {
    if (chance(0.05)) return pick({1e-38f, 1e9f, 3e38f});
    if (chance(0.4)) return std::ldexp(1.0f, between(-6, 0));
    return real(0.1f, 300.0f) / static_cast<float>(sum + 1);
  }

 private:
  std::mt19937_64 engine_;
};

// Memory that the kernel finds filled, with 64-byte alignment and a margin behind it that nobody may write.
class Buffer {
 public:
  explicit Buffer(size_t size) : size_(size), bytes_(size + 2 * kMargin, kUntouched) {
    const size_t address = reinterpret_cast<size_t>(bytes_.data());
    offset_ = (kMargin - address % kMargin) % kMargin;
  }
  uint8_t* data() { return bytes_.data() + offset_; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }
  bool marginIntact() const {
    return std::all_of(bytes_.begin() + static_cast<ptrdiff_t>(offset_ + size_), bytes_.end(),
                       [](uint8_t byte) { return byte == kUntouched; });
  }

 private:
  static constexpr size_t kMargin = 64;
  size_t size_, offset_;
  std::vector<uint8_t> bytes_;
};

[[noreturn]] inline void fail(const char* what, const std::string& where) {
  std::printf("DIFFERENT: %s: %s\n", where.c_str(), what);
  std::exit(1);
}

template <class T>
std::string text(const char* name, T value) {
  return std::string(" ") + name + " " + std::to_string(value);
}

inline void compareBytes(const void* expected, const void* actual, size_t count, const std::string& where) {
  const uint8_t *a = static_cast<const uint8_t*>(expected), *b = static_cast<const uint8_t*>(actual);
  const size_t at = static_cast<size_t>(std::mismatch(a, a + count, b).first - a);
  if (at == count) return;
  const std::string what =
      text("byte", at) + text("is", static_cast<int>(b[at])) + text("instead of", static_cast<int>(a[at]));
  fail(what.c_str(), where);
}

// Calls `run(table, out)` for the scalar table and for `kernels`, and compares what they leave in `out`.
template <class Run>
void compareOutputs(const Kernels& kernels, size_t bytes, const std::string& where, Run run) {
  Buffer expected(bytes), actual(bytes);
  run(scalarKernels(), expected);
  run(kernels, actual);
  compareBytes(expected.data(), actual.data(), bytes, where);
  if (!actual.marginIntact()) fail("wrote past the end of the output", where);
}

inline size_t pitchOf(int channels) { return channels <= 4 ? 4 : static_cast<size_t>(channels + 15) / 16 * 16; }

// Pixels of `channels` codes each, and pointers to some of them in any order.
struct Pixels {
  std::vector<uint8_t> codes;
  std::vector<const uint8_t*> pointers;

  Pixels(Random& random, int channels, size_t pointerCount) {
    const int count = random.between(1, 20);
    codes = random.codes(static_cast<size_t>(count) * pitchOf(channels) + kOverRead);
    for (size_t i = 0; i < pointerCount; ++i) {
      pointers.push_back(codes.data() + static_cast<size_t>(random.between(0, count - 1)) * pitchOf(channels));
    }
  }
};

template <class Args>
void drawRange(Random& random, Args& args) {
  args.zeroPoint = random.code();
  const auto [low, high] = std::minmax({random.code(), random.code()});
  args.low = static_cast<float>(low - args.zeroPoint);
  args.high = static_cast<float>(high - args.zeroPoint);
}

inline std::vector<float> drawFloats(Random& random, size_t count, float most) {
  std::vector<float> values(count);
  for (float& value : values) value = random.real(-most, most);
  return values;
}

}  // namespace compare
}  // namespace lowbit
