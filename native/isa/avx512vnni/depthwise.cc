// A block is 64, 32 or 16 channels. Each column of the input is read once: 4 vertically adjacent taps are
// interleaved by byte and word unpacks, so that an int32 lane holds 4 taps of one channel, in a buffer that serves all
// windows the column is part of; the dot products then go over 4 output pixels at a time. (A 3 x 3 window keeps its
// columns in registers instead.) The unpacks work within 128-bit lanes: lane L of vector q holds channels 16 L + 4 q
// and the three after it.
//   buffer: column | group of 4 rows | vector q | lane L | channel of 4 | row of 4
//   packed: block b | bias | multiplier | kernel column | group of 4 rows | vector q | lane L | channel of 4 | row of 4
#include "kernels.h"
#include "vectors.h"

namespace lowbit {
namespace avx512vnni {
namespace {

inline int blockChannels(int remaining) { return remaining > 32 ? 64 : remaining > 16 ? 32 : 16; }

inline size_t blockBytes(int channels, int kernelH, int kernelW) {
  return static_cast<size_t>(channels) * (8 + static_cast<size_t>(kernelW) * ceilDiv(kernelH, 4) * 4);
}

size_t packedDepthwiseBytes(int channels, int kernelH, int kernelW) {
  size_t bytes = 0;
  for (int c = 0; c < channels; c += blockChannels(channels - c)) {
    bytes += blockBytes(blockChannels(channels - c), kernelH, kernelW);
  }
  return bytes;
}

void packDepthwise(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed) {
  const int groups = ceilDiv(kernelH, 4);
  uint8_t* block = static_cast<uint8_t*>(packed);
  for (int c0 = 0, size; c0 < channels; c0 += size) {
    size = blockChannels(channels - c0);
    int32_t* bias = reinterpret_cast<int32_t*>(block);
    float* multiplier = reinterpret_cast<float*>(bias + size);
    int8_t* weights = reinterpret_cast<int8_t*>(multiplier + size);
    for (int i = 0; i < size; ++i) {  // vector q, lane L, channel e: 16 L + 4 q + e
      const int q = i / (size / 4), lane = i % (size / 4) / 4;
      const int c = c0 + 16 * lane + 4 * q + i % 4;
      const bool inside = c < channels;
      bias[i] = inside ? constants.bias[c] : 0;
      multiplier[i] = inside ? constants.multiplier[c] : 0;
      for (int kx = 0; kx < kernelW; ++kx) {
        for (int ky = 0; ky < 4 * groups; ++ky) {
          weights[((static_cast<size_t>(kx) * groups + ky / 4) * size + i) * 4 + ky % 4] =
              inside && ky < kernelH ? filter[(static_cast<size_t>(ky) * kernelW + kx) * channels + c] : int8_t{0};
        }
      }
    }
    block += blockBytes(size, kernelH, kernelW);
  }
}

size_t depthwiseScratchBytes(int columnCount, int kernelH) {
  return static_cast<size_t>(columnCount) * ceilDiv(kernelH, 4) * 4 * sizeof(__m512i);
}

// Interleaves the rows of all columns of a block of channels that starts at channel c0.
template <class W>
void interleaveColumns(const DepthwiseArgs& args, int c0, typename W::Vector* buffer) {
  using Vector = typename W::Vector;
  const int groups = ceilDiv(args.kernelH, 4);
  for (int g = 0; g < groups; ++g) {
    const int rows = std::min(4, args.kernelH - 4 * g);
    const uint8_t* const* first = args.columns + static_cast<size_t>(4 * g) * args.columnCount;
    for (int x = 0; x < args.columnCount; ++x) {
      Vector row[4];  // past the last row the weights are 0
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        row[j] = j < rows ? W::load(first[static_cast<size_t>(j) * args.columnCount + x] + c0) : W::zero();
      }
      const Vector lo01 = W::lo8(row[0], row[1]), hi01 = W::hi8(row[0], row[1]);
      const Vector lo23 = W::lo8(row[2], row[3]), hi23 = W::hi8(row[2], row[3]);
      Vector* out = buffer + (x * groups + g) * 4;
      W::store(out, W::lo16(lo01, lo23));
      W::store(out + 1, W::hi16(lo01, lo23));
      W::store(out + 2, W::lo16(hi01, hi23));
      W::store(out + 3, W::hi16(hi01, hi23));
    }
  }
}

// Stores the real values of pixel m of the channels of a block that starts at channel c0.
template <class W>
inline void storeFloats(const DepthwiseArgs& args, const Store<W>& store, const float* multiplier,
                        const typename W::Vector (&sums)[4], int m, int c0) {
  constexpr int kLanes = W::codes / 4;
  float floats[W::codes];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    const auto value = W::mul(W::toFloat(sums[q]), W::loadFloats(multiplier + q * kLanes));
    W::storeFloats(floats + q * kLanes, store.clamp(value));
  }
  float* out = args.floatOut + m * args.outStride + c0;
  const int count = std::min(W::codes, args.channels - c0);
  const auto four = [&](int c) { return floats + c % 16 / 4 * kLanes + c / 16 * 4; };
  int c = 0;
  for (; c + 4 <= count; c += 4) _mm_storeu_ps(out + c, _mm_loadu_ps(four(c)));
  for (int i = 0; c + i < count; ++i) out[c + i] = four(c)[i];
}

// Stores pixel m of the channels of a block that starts at channel c0.
template <class W>
inline void storePixel(const DepthwiseArgs& args, const Store<W>& store, const float* multiplier,
                       const typename W::Vector (&sums)[4], int m, int c0) {
  if (args.floatOut) return storeFloats<W>(args, store, multiplier, sums, m, c0);
  typename W::Vector rounded[4];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) rounded[q] = store.round(sums[q], W::loadFloats(multiplier + q * (W::codes / 4)));
  // Within the pitch of its row a pixel may be written whole.
  const int count = std::min<int>(W::codes, static_cast<int>(args.outStride) - c0);
  store.template put<W>(store.codes(rounded[0], rounded[1], rounded[2], rounded[3]), count,
                        args.out + m * args.outStride + c0);
}

// N output pixels from pixel m on, for the channels of a block.
template <class W, int N>
void depthwisePixels(const DepthwiseArgs& args, const Store<W>& store, const uint8_t* block,
                     const typename W::Vector* buffer, int m, int c0) {
  using Vector = typename W::Vector;
  const int32_t* bias = reinterpret_cast<const int32_t*>(block);
  const float* multiplier = reinterpret_cast<const float*>(bias + W::codes);
  const int8_t* weights = reinterpret_cast<const int8_t*>(multiplier + W::codes);
  const int groups = ceilDiv(args.kernelH, 4);
  const size_t step = static_cast<size_t>(args.stride) * groups * 4;
  const Vector* column = buffer + m * step;
  Vector sums[N][4];
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i) {
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) sums[i][q] = W::load(bias + q * (W::codes / 4));
  }
  for (int kx = 0; kx < args.kernelW; ++kx, column += static_cast<size_t>(args.dilation) * groups * 4) {
    const Vector* codes = column;
    for (int g = 0; g < groups; ++g, codes += 4) {
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q, weights += W::codes) {
        const Vector w = W::load(weights);
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) sums[i][q] = W::dot(sums[i][q], W::load(codes + i * step + q), w);
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i) storePixel<W>(args, store, multiplier, sums[i], m + i, c0);
}

// 3 x 3 without dilation: the three columns of a window stay in registers while it slides.
template <class W, int Stride>
class Slide3x3 {
 public:
  Slide3x3(const DepthwiseArgs& args, const uint8_t* block, int c0)
      : args_(args),
        store_(*args.stage),
        bias_(reinterpret_cast<const int32_t*>(block)),
        multiplier_(reinterpret_cast<const float*>(bias_ + W::codes)),
        c0_(c0) {
    const int8_t* weights = reinterpret_cast<const int8_t*>(multiplier_ + W::codes);
    for (int i = 0; i < 12; ++i) weights_[i] = W::load(weights + i * W::codes);
  }

  void run() const {
    Column left = load(0), middle = load(1);
    for (int m = 0; m < args_.outputs; ++m) {
      const int x = m * Stride;
      if (Stride == 2 && m > 0) middle = load(x + 1);
      const Column right = load(x + 2);
      Vector sums[4];
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        Vector sum = W::dot(W::load(bias_ + q * (W::codes / 4)), left.rows[q], weights_[q]);
        sum = W::dot(sum, middle.rows[q], weights_[4 + q]);
        sums[q] = W::dot(sum, right.rows[q], weights_[8 + q]);
      }
      storePixel<W>(args_, store_, multiplier_, sums, m, c0_);
      left = Stride == 1 ? middle : right;
      if (Stride == 1) middle = right;
    }
  }

 private:
  using Vector = typename W::Vector;

  struct Column {
    Vector rows[4];  // three rows and 0, interleaved, by vector
  };

  Column load(int x) const {
    const uint8_t* const* columns = args_.columns + x;
    const Vector row0 = W::load(columns[0] + c0_), row1 = W::load(columns[args_.columnCount] + c0_);
    const Vector row2 = W::load(columns[2 * args_.columnCount] + c0_);
    const Vector lo01 = W::lo8(row0, row1), hi01 = W::hi8(row0, row1);
    const Vector lo2 = W::lo8(row2, W::zero()), hi2 = W::hi8(row2, W::zero());
    return Column{{W::lo16(lo01, lo2), W::hi16(lo01, lo2), W::lo16(hi01, hi2), W::hi16(hi01, hi2)}};
  }

  const DepthwiseArgs& args_;
  const Store<W> store_;
  const int32_t* bias_;
  const float* multiplier_;
  int c0_;
  Vector weights_[12];
};

template <class W>
void depthwiseBlock(const DepthwiseArgs& args, const uint8_t* block, int c0) {
  if (args.kernelH == 3 && args.kernelW == 3 && args.dilation == 1 && args.stride <= 2) {
    if (args.stride == 1) {
      Slide3x3<W, 1>(args, block, c0).run();
    } else {
      Slide3x3<W, 2>(args, block, c0).run();
    }
    return;
  }
  const Store<W> store(*args.stage);
  auto* buffer = static_cast<typename W::Vector*>(args.scratch);
  interleaveColumns<W>(args, c0, buffer);
  int m = 0;
  for (; m + 4 <= args.outputs; m += 4) depthwisePixels<W, 4>(args, store, block, buffer, m, c0);
  for (; m < args.outputs; ++m) depthwisePixels<W, 1>(args, store, block, buffer, m, c0);
}

void depthwise(const DepthwiseArgs& args) {
  const uint8_t* block = static_cast<const uint8_t*>(args.packed);
  for (int c0 = 0, size; c0 < args.channels; c0 += size) {
    size = blockChannels(args.channels - c0);
    switch (size) {
      case 64: depthwiseBlock<Wide>(args, block, c0); break;
      case 32: depthwiseBlock<Half>(args, block, c0); break;
      default: depthwiseBlock<Quarter>(args, block, c0); break;
    }
    block += blockBytes(size, args.kernelH, args.kernelW);
  }
}

}  // namespace

void setDepthwise(Kernels& table) {
  table.packedDepthwiseBytes = packedDepthwiseBytes;
  table.packDepthwise = packDepthwise;
  table.depthwiseScratchBytes = depthwiseScratchBytes;
  table.depthwise = depthwise;
}

}  // namespace avx512vnni
}  // namespace lowbit
