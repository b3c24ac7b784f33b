// QuantizedConv2DTranspose: the gradient of a convolution with respect to its input.
#include "ops.h"
#include "weighted.h"
#include "window.h"

namespace lowbit {
namespace {

// Input pixel i spreads over the outputs i * stride + k - padding, k < kernel. Seen from output o, with
// o + padding = q * stride + p, that is a sum over the taps k = p + j * stride of input q - j. So the outputs of one
// phase p (one a row and one a column) are a convolution of stride 1 with every stride-th tap: a GEMM whose output rows
// lie `stride` pixels apart.
class TransposedConvolution : public Operator {
 public:
  struct Geometry {
    Window window;
    int32_t inChannels, outChannels;
    int32_t outH, outW;  // 0: what the input and the window imply
  };

  // filter [outChannels][kernelH][kernelW][inChannels]
  TransposedConvolution(OpReader& reader, const Geometry& geometry, const int8_t* filter, const Filter& offsets,
                        const Activation& activation, const Tensor& input, const Tensor& output)
      : Operator(reader.label()),
        geometry_(geometry),
        toFloat_(output.type == TensorType::kFloat32),
        zeroRow_(geometry.inChannels + 64, static_cast<uint8_t>(input.zeroPoint)) {
    const Window& w = geometry.window;
    for (int32_t py = 0; py < phases(w.strideH, w.kernelH); ++py) {
      for (int32_t px = 0; px < phases(w.strideW, w.kernelW); ++px) {
        const int32_t tapsY = tapsOf(py, w.strideH, w.kernelH), tapsX = tapsOf(px, w.strideW, w.kernelW);
        const std::vector<int8_t> part = phaseFilter(filter, py, px, tapsY, tapsX);
        phases_.emplace_back(reader, geometry, part.data(), tapsY, tapsX, offsets, activation, input, output);
        scratchOfGemm_ = std::max(scratchOfGemm_, phases_.back().scratchBytes);
        mostTaps_ = std::max(mostTaps_, tapsY * tapsX);
      }
    }
  }

  Shape outputShape(const std::vector<Shape>& inputs) const override {
    const WindowPlan plan = planOutput(inputs[0]);
    return Shape{4, {plan.batch, plan.inH, plan.inW, geometry_.outChannels}};
  }

  size_t scratchBytes(const std::vector<Shape>&, const Shape&) const override {
    return scratchOfGemm_ + sizeof(uint8_t*) * static_cast<size_t>(mostTaps_) * kRows;
  }

  void run(const RunContext& context) const override {
    const WindowPlan plan = planOutput(*context.inputs[0].shape);
    const Window& w = geometry_.window;
    const int64_t lines = static_cast<int64_t>(plan.batch) * plan.inH;
    context.pool.parallelFor(static_cast<size_t>(lines), [&](size_t line, int thread) {
      const int32_t y = static_cast<int32_t>(static_cast<int64_t>(line) % plan.inH) + plan.top;
      for (int32_t px = 0; px < std::min(w.strideW, plan.inW); ++px) {
        const int32_t x = px + plan.left;
        const int32_t columns = phases(w.strideW, w.kernelW);
        const Phase& phase = phases_[std::min(y % w.strideH, w.kernelH) * columns + std::min(x % w.strideW, w.kernelW)];
        runPhase(context, plan, phase, static_cast<int64_t>(line), y / w.strideH, px, thread);
      }
    });
  }

 private:
  static constexpr int32_t kRows = 256;

  struct Phase {
    int32_t tapsY, tapsX;  // 1 x 1 of weight 0 where no tap falls on the phase
    ChannelStage stage;
    PackedMatrix matrix;
    size_t scratchBytes;

    Phase(OpReader& reader, const Geometry& geometry, const int8_t* filter, int32_t y, int32_t x, const Filter& offsets,
          const Activation& activation, const Tensor& input, const Tensor& output)
        : tapsY(y),
          tapsX(x),
          stage(makeStage(reader, geometry, filter, y * x, offsets, activation, input, output)),
          matrix(reader, filter, geometry.outChannels, y * x, geometry.inChannels, stage.from(0)),
          scratchBytes(alignUp(reader.kernels().gemmScratchBytes(y * x, geometry.inChannels))) {}
  };

  // Phases from the kernel's extent on have no taps and are all alike.
  static int32_t phases(int32_t stride, int32_t kernel) { return std::min(stride, kernel + 1); }
  static int32_t tapsOf(int32_t phase, int32_t stride, int32_t kernel) {
    return std::max<int32_t>(1, static_cast<int32_t>(ceilDiv(kernel - phase, stride)));
  }

  // [outChannels][tapsY][tapsX][inChannels]
  std::vector<int8_t> phaseFilter(const int8_t* filter, int32_t py, int32_t px, int32_t tapsY, int32_t tapsX) const {
    const Window& w = geometry_.window;
    const size_t depth = geometry_.inChannels;
    std::vector<int8_t> part(static_cast<size_t>(geometry_.outChannels) * tapsY * tapsX * depth);
    int8_t* to = part.data();
    for (int32_t n = 0; n < geometry_.outChannels; ++n) {
      for (int32_t jy = 0; jy < tapsY; ++jy) {
        for (int32_t jx = 0; jx < tapsX; ++jx, to += depth) {
          const int64_t ky = py + static_cast<int64_t>(jy) * w.strideH, kx = px + static_cast<int64_t>(jx) * w.strideW;
          if (ky >= w.kernelH || kx >= w.kernelW) continue;
          std::memcpy(to, filter + ((static_cast<int64_t>(n) * w.kernelH + ky) * w.kernelW + kx) * depth, depth);
        }
      }
    }
    return part;
  }

  static ChannelStage makeStage(OpReader& reader, const Geometry& geometry, const int8_t* filter, int32_t taps,
                                const Filter& offsets, const Activation& activation, const Tensor& input,
                                const Tensor& output) {
    const int64_t perOutput = static_cast<int64_t>(taps) * geometry.inChannels;
    std::vector<int64_t> sums(geometry.outChannels), magnitudes(geometry.outChannels);
    for (int32_t n = 0; n < geometry.outChannels; ++n) {
      for (int64_t i = 0; i < perOutput; ++i) {
        sums[n] += filter[n * perOutput + i];
        magnitudes[n] += std::abs(static_cast<int>(filter[n * perOutput + i]));
      }
    }
    return ChannelStage(reader, offsets, geometry.outChannels, input, output, activation, sums, magnitudes);
  }

  // The window as a convolution from the output of this op (inH x inW of the plan) to its input (outH x outW).
  WindowPlan planOutput(const Shape& in) const {
    if (in.rank != 4 || in.dims[3] != geometry_.inChannels) {
      fail(LOWBIT_INVALID_SHAPE, "%s: filter has %d input channels but the activation has shape %s.", label().c_str(),
           geometry_.inChannels, in.toString().c_str());
    }
    const Window& w = geometry_.window;
    const Shape out{
        4,
        {in.dims[0], extent(geometry_.outH, in.dims[1], w.kernelH, w.strideH, w.padding.top + w.padding.bottom),
         extent(geometry_.outW, in.dims[2], w.kernelW, w.strideW, w.padding.left + w.padding.right),
         geometry_.outChannels}};
    const WindowPlan plan = planWindow(label(), w, out);
    if (plan.outH != in.dims[1] || plan.outW != in.dims[2]) {
      fail(LOWBIT_INVALID_SHAPE, "%s: a convolution of %d x %d pixels gives %d x %d, but the activation has shape %s.",
           label().c_str(), out.dims[1], out.dims[2], plan.outH, plan.outW, in.toString().c_str());
    }
    return plan;
  }

  // The output extent that was asked for, or the one that gives `in` without a rest.
  int32_t extent(int32_t wanted, int32_t in, int32_t kernel, int32_t stride, int32_t padding) const {
    int64_t out = wanted;
    const PaddingMode mode = geometry_.window.padding.mode;
    if (wanted == 0 && mode == PaddingMode::kSame) out = static_cast<int64_t>(in) * stride;
    if (wanted == 0 && mode != PaddingMode::kSame) {
      out = static_cast<int64_t>(in - 1) * stride + kernel - (mode == PaddingMode::kExplicit ? padding : 0);
    }
    if (out < 1 || out > kMaxExtent) {
      fail(LOWBIT_INVALID_SHAPE, "%s: the output would have %lld pixels along an axis.", label().c_str(),
           static_cast<long long>(out));
    }
    return static_cast<int32_t>(out);
  }

  // The pixels firstX, firstX + stride... of one line of the output (of all images). `qy`: (y + padding) / stride.
  void runPhase(const RunContext& context, const WindowPlan& plan, const Phase& phase, int64_t line, int32_t qy,
                int32_t firstX, int thread) const {
    const Window& w = geometry_.window;
    uint8_t* scratch = context.threadScratch<uint8_t>(thread);
    const uint8_t** pointers = reinterpret_cast<const uint8_t**>(scratch + scratchOfGemm_);
    const int32_t total = static_cast<int32_t>(ceilDiv(plan.inW - firstX, w.strideW));
    const int32_t firstQ = (firstX + plan.left) / w.strideW;
    const OutputStage stage = phase.stage.output();
    for (int32_t done = 0; done < total; done += kRows) {
      GemmArgs args{};
      args.rows = pointers;
      args.rowCount = std::min(kRows, total - done);
      args.taps = phase.tapsY * phase.tapsX;
      args.depth = geometry_.inChannels;
      args.stage = &stage;
      args.scratch = scratch;
      gather(context.inputs[0], plan, phase, line / plan.inH, qy, firstQ + done, args.rowCount, pointers);
      const int64_t pixel = line * plan.inW + firstX + static_cast<int64_t>(done) * w.strideW;
      for (const PackedMatrix::Block& block : phase.matrix.blocks()) {
        args.packed = block.packed;
        args.outputs = block.count;
        if (toFloat_) {
          args.floatOut = context.output.floats() + pixel * geometry_.outChannels + block.first;
          args.outStride = static_cast<size_t>(geometry_.outChannels) * w.strideW;
        } else {
          args.out = context.output.row(pixel) + block.first;
          args.outStride = context.output.pitch() * w.strideW;
        }
        context.kernels.gemm(args);
      }
    }
  }

  // pointers[tap * count + m]: input pixel (qy - jy, qx + m - jx), or zero points outside of it.
  void gather(const View& input, const WindowPlan& plan, const Phase& phase, int64_t image, int32_t qy, int32_t qx,
              int32_t count, const uint8_t** pointers) const {
    for (int32_t jy = 0; jy < phase.tapsY; ++jy) {
      const int32_t y = qy - jy;
      const bool rowInside = y >= 0 && y < plan.outH;
      for (int32_t jx = 0; jx < phase.tapsX; ++jx) {
        for (int32_t m = 0; m < count; ++m) {
          const int32_t x = qx + m - jx;
          const bool inside = rowInside && x >= 0 && x < plan.outW;
          *pointers++ = inside ? input.row((image * plan.outH + y) * plan.outW + x) : zeroRow_.data();
        }
      }
    }
  }

  Geometry geometry_;
  bool toFloat_;
  std::vector<uint8_t> zeroRow_;
  std::vector<Phase> phases_;  // by row phase, then column phase
  size_t scratchOfGemm_ = 0;
  int32_t mostTaps_ = 1;
};

}  // namespace

std::unique_ptr<Operator> makeTransposedConv2D(OpReader& reader, const TransposedConv2DParams& params,
                                               const Tensor& input, const Tensor& output) {
  expectType(reader, "input", input, TensorType::kInt8);
  expectFloatOrCodes(reader, "output", output);
  const Window& w = params.window;
  if (w.dilationH != 1 || w.dilationW != 1) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: a transposed convolution takes no dilation.", reader.label().c_str());
  }
  const int64_t matrix = static_cast<int64_t>(params.inChannels) * params.outChannels;
  const int64_t taps = static_cast<int64_t>(w.kernelH) * w.kernelW;
  if (matrix > kMaxElements || taps * matrix > kMaxElements) {
    fail(LOWBIT_INVALID_PROGRAM, "%s: the filter has more than %lld weights.", reader.label().c_str(),
         static_cast<long long>(kMaxElements));
  }
  const int8_t* bytes = reader.weights(params.filter, taps * matrix);
  const TransposedConvolution::Geometry geometry{w, params.inChannels, params.outChannels, params.outputH,
                                                 params.outputW};
  return std::make_unique<TransposedConvolution>(reader, geometry, bytes, params.filter, params.activation, input,
                                                 output);
}

}  // namespace lowbit
