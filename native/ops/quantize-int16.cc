// QuantizeInt16: real values as int16 codes whose scale fits the values at hand, sample by sample. A range of its own
// for every sample cannot cut off anything, and the codes of a sample do not depend on its batch.
#include <algorithm>
#include <cfloat>

#include "../isa/int16.h"
#include "int16.h"
#include "ops.h"
#include "rows.h"

namespace lowbit {
namespace {

// Below this all values of a sample are taken for zero: the inverse of the scale would leave the float32 range.
constexpr float kSmallest = 1e-30f;

constexpr float kMaxCode = 32767.0f;

class QuantizeInt16 : public Operator {
 public:
  explicit QuantizeInt16(OpReader& reader) : Operator(reader.label()) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return inputs[0]; }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape&) const override {
    return sizeof(int16_t) * static_cast<size_t>(std::max<int64_t>(kChunkElements, inputs[0].channels()));
  }

  void run(const RunContext& context) const override {
    const View& input = context.inputs[0];
    const Shape& shape = *input.shape;
    const int64_t samples = shape.samples(), perSample = shape.elements() / samples;
    float* scales = int16Scales(context.output);
    for (int64_t s = 0; s < samples; ++s) scales[s] = largest(context, input.floats() + s * perSample, perSample);
    const size_t channels = shape.channels(), pitch = int16Pitch(shape) / sizeof(int16_t);
    const int64_t rowsPerSample = shape.rows() / samples;
    forRows(
        context, shape,
        [&](int64_t first, int64_t rows, int thread) {
          int16_t* spare = context.threadScratch<int16_t>(thread);
          for (int64_t row = first, end; row < first + rows; row = end) {  // the rows of one sample at a time
            end = std::min(first + rows, (row / rowsPerSample + 1) * rowsPerSample);
            const float most = scales[row / rowsPerSample];
            int16_t* codes = reinterpret_cast<int16_t*>(context.output.data) + row * pitch;
            if (most < kSmallest) {
              std::memset(codes, 0, static_cast<size_t>(end - row) * pitch * sizeof(int16_t));
              continue;
            }
            int16_t* dense = pitch == channels ? codes : spare;
            context.kernels.int16.quantize(input.floats() + row * channels, static_cast<size_t>(end - row) * channels,
                                           kMaxCode / most, dense);
            if (dense == spare) spread(dense, end - row, channels, codes, pitch);
          }
        },
        kChunkElements);
    for (int64_t s = 0; s < samples; ++s) scales[s] = scales[s] < kSmallest ? 1 : scales[s] / kMaxCode;
  }

 private:
  static constexpr int64_t kChunkElements = 8192;

  // Rows side by side to rows `pitch` apart, filled up with zeros.
  static void spread(const int16_t* dense, int64_t rows, size_t channels, int16_t* codes, size_t pitch) {
    if (channels == 3 && pitch == kColorPitch) return spreadColors(dense, rows, codes);
    for (int64_t row = 0; row < rows; ++row, dense += channels, codes += pitch) {
      for (size_t c = 0; c < channels; ++c) codes[c] = dense[c];
      for (size_t c = channels; c < pitch; ++c) codes[c] = 0;
    }
  }

  static constexpr size_t kColorPitch = 8;

  // The same for pictures, where loops over three channels would cost more than what they do.
  static void spreadColors(const int16_t* dense, int64_t rows, int16_t* codes) {
    for (int64_t row = 0; row < rows; ++row, dense += 3, codes += kColorPitch) {
      const int16_t pixel[kColorPitch] = {dense[0], dense[1], dense[2]};
      std::memcpy(codes, pixel, sizeof pixel);
    }
  }

  static float largest(const RunContext& context, const float* values, int64_t count) {
    constexpr int kChunks = 64;
    float parts[kChunks] = {};
    const int64_t step = std::max<int64_t>(16384, ceilDiv(count, kChunks));
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(count, step)), [&](size_t chunk, int) {
      const int64_t first = static_cast<int64_t>(chunk) * step;
      parts[chunk] = context.kernels.int16.largest(values + first, static_cast<size_t>(std::min(step, count - first)));
    });
    return std::min(*std::max_element(parts, parts + kChunks), FLT_MAX);  // infinities end at the largest code
  }
};

}  // namespace

std::unique_ptr<Operator> makeQuantizeInt16(OpReader& reader, const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kFloat32);
  expectType(reader, "output", output, TensorType::kInt16);
  return std::make_unique<QuantizeInt16>(reader);
}

}  // namespace lowbit
