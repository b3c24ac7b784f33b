// Blocks of 8 channels. Each column of the input is read once: two vertically adjacent taps are interleaved by channel
// and widened to int16 pairs in a buffer, which serves all windows that the column is part of; the multiply-adds then
// go over 4 output pixels at a time. A 3 x 3 window keeps its columns in registers instead.
//   buffer: column | pair of rows | channel of 8 | row of 2, as int16
//   packed: block b | bias of 8 | multiplier of 8 | kernel column | pair of rows | channel of 8 | row of 2
#include "../x86/avx2.h"
#include "kernels.h"

namespace lowbit {
namespace avx2 {
namespace {

struct BlockSizes {
  int pairs;  // of rows of the kernel
  size_t bytes;
  BlockSizes(int kernelH, int kernelW)
      : pairs(ceilDiv(kernelH, 2)), bytes(sizeof(Constants) + static_cast<size_t>(kernelW) * pairs * 16) {}
};

size_t packedDepthwiseBytes(int channels, int kernelH, int kernelW) {
  return static_cast<size_t>(ceilDiv(channels, kLanes)) * BlockSizes(kernelH, kernelW).bytes;
}

void packDepthwise(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed) {
  const BlockSizes sizes(kernelH, kernelW);
  uint8_t* block = static_cast<uint8_t*>(packed);
  for (int c0 = 0; c0 < channels; c0 += kLanes, block += sizes.bytes) {
    Constants& own = *reinterpret_cast<Constants*>(block);
    int8_t* weights = reinterpret_cast<int8_t*>(&own + 1);
    for (int c = c0; c < c0 + kLanes; ++c) {
      own.bias[c - c0] = c < channels ? constants.bias[c] : 0;
      own.multiplier[c - c0] = c < channels ? constants.multiplier[c] : 0;
      for (int kx = 0; kx < kernelW; ++kx) {
        for (int ky = 0; ky < 2 * sizes.pairs; ++ky) {
          weights[(kx * sizes.pairs + ky / 2) * 16 + (c - c0) * 2 + ky % 2] =
              c < channels && ky < kernelH ? filter[(static_cast<size_t>(ky) * kernelW + kx) * channels + c]
                                           : int8_t{0};
        }
      }
    }
  }
}

size_t depthwiseScratchBytes(int columnCount, int kernelH) {
  return static_cast<size_t>(columnCount) * ceilDiv(kernelH, 2) * sizeof(__m256i);
}

// Interleaves the rows of all columns of a block of channels that starts at channel c0.
inline void interleaveColumns(const DepthwiseArgs& args, int c0, __m256i* buffer) {
  const int pairs = ceilDiv(args.kernelH, 2);
  for (int p = 0; p < pairs; ++p) {
    const uint8_t* const* upper = args.columns + static_cast<size_t>(2 * p) * args.columnCount;
    if (2 * p + 1 < args.kernelH) {
      const uint8_t* const* lower = upper + args.columnCount;
      for (int x = 0; x < args.columnCount; ++x) {
        const __m128i rows = _mm_unpacklo_epi8(load8(upper[x] + c0), load8(lower[x] + c0));
        _mm256_store_si256(buffer + x * pairs + p, _mm256_cvtepu8_epi16(rows));
      }
    } else {
      for (int x = 0; x < args.columnCount; ++x) {
        _mm256_store_si256(buffer + x * pairs + p, _mm256_cvtepu8_epi32(load8(upper[x] + c0)));
      }
    }
  }
}

// Stores N pixels, from pixel m on, of the 8 channels from c0 on.
template <int N>
inline void storePixels(const DepthwiseArgs& args, const Store& store, __m256 multiplier, const __m256i (&sums)[4],
                        int m, int c0) {
  if (args.floatOut) {
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) {
      const __m256 value = store.clamp(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[i]), multiplier));
      Avx2::storeFirst(args.floatOut + (m + i) * args.outStride + c0, value, args.channels - c0);
    }
    return;
  }
  __m256i rounded[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) rounded[i] = i < N ? store.round(sums[i], multiplier) : rounded[0];
  const __m256i codes = inOrder<1>(store.codes(rounded[0], rounded[1], rounded[2], rounded[3]));
  // Within the pitch of its row a pixel may be written whole.
  const int count = args.outStride < 16 ? args.channels - c0 : 8;
  putRows<kLanes>(store, codes, N, count, args.out + m * args.outStride + c0, args.outStride);
}

// N output pixels from pixel m on, for the 8 channels of a block. Pairs: how many pairs of rows the kernel has, where
// that is known when this is compiled, or 0.
template <int N, int Pairs>
inline void depthwisePixels(const DepthwiseArgs& args, const Store& store, const Constants& constants,
                            const __m256i* buffer, int m, int c0) {
  const int pairs = Pairs ? Pairs : ceilDiv(args.kernelH, 2);
  const int8_t* weights = reinterpret_cast<const int8_t*>(&constants + 1);
  const size_t step = static_cast<size_t>(args.stride) * pairs;
  const size_t kernelStep = static_cast<size_t>(args.dilation) * pairs;
  const __m256i* column = buffer + m * step;
  __m256i sums[4];
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i) sums[i] = Avx2::load(constants.bias);
  for (int kx = 0; kx < args.kernelW; ++kx, column += kernelStep) {
#pragma GCC unroll 4
    for (int p = 0; p < pairs; ++p, weights += 16) {
      const __m256i w = widenWeights(weights);
#pragma GCC unroll 4
      for (int i = 0; i < N; ++i) {
        sums[i] = Avx2::add(sums[i], _mm256_madd_epi16(_mm256_load_si256(column + i * step + p), w));
      }
    }
  }
  storePixels<N>(args, store, Avx2::load(constants.multiplier), sums, m, c0);
}

template <int Pairs>
void depthwiseBlocks(const DepthwiseArgs& args) {
  const Store store(*args.stage);
  const BlockSizes sizes(args.kernelH, args.kernelW);
  const uint8_t* block = static_cast<const uint8_t*>(args.packed);
  __m256i* buffer = static_cast<__m256i*>(args.scratch);
  for (int c0 = 0; c0 < args.channels; c0 += kLanes, block += sizes.bytes) {
    const Constants& constants = *reinterpret_cast<const Constants*>(block);
    interleaveColumns(args, c0, buffer);
    int m = 0;
    for (; m + 4 <= args.outputs; m += 4) depthwisePixels<4, Pairs>(args, store, constants, buffer, m, c0);
    for (; m < args.outputs; ++m) depthwisePixels<1, Pairs>(args, store, constants, buffer, m, c0);
  }
}

// 3 x 3 without dilation: the three columns of a window stay in registers while it slides.
struct Column {
  __m256i upper;  // rows 0 and 1
  __m256i lower;  // row 2 and 0
};

template <int Stride>
class Slide3x3 {
 public:
  Slide3x3(const DepthwiseArgs& args, const Store& store, const Constants& constants, int c0)
      : args_(args), store_(store), constants_(constants), c0_(c0) {
    const int8_t* weights = reinterpret_cast<const int8_t*>(&constants + 1);
    for (int i = 0; i < 6; ++i) weights_[i] = widenWeights(weights + 16 * i);
  }

  void run() {
    Column left = load(0), middle = load(1);
    int m = 0;
    for (; m + 4 <= args_.outputs; m += 4) pixels<4>(m, left, middle);
    for (; m < args_.outputs; ++m) pixels<1>(m, left, middle);
  }

 private:
  Column load(int x) const {
    const uint8_t* const* columns = args_.columns + x;
    const __m128i rows = _mm_unpacklo_epi8(load8(columns[0] + c0_), load8(columns[args_.columnCount] + c0_));
    return Column{_mm256_cvtepu8_epi16(rows), _mm256_cvtepu8_epi32(load8(columns[2 * args_.columnCount] + c0_))};
  }

  __m256i dot(__m256i sum, const Column& column, int kx) const {
    sum = Avx2::add(sum, _mm256_madd_epi16(column.upper, weights_[2 * kx]));
    return Avx2::add(sum, _mm256_madd_epi16(column.lower, weights_[2 * kx + 1]));
  }

  // `left` and `middle`: the first two columns of pixel m, and then of the pixel after the last.
  template <int N>
  void pixels(int m, Column& left, Column& middle) {
    __m256i sums[4];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) {
      const int x = (m + i) * Stride;
      if (Stride == 2 && x > 0) middle = load(x + 1);
      const Column right = load(x + 2);
      sums[i] = dot(dot(dot(Avx2::load(constants_.bias), left, 0), middle, 1), right, 2);
      left = Stride == 1 ? middle : right;
      if (Stride == 1) middle = right;
    }
    storePixels<N>(args_, store_, Avx2::load(constants_.multiplier), sums, m, c0_);
  }

  const DepthwiseArgs& args_;
  const Store& store_;
  const Constants& constants_;
  int c0_;
  __m256i weights_[6];
};

template <int Stride>
void depthwise3x3(const DepthwiseArgs& args) {
  const Store store(*args.stage);
  const BlockSizes sizes(3, 3);
  const uint8_t* block = static_cast<const uint8_t*>(args.packed);
  for (int c0 = 0; c0 < args.channels; c0 += kLanes, block += sizes.bytes) {
    Slide3x3<Stride>(args, store, *reinterpret_cast<const Constants*>(block), c0).run();
  }
}

void depthwise(const DepthwiseArgs& args) {
  if (args.kernelH == 3 && args.kernelW == 3 && args.dilation == 1 && args.stride <= 2) {
    args.stride == 1 ? depthwise3x3<1>(args) : depthwise3x3<2>(args);
    return;
  }
  switch (ceilDiv(args.kernelH, 2)) {
    case 2: depthwiseBlocks<2>(args); break;
    case 3: depthwiseBlocks<3>(args); break;
    default: depthwiseBlocks<0>(args); break;
  }
}

}  // namespace

void setDepthwise(Kernels& table) {
  table.packedDepthwiseBytes = packedDepthwiseBytes;
  table.packDepthwise = packDepthwise;
  table.depthwiseScratchBytes = depthwiseScratchBytes;
  table.depthwise = depthwise;
}

}  // namespace avx2
}  // namespace lowbit
