// QuantizedResizeBilinear: real values between the real values of four codes.
#include "resize.h"

#include "ops.h"

namespace lowbit {
namespace {

// With float32 operations, one rounding each, on x = (code - zero point) * scale:
//   column = x[y0] + (x[y1] - x[y0]) * fractionY       value = column[x0] + (column[x1] - column[x0]) * fractionX
// and the value is quantized as Quantize does it. Each row of the output needs two rows of floats, which the next row
// often needs again.
class ResizeBilinear : public Operator {
 public:
  ResizeBilinear(OpReader& reader, const ResizeSize& size, const Tensor& input, const Tensor& output)
      : Operator(reader.label()), resize_(size), input_(input), output_(output) {}

  Shape outputShape(const std::vector<Shape>& inputs) const override { return resize_.outputShape(label(), inputs[0]); }

  size_t scratchBytes(const std::vector<Shape>& inputs, const Shape& output) const override {
    return columnBytes(output) + sizeof(float) * (3 * rowElements(inputs[0]) + rowElements(output));
  }

  void run(const RunContext& context) const override {
    const Shape& in = *context.inputs[0].shape;
    const Shape& out = *context.output.shape;
    const int64_t lines = static_cast<int64_t>(out.dims[0]) * out.dims[1];
    const int64_t step = std::max<int64_t>(1, kChunkElements / static_cast<int64_t>(rowElements(out)));
    context.pool.parallelFor(static_cast<size_t>(ceilDiv(lines, step)), [&](size_t chunk, int thread) {
      Resize::Between* columns = context.threadScratch<Resize::Between>(thread);
      for (int32_t x = 0; x < out.dims[2]; ++x) columns[x] = resize_.between(x, in.dims[2], out.dims[2]);
      float* column = reinterpret_cast<float*>(context.threadScratch<uint8_t>(thread) + columnBytes(out));
      float* slots[2] = {column + rowElements(in), column + 2 * rowElements(in)};
      float* line = column + 3 * rowElements(in);
      int64_t held[2] = {-1, -1};  // the lines of the input that the slots hold: neighbours differ in parity
      const auto floats = [&](int64_t at, int32_t y) {
        if (input_.type == TensorType::kFloat32) {
          return context.inputs[0].floats() + at * static_cast<int64_t>(rowElements(in));
        }
        if (held[y % 2] != at) dequantizeLine(context, at, slots[y % 2]);
        held[y % 2] = at;
        return slots[y % 2];
      };
      const int64_t end = std::min(lines, static_cast<int64_t>(chunk + 1) * step);
      for (int64_t at = static_cast<int64_t>(chunk) * step; at < end; ++at) {
        const Resize::Between rows = resize_.between(static_cast<int32_t>(at % out.dims[1]), in.dims[1], out.dims[1]);
        const int64_t image = at / out.dims[1] * in.dims[1];
        const float* above = floats(image + rows.first, rows.first);
        const float* below = floats(image + rows.second, rows.second);
        for (size_t i = 0; i < rowElements(in); ++i) column[i] = above[i] + (below[i] - above[i]) * rows.fraction;
        const bool toCodes = output_.type == TensorType::kInt8;
        float* to = toCodes ? line : context.output.floats() + at * static_cast<int64_t>(rowElements(out));
        stretch(column, columns, out.dims[2], in.channels(), to);
        if (toCodes) quantizeLine(context, at, line);
      }
    });
  }

 private:
  static constexpr int64_t kChunkElements = 32768;

  // Elements of one line of an image.
  static size_t rowElements(const Shape& shape) { return static_cast<size_t>(shape.dims[2]) * shape.dims[3]; }

  static size_t columnBytes(const Shape& out) {
    return alignUp(sizeof(Resize::Between) * static_cast<size_t>(out.dims[2]));
  }

  static void stretch(const float* line, const Resize::Between* columns, int32_t width, int32_t channels, float* out) {
    for (int32_t x = 0; x < width; ++x, out += channels) {
      const float* left = line + static_cast<size_t>(columns[x].first) * channels;
      const float* right = line + static_cast<size_t>(columns[x].second) * channels;
      const float fraction = columns[x].fraction;
      for (int32_t c = 0; c < channels; ++c) out[c] = left[c] + (right[c] - left[c]) * fraction;
    }
  }

  void dequantizeLine(const RunContext& context, int64_t line, float* out) const {
    const View& input = context.inputs[0];
    const int32_t width = input.shape->dims[2];
    const size_t channels = input.shape->channels();
    const uint8_t* codes = input.row(line * width);
    const bool dense = input.pitch() == channels;
    const int32_t calls = dense ? 1 : width;
    const size_t count = dense ? channels * width : channels;
    for (int32_t i = 0; i < calls; ++i) {
      context.kernels.dequantize(codes + i * input.pitch(), count, input_.scale, input_.zeroPoint, out + i * channels);
    }
  }

  void quantizeLine(const RunContext& context, int64_t line, const float* floats) const {
    const View& output = context.output;
    const int32_t width = output.shape->dims[2];
    const size_t channels = output.shape->channels();
    uint8_t* codes = output.row(line * width);
    const bool dense = output.pitch() == channels;
    const int32_t calls = dense ? 1 : width;
    const size_t count = dense ? channels * width : channels;
    for (int32_t i = 0; i < calls; ++i) {
      context.kernels.quantize(floats + i * channels, count, output_.scale, output_.zeroPoint,
                               codes + i * output.pitch());
    }
  }

  Resize resize_;
  Tensor input_;
  Tensor output_;
};

}  // namespace

std::unique_ptr<Operator> makeResizeBilinear(OpReader& reader, const ResizeBilinearParams& params, const Tensor& input,
                                             const Tensor& output) {
  expectFloatOrCodes(reader, "input", input);
  expectFloatOrCodes(reader, "output", output);
  return std::make_unique<ResizeBilinear>(reader, params.size, input, output);
}

}  // namespace lowbit
