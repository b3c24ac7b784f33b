#include "expert.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "../isa/low-bit-matrix.h"
#include "../base/exp.h"
#include "../ops/float-tile.h"
#include "../ops/stored-rows.h"
#include "../base/error.h"
#include "../base/threads.h"

namespace lowbit {
namespace {

constexpr size_t kPart = 64;
constexpr int64_t kMaxWeights = int64_t{1} << 31;

float activate(float x, ExpertActivation activation) {
  switch (activation) {
    case ExpertActivation::kNone: return x;
    case ExpertActivation::kRelu: return x > 0 ? x : 0;
    case ExpertActivation::kSilu: return x * sigmoid(x);
    // 0.5 (1 + tanh(y)) is sigmoid(2 y); y = sqrt(2 / pi) (x + 0.044715 x^3).
    case ExpertActivation::kGelu: return x * sigmoid(1.5957691f * (x + 0.044715f * x * x * x));
  }
  return x;
}

// A matrix within the bytes of an expert.
struct ExpertMatrix {
  bool int8;
  LowBitMatrix matrix;  // int8: codes are code + 128, scales are not used
  const float* rowScales;
  const float* bias;

  void decode(const Kernels& kernels, const Tile& tile, float* out) const {
    if (int8) {
      decodeInt8(kernels, matrix, rowScales, tile, out, FloatTile::kPiece);
    } else {
      kernels.rows.decode(matrix, tile, out, FloatTile::kPiece, false);
    }
  }
};

// Takes an expert's bytes apart.
class Parts {
 public:
  Parts(const uint8_t* bytes, size_t size) : at_(bytes), left_(size) {}

  ExpertMatrix matrix(const char* name, int32_t rows, int32_t depth) {
    uint32_t words[6];
    const uint8_t* header = next(kPart);
    std::memcpy(words, header, sizeof words);
    const WeightFormat weights = static_cast<WeightFormat>(words[0]);
    const bool int8 = weights == WeightFormat::kInt8;
    if (!(int8 || isLowBit(weights)) || words[1] != static_cast<uint32_t>(rows) ||
        words[2] != static_cast<uint32_t>(depth) || words[3] % 32 != 0 || words[4] > 1) {
      fail(LOWBIT_INVALID_ARGUMENT,
           "Matrix %s of an expert is [%u, %u] of format %u, expected [%d, %d] of int8 or a low-bit format.", name,
           words[1], words[2], words[0], rows, depth);
    }
    ExpertMatrix result{};
    result.int8 = int8;
    LowBitMatrix& matrix = result.matrix;
    matrix.rows = rows;
    matrix.depth = depth;
    LowBitFormat& format = matrix.format;
    format.trellis = weights == WeightFormat::kTrellis2;
    format.bits = bitsOf(weights);
    format.group = words[3] == 0 ? depth : static_cast<int>(std::min(words[3], words[2]));
    std::memcpy(&format.unit, &words[5], sizeof format.unit);
    std::memcpy(format.levels, header + 32, sizeof format.levels);
    const size_t count = static_cast<size_t>(rows);
    matrix.codes = next(count * matrix.rowBytes());
    if (result.int8) {
      result.rowScales = reinterpret_cast<const float*>(next(count * sizeof(float)));
    } else {
      matrix.scales = reinterpret_cast<const uint16_t*>(next(count * matrix.groups() * sizeof(uint16_t)));
    }
    if (words[4] == 1) result.bias = reinterpret_cast<const float*>(next(count * sizeof(float)));
    return result;
  }

 private:
  const uint8_t* next(size_t bytes) {
    const size_t padded = (bytes + kPart - 1) / kPart * kPart;
    if (padded > left_) fail(LOWBIT_INVALID_ARGUMENT, "The bytes of an expert end before its matrices do.");
    const uint8_t* part = at_;
    at_ += padded;
    left_ -= padded;
    return part;
  }

  const uint8_t* at_;
  size_t left_;
};

// store(row, output, value) of a linear layer.
template <class Store>
void linear(const Kernels& kernels, const ThreadPool::Lease& pool, const ExpertMatrix& weights, const float* x,
            int64_t rows, Store&& store) {
  FloatTile::product(
      kernels, pool, x, rows, weights.matrix.depth, weights.matrix.rows,
      [&](const Tile& tile, float* values) { weights.decode(kernels, tile, values); },
      [&](int64_t m, int32_t n, float total) { store(m, n, total + (weights.bias ? weights.bias[n] : 0)); });
}

}  // namespace

void runExpert(const Kernels& kernels, const lowbit_expert_shape& shape, const uint8_t* bytes, size_t size,
               const float* x, const int32_t* rows, const float* weights, int32_t count, const int32_t* outRows,
               float* out) {
  const int32_t width = shape.width, hidden = shape.hidden;
  if (width < 1 || hidden < 1 || shape.activation < 0 || shape.activation >= kExpertActivationCount ||
      static_cast<int64_t>(width) * hidden > kMaxWeights) {
    fail(LOWBIT_INVALID_ARGUMENT, "An expert cannot have width %d, hidden size %d and activation %d.", width, hidden,
         shape.activation);
  }
  const auto activation = static_cast<ExpertActivation>(shape.activation);
  Parts parts(bytes, size);
  const ExpertMatrix up = parts.matrix("up", hidden, width);
  ExpertMatrix gate{};
  if (shape.gated) gate = parts.matrix("gate", hidden, width);
  const ExpertMatrix down = parts.matrix("down", width, hidden);

  const ThreadPool::Lease pool(ThreadPool::shared());
  std::vector<float> gathered(static_cast<size_t>(count) * width), inner(static_cast<size_t>(count) * hidden);
  for (int32_t i = 0; i < count; ++i) {
    std::memcpy(gathered.data() + static_cast<size_t>(i) * width, x + static_cast<size_t>(rows[i]) * width,
                width * sizeof(float));
  }
  const auto innerAt = [&](int64_t m, int32_t n) -> float& { return inner[static_cast<size_t>(m) * hidden + n]; };
  linear(kernels, pool, up, gathered.data(), count,
         [&](int64_t m, int32_t n, float value) { innerAt(m, n) = shape.gated ? value : activate(value, activation); });
  if (shape.gated) {
    linear(kernels, pool, gate, gathered.data(), count,
           [&](int64_t m, int32_t n, float value) { innerAt(m, n) *= activate(value, activation); });
  }
  linear(kernels, pool, down, inner.data(), count, [&](int64_t m, int32_t n, float value) {
    out[static_cast<size_t>(outRows[m]) * width + n] = weights[m] * value;
  });
}

}  // namespace lowbit
