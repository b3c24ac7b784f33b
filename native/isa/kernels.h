// The table of inner loops that an instruction set provides. Everything else (shapes, padding, broadcasting, threads)
// is written once, in ops/, and is free of instruction sets.
//
// Inside the engine an activation is an unsigned code u = int8 code + 128, so zero points here are unsigned as well.
// A tensor is a matrix of rows (all dims but the last) by channels (the last dim), rows `pitch` bytes apart; pitch is
// the channel count rounded up to 16 (to 4 up to 4 channels). Bytes between channels and pitch have no defined value.
// A kernel may read up to 64 bytes past the end of any row it is given, and writes exactly the elements of its output.
//
// The scalar kernels are the definition; those of every other set equal them bit for bit. All float arithmetic is
// float32, one rounding an operation (compile with -ffp-contract=off), conversions to integer round half to even.
#pragma once
#include <cstddef>
#include <cstdint>

#include "dynamic.h"
#include "int16.h"
#include "low-bit-matrix.h"
#include "probe.h"
#include "routing.h"
#include "rows.h"

namespace lowbit {

// What the store of a convolution or a linear layer needs of each output channel. The packing keeps a copy of it.
struct ChannelConstants {
  const int32_t* bias;  // includes the correction -zeroPoint(input) * sum(filter)
  const float* multiplier;
};

// From an int32 accumulator to an output element of channel n:
//   value = (float)(accumulator + bias[n]) * multiplier[n]
//   code  = (int32)rint(min(max(value, low), high)) + zeroPoint          low, high: clamp bounds less the zero point
//   out   = table ? table[code] : code
// or, for a float32 output, min(max(value, low), high).
// accumulator + bias wraps modulo 2^32 and its true value always fits int32 (checked when a program is compiled).
// Where `bounded`, |value| stays below 2^31 for every input: the value may be converted first and then clamped as an
// integer, which is the same, as rint is monotonic and the bounds are integers.
struct OutputStage {
  float low;
  float high;
  int32_t zeroPoint;     // unsigned code
  const uint8_t* table;  // 256 unsigned codes by unsigned code, or nullptr
  bool bounded;

  uint8_t codeLow() const { return codeOfBound(low); }
  uint8_t codeHigh() const { return codeOfBound(high); }

 private:
  // The bounds of a float32 output may be infinite; they make no codes, but every stage has some.
  uint8_t codeOfBound(float bound) const {
    const float code = bound + static_cast<float>(zeroPoint);
    return static_cast<uint8_t>(code > 0.0f ? (code < 255.0f ? code : 255.0f) : 0.0f);
  }
};

// out[m][n] = stage(sum over t < taps, k < depth of row(t, m)[k] * filter[n][t][k])
// A 1x1 convolution of stride 1 and a linear layer have taps = 1, rows = nullptr and row m at base + m * rowStride.
// Otherwise row(t, m) = rows[t * rowCount + m]: an indirect convolution; padded taps point to a row of zero points.
struct GemmArgs {
  const uint8_t* const* rows;
  const uint8_t* base;
  size_t rowStride;
  int rowCount;
  int taps;
  int depth;
  const void* packed;  // made by packGemm
  int outputs;
  const OutputStage* stage;
  void* scratch;    // gemmScratchBytes(taps, depth), 64-aligned
  uint8_t* out;     // row m at out + m * outStride (bytes); null for a float output
  float* floatOut;  // row m at floatOut + m * outStride (elements)
  size_t outStride;
};

// From a sum f to an output element of channel n:
//   value = (f - zero[n]) * multiplier + bias[n]
// and then as in OutputStage, where `low`, `high` and `table` are explained.
struct LowBitStage {
  float multiplier;
  float low;
  float high;
  int32_t zeroPoint;
  const uint8_t* table;
};

// One entry an output channel. The packing keeps a copy of them.
struct LowBitConstants {
  const float* zero;  // f of a row of zero points
  const float* bias;
};

// The product with a low-bit matrix. For every row m, output n and group g of neighbouring k:
//   sum_g = sum over k in g of (row(m)[k] - 128) * level(n, k)                 exact
//   f     = (float)sum_0 * scale(n, 0) + (float)sum_1 * scale(n, 1) + ...      from left to right; scale: that of
//   the group (scaleOfBits) * unit
//   out[m][n] = stage(f)
// row(m) = rows ? rows[m] : base + m * rowStride. Every |sum_g| fits int32.
struct LowBitArgs {
  const uint8_t* const* rows;
  const uint8_t* base;
  size_t rowStride;
  int rowCount;
  int depth;
  const LowBitFormat* format;
  const void* packed;  // made by packLowBit
  int outputs;
  const LowBitStage* stage;
  void* scratch;    // lowBitScratchBytes(format, depth), 64-aligned
  uint8_t* out;     // row m at out + m * outStride (bytes); null for a float output
  float* floatOut;  // row m at floatOut + m * outStride (elements)
  size_t outStride;
};

// One row of outputs of a depthwise convolution. The window slides over `columnCount` columns of kernelH pixels each,
// column(x, ky) = columns[ky * columnCount + x]; pixels of the padding point to a row of zero points.
//   out[m][c] = stage(sum over ky, kx of column(m * stride + kx * dilation, ky)[c] * filter[ky][kx][c])
struct DepthwiseArgs {
  const uint8_t* const* columns;
  int columnCount;
  int kernelH;
  int kernelW;
  int stride;
  int dilation;
  int outputs;  // pixels
  int channels;
  const void* packed;  // made by packDepthwise
  const OutputStage* stage;
  void* scratch;    // depthwiseScratchBytes(columnCount, kernelH), 64-aligned
  uint8_t* out;     // pixel m at out + m * outStride; the bytes from `channels` to the row pitch may be written
  float* floatOut;  // pixel m at floatOut + m * outStride (elements), instead of codes
  size_t outStride;
};

// value = (float)(a - zeroA) * multiplierA + (float)(b - zeroB) * multiplierB      (two products, one sum)
// code as in OutputStage
struct AddArgs {
  int32_t zeroA;
  int32_t zeroB;
  float multiplierA;
  float multiplierB;
  float low;
  float high;
  int32_t zeroPoint;
  const uint8_t* table;
};

// value = (float)((a - zeroA) * (b - zeroB)) * multiplier
struct MulArgs {
  int32_t zeroA;
  int32_t zeroB;
  float multiplier;
  float low;
  float high;
  int32_t zeroPoint;
  const uint8_t* table;
};

// value = (float)(q - zeroIn) * multiplier; code as in OutputStage, no table
struct RescaleArgs {
  int32_t zeroIn;
  float multiplier;
  float low;
  float high;
  int32_t zeroPoint;
};

struct Kernels {
  const char* name;

  // filter: int8 [outputs][taps][depth], -128 not among them. packed: 64-aligned.
  size_t (*packedGemmBytes)(int outputs, int taps, int depth);
  void (*packGemm)(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants,
                   void* packed);
  // Scratch that a gemm call with these sizes needs.
  size_t (*gemmScratchBytes)(int taps, int depth);
  void (*gemm)(const GemmArgs& args);

  // packed: 64-aligned.
  size_t (*packedLowBitBytes)(const LowBitFormat& format, int outputs, int depth);
  void (*packLowBit)(const LowBitMatrix& matrix, const LowBitConstants& constants, void* packed);
  // Scratch that a product needs.
  size_t (*lowBitScratchBytes)(const LowBitFormat& format, int depth);
  void (*lowBitProduct)(const LowBitArgs& args);

  // filter: int8 [kernelH][kernelW][channels], -128 not among them.
  size_t (*packedDepthwiseBytes)(int channels, int kernelH, int kernelW);
  void (*packDepthwise)(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                        void* packed);
  // Scratch that a depthwise call with these sizes needs.
  size_t (*depthwiseScratchBytes)(int columnCount, int kernelH);
  void (*depthwise)(const DepthwiseArgs& args);

  // code = clamp(rint(x / scale) + zeroPoint, 0, 255), clamped as float before the conversion; NaN gives code 0.
  void (*quantize)(const float* x, size_t count, float scale, int32_t zeroPoint, uint8_t* out);
  // (float)(code - zeroPoint) * scale
  void (*dequantize)(const uint8_t* codes, size_t count, float scale, int32_t zeroPoint, float* out);
  void (*add)(const uint8_t* a, const uint8_t* b, size_t count, const AddArgs& args, uint8_t* out);
  void (*mul)(const uint8_t* a, const uint8_t* b, size_t count, const MulArgs& args, uint8_t* out);
  void (*rescale)(const uint8_t* in, size_t count, const RescaleArgs& args, uint8_t* out);
  // One row: value = (float)(q - zeroIn) * (q >= zeroIn ? multiplier : slopes[c]); code as in `rescale`.
  void (*prelu)(const uint8_t* in, size_t channels, const float* slopes, const RescaleArgs& args, uint8_t* out);
  void (*lookup)(const uint8_t* in, size_t count, const uint8_t* table, uint8_t* out);
  // Element-wise maximum of `rowCount` rows, clamped to codes [low, high].
  void (*maxRows)(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out);
  // sums[c] += sum of rows[r][c] (codes, not corrected for the zero point).
  void (*sumRows)(const uint8_t* const* rows, int rowCount, int channels, int32_t* sums);
  // (sums[c] - count * zeroIn) as the accumulator of `args`: the store of an average pool.
  void (*rescaleSums)(const int32_t* sums, int channels, int32_t sumOfZeros, const RescaleArgs& args, uint8_t* out);

  RowKernels rows;
  RoutingKernels routing;
  Int16Kernels int16;
  DynamicKernels dynamic;
  Probe probe;
};

// The table of the definition, for what a vector loop leaves over at the end of an array.
const Kernels& scalarKernels();

}  // namespace lowbit
