// AVX2, exact: codes and weights are widened to int16 and multiplied by vpmaddwd, whose pairwise sums fit int32.
// (vpmaddubsw would take bytes directly, but saturates its int16 sums.)
//
// GEMM. A panel is 16 outputs (two vectors of 8; the last one may be a single vector), a tile 6 rows: 12 accumulators, 2 vectors of weights and 2 to
// spare. The rows of a tile are widened once, into scratch, and used by all panels: a pair of k then costs one widening
// load for each vector of weights, and for each row one broadcast load, two multiply-adds and two additions. Of these
// 26 vector instructions for 192 products the 12 multiplications are the limit of a core with two multipliers.
//   scratch: row of 6 | k, taps one after the other, as int16                       (past the last k: any value)
//   packed:  panel p | bias of 16 | multiplier of 16 | pair of k | vector of 2 | output of 8 | k of 2
// The first vector of two holds outputs 0-3 and 8-11 of the panel, the second 4-7 and 12-15: the saturating packs of the
// store work within 128-bit lanes and so put them in order.
//
// Depthwise. Blocks of 8 channels. Each column of the input is read once: two vertically adjacent taps are interleaved
// by channel and widened to int16 pairs in a buffer, which serves all windows that the column is part of; the
// multiply-adds then go over 4 output pixels at a time. A 3 x 3 window keeps its columns in registers instead.
//   buffer: column | pair of rows | channel of 8 | row of 2, as int16
//   packed: block b | bias of 8 | multiplier of 8 | kernel column | pair of rows | channel of 8 | row of 2
#include <immintrin.h>

#include <algorithm>

#include "../vector-kernels.h"

namespace lowbit {
namespace {

struct Avx2 {
  using Int = __m256i;
  using Float = __m256;
  static constexpr size_t lanes = 8;
  static Int set(int32_t v) { return _mm256_set1_epi32(v); }
  static Float set(float v) { return _mm256_set1_ps(v); }
  static Int load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(int32_t* p, Int v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static Int loadCodes(const uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static void storeCodes(uint8_t* p, Int v) {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int sub(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float toFloat(Int a) { return _mm256_cvtepi32_ps(a); }
  static Int toInt(Float a) { return _mm256_cvtps_epi32(a); }
};

using Common = VectorKernels<Avx2>;

constexpr int kLanes = 8;
constexpr int kPanel = 16;
constexpr int kTileRows = 6;

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

inline int panelVectors(int remaining) { return remaining > kLanes ? 2 : 1; }

// The output of a panel of `vectors` vectors that lane `lane` of vector v holds.
inline int outputOf(int vectors, int v, int lane) { return 4 * (vectors * (lane / 4) + v) + lane % 4; }

// Bias and multiplier as they lie at the start of a panel or a block of N outputs.
template <int N>
struct Constants {
  int32_t bias[N];
  float multiplier[N];
};

inline size_t pairsOf(int taps, int depth) { return (static_cast<size_t>(taps) * depth + 1) / 2; }

inline size_t panelBytes(int vectors, size_t pairs) { return vectors * (sizeof(Constants<kLanes>) + pairs * 2 * kLanes); }

size_t packedGemmBytes(int outputs, int taps, int depth) {
  const size_t pairs = pairsOf(taps, depth);
  const int rest = outputs % kPanel;
  return outputs / kPanel * panelBytes(2, pairs) + (rest ? panelBytes(panelVectors(rest), pairs) : 0);
}

void packGemm(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants,
              void* packed) {
  const size_t products = static_cast<size_t>(taps) * depth;
  const size_t pairs = pairsOf(taps, depth);
  uint8_t* panel = static_cast<uint8_t*>(packed);
  for (int n0 = 0; n0 < outputs; n0 += kPanel) {
    const int vectors = panelVectors(outputs - n0);
    const int size = vectors * kLanes;
    int32_t* bias = reinterpret_cast<int32_t*>(panel);
    float* multiplier = reinterpret_cast<float*>(bias + size);
    int8_t* weights = reinterpret_cast<int8_t*>(multiplier + size);
    for (int i = 0; i < size; ++i) {
      const int n = n0 + outputOf(vectors, i / kLanes, i % kLanes);
      const bool inside = n < outputs;
      bias[i] = inside ? constants.bias[n] : 0;
      multiplier[i] = inside ? constants.multiplier[n] : 0;
      for (size_t k = 0; k < 2 * pairs; ++k) {
        weights[k / 2 * (2 * size) + 2 * i + k % 2] =
            inside && k < products ? filter[n * products + k] : int8_t{0};
      }
    }
    panel += panelBytes(vectors, pairs);
  }
}

// int16 elements from one row of the scratch to the next: a whole vector more than there are products, which the
// widening may write past the end.
size_t scratchRow(int taps, int depth) { return (static_cast<size_t>(taps) * depth + 31) / 16 * 16; }

size_t gemmScratchBytes(int taps, int depth) { return kTileRows * scratchRow(taps, depth) * sizeof(int16_t); }

inline void widenRow(const uint8_t* row, int depth, int16_t* out) {
  if (depth <= 4) {
    int32_t codes;
    std::memcpy(&codes, row, sizeof codes);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_cvtepu8_epi16(_mm_cvtsi32_si128(codes)));
    return;
  }
  for (int k = 0; k < depth; k += 16) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + k));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), _mm256_cvtepu8_epi16(codes));
  }
}

inline __m256i widenWeights(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline __m256i broadcastPair(const int16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

// The store of OutputStage, from accumulators that the bias is part of.
class Store {
 public:
  explicit Store(const OutputStage& stage)
      : low_(_mm256_set1_ps(stage.low)),
        high_(_mm256_set1_ps(stage.high)),
        zeroPoint_(_mm256_set1_epi16(static_cast<int16_t>(stage.zeroPoint))),
        codeLow_(_mm256_set1_epi8(static_cast<char>(stage.codeLow()))),
        codeHigh_(_mm256_set1_epi8(static_cast<char>(stage.codeHigh()))),
        table_(stage.table),
        bounded_(stage.bounded) {}

  __m256 clamp(__m256 value) const { return _mm256_min_ps(_mm256_max_ps(value, low_), high_); }

  __m256i round(__m256i accumulator, __m256 multiplier) const {
    const __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(accumulator), multiplier);
    return _mm256_cvtps_epi32(bounded_ ? value : clamp(value));
  }

  // Codes of four vectors of rounded values. Each 128-bit lane holds 4 values of a, b, c and d in turn.
  __m256i codes(__m256i a, __m256i b, __m256i c, __m256i d) const {
    const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zeroPoint_);
    const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zeroPoint_);
    return _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(ab, cd), codeLow_), codeHigh_);
  }

  // Stores the first `count` codes.
  void put(__m128i codes, int count, uint8_t* out) const {
    if (count == 16 && !table_) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), codes);
    } else if (count == 8 && !table_) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out), codes);
    } else {
      uint8_t bytes[16];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), codes);
      for (int i = 0; i < count; ++i) out[i] = table_ ? table_[bytes[i]] : bytes[i];
    }
  }

 private:
  __m256 low_, high_;
  __m256i zeroPoint_, codeLow_, codeHigh_;
  const uint8_t* table_;
  bool bounded_;
};

template <int NV>
inline void storeFloats(const __m256 (&values)[NV], int count, float* out) {
  float buffer[kPanel];
  for (int v = 0; v < NV; ++v) {
    _mm_storeu_ps(buffer + outputOf(NV, v, 0), _mm256_castps256_ps128(values[v]));
    _mm_storeu_ps(buffer + outputOf(NV, v, 4), _mm256_extractf128_ps(values[v], 1));
  }
  std::memcpy(out, buffer, std::min(count, NV * kLanes) * sizeof(float));
}

// Codes of 4 vectors of rounded values of one vector of outputs each, in order: two to each half.
inline __m256i codesOfRows(const Store& store, __m256i a, __m256i b, __m256i c, __m256i d) {
  return _mm256_permutevar8x32_epi32(store.codes(a, b, c, d), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Stores the first `rows` of up to 4 rows of 8 codes, `count` of each.
inline void putRows(const Store& store, __m256i codes, int rows, int count, uint8_t* out, size_t stride) {
  const __m128i lower = _mm256_castsi256_si128(codes), upper = _mm256_extracti128_si256(codes, 1);
  store.put(lower, count, out);
  if (rows > 1) store.put(_mm_unpackhi_epi64(lower, lower), count, out + stride);
  if (rows > 2) store.put(upper, count, out + 2 * stride);
  if (rows > 3) store.put(_mm_unpackhi_epi64(upper, upper), count, out + 3 * stride);
}

// The sums of MT rows of scratch by one panel of NV vectors. Not inlined: what the store needs would take registers from
// the accumulators.
template <int MT, int NV>
__attribute__((noinline)) void sumProducts(const int16_t* codes, size_t stride, const int32_t* bias,
                                           const int8_t* weights, size_t pairs, __m256i* out) {
  __m256i sums[MT][NV];
#pragma GCC unroll 6
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) sums[i][v] = Avx2::load(bias + v * kLanes);
  }
  // Rows are addressed three to a pointer, so that the pointers fit the registers.
  const int16_t* rows[2] = {codes, codes + 3 * stride};
  for (size_t k = 0; k < pairs; ++k, weights += NV * 2 * kLanes) {
    __m256i w[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) w[v] = widenWeights(weights + v * 2 * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < MT; ++i) {
      const __m256i pair = broadcastPair(rows[i / 3] + (i % 3) * stride + 2 * k);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) sums[i][v] = Avx2::add(sums[i][v], _mm256_madd_epi16(pair, w[v]));
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) out[i * NV + v] = sums[i][v];
  }
}

// MT rows of scratch by one panel of NV vectors.
template <int MT, int NV>
void gemmTile(const GemmArgs& args, const Store& store, const int16_t* codes, const uint8_t* panel, int m0, int n0) {
  const int32_t* bias = reinterpret_cast<const int32_t*>(panel);
  const float* multiplier = reinterpret_cast<const float*>(bias + NV * kLanes);
  const int8_t* weights = reinterpret_cast<const int8_t*>(multiplier + NV * kLanes);
  __m256i sums[MT * NV];
  sumProducts<MT, NV>(codes, scratchRow(args.taps, args.depth), bias, weights, pairsOf(args.taps, args.depth), sums);
  const int count = std::min(NV * kLanes, args.outputs - n0);
  if (args.floatOut) {
    for (int i = 0; i < MT; ++i) {
      __m256 values[NV];
      for (int v = 0; v < NV; ++v) {
        values[v] =
            store.clamp(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[i * NV + v]), Avx2::load(multiplier + v * kLanes)));
      }
      storeFloats<NV>(values, count, args.floatOut + (m0 + i) * args.outStride + n0);
    }
    return;
  }
  uint8_t* out = args.out + m0 * args.outStride + n0;
  __m256 scale[NV];
  for (int v = 0; v < NV; ++v) scale[v] = Avx2::load(multiplier + v * kLanes);
  constexpr int kRows = 4 / NV;  // to one vector of codes
#pragma GCC unroll 6
  for (int i = 0; i < MT; i += kRows) {
    __m256i rounded[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      rounded[j] = store.round(sums[std::min(i + j / NV, MT - 1) * NV + j % NV], scale[j % NV]);
    }
    uint8_t* row = out + i * args.outStride;
    if constexpr (NV == 1) {
      const __m256i bytes = codesOfRows(store, rounded[0], rounded[1], rounded[2], rounded[3]);
      putRows(store, bytes, MT - i, count, row, args.outStride);
    } else {
      const __m256i bytes = _mm256_permute4x64_epi64(
          store.codes(rounded[0], rounded[1], rounded[2], rounded[3]), _MM_SHUFFLE(3, 1, 2, 0));
      store.put(_mm256_castsi256_si128(bytes), count, row);
      if (i + 1 < MT) store.put(_mm256_extracti128_si256(bytes, 1), count, row + args.outStride);
    }
  }
}

// All rows from `m` on: as many tiles of MT rows as fit, then halves.
template <int MT>
void gemmRows(const GemmArgs& args, const Store& store, int m) {
  int16_t* codes = static_cast<int16_t*>(args.scratch);
  const size_t stride = scratchRow(args.taps, args.depth);
  const size_t pairs = pairsOf(args.taps, args.depth);
  for (; m + MT <= args.rowCount; m += MT) {
    for (int i = 0; i < MT; ++i) {
      for (int t = 0; t < args.taps; ++t) {
        const uint8_t* row = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + m + i]
                                       : args.base + static_cast<size_t>(m + i) * args.rowStride;
        widenRow(row, args.depth, codes + i * stride + static_cast<size_t>(t) * args.depth);
      }
    }
    const uint8_t* panel = static_cast<const uint8_t*>(args.packed);
    for (int n0 = 0; n0 < args.outputs; n0 += kPanel) {
      if (panelVectors(args.outputs - n0) == 2) {
        gemmTile<MT, 2>(args, store, codes, panel, m, n0);
        panel += panelBytes(2, pairs);
      } else {
        gemmTile<MT, 1>(args, store, codes, panel, m, n0);
      }
    }
  }
  if constexpr (MT > 1) gemmRows<MT / 2>(args, store, m);
}

void gemm(const GemmArgs& args) { gemmRows<kTileRows>(args, Store(*args.stage), 0); }

struct BlockSizes {
  int pairs;  // of rows of the kernel
  size_t bytes;
  BlockSizes(int kernelH, int kernelW)
      : pairs(ceilDiv(kernelH, 2)), bytes(sizeof(Constants<kLanes>) + static_cast<size_t>(kernelW) * pairs * 16) {}
};

size_t packedDepthwiseBytes(int channels, int kernelH, int kernelW) {
  return static_cast<size_t>(ceilDiv(channels, kLanes)) * BlockSizes(kernelH, kernelW).bytes;
}

void packDepthwise(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed) {
  const BlockSizes sizes(kernelH, kernelW);
  uint8_t* block = static_cast<uint8_t*>(packed);
  for (int c0 = 0; c0 < channels; c0 += kLanes, block += sizes.bytes) {
    Constants<kLanes>& own = *reinterpret_cast<Constants<kLanes>*>(block);
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

inline __m128i load8(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }

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
  __m256i rounded[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) rounded[i] = i < N ? store.round(sums[i], multiplier) : rounded[0];
  const __m256i codes = codesOfRows(store, rounded[0], rounded[1], rounded[2], rounded[3]);
  // Within the pitch of its row a pixel may be written whole.
  const int count = args.outStride < 16 ? args.channels - c0 : 8;
  putRows(store, codes, N, count, args.out + m * args.outStride + c0, args.outStride);
}

// N output pixels from pixel m on, for the 8 channels of a block. Pairs: how many pairs of rows the kernel has, where that
// is known when this is compiled, or 0.
template <int N, int Pairs>
inline void depthwisePixels(const DepthwiseArgs& args, const Store& store, const Constants<kLanes>& constants,
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
    const Constants<kLanes>& constants = *reinterpret_cast<const Constants<kLanes>*>(block);
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
  Slide3x3(const DepthwiseArgs& args, const Store& store, const Constants<kLanes>& constants, int c0)
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
  const Constants<kLanes>& constants_;
  int c0_;
  __m256i weights_[6];
};

template <int Stride>
void depthwise3x3(const DepthwiseArgs& args) {
  const Store store(*args.stage);
  const BlockSizes sizes(3, 3);
  const uint8_t* block = static_cast<const uint8_t*>(args.packed);
  for (int c0 = 0; c0 < args.channels; c0 += kLanes, block += sizes.bytes) {
    Slide3x3<Stride>(args, store, *reinterpret_cast<const Constants<kLanes>*>(block), c0).run();
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

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high,
             uint8_t* out) {
  for (int c = 0; c < channels; c += 32) {
    __m256i best = _mm256_set1_epi8(static_cast<char>(low));
    for (int r = 0; r < rowCount; ++r) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r] + c));
      best = _mm256_max_epu8(best, codes);
    }
    best = _mm256_min_epu8(best, _mm256_set1_epi8(static_cast<char>(high)));
    uint8_t buffer[32];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(buffer), best);
    std::memcpy(out + c, buffer, std::min(32, channels - c));
  }
}

constexpr Kernels kAvx2 = {
    "avx2",
    packedGemmBytes,
    packGemm,
    gemmScratchBytes,
    gemm,
    packedDepthwiseBytes,
    packDepthwise,
    depthwiseScratchBytes,
    depthwise,
    Common::quantize,
    Common::dequantize,
    Common::add,
    Common::mul,
    Common::rescale,
    Common::prelu,
    Common::lookup,
    maxRows,
    Common::sumRows,
    Common::rescaleSums,
};

}  // namespace

const Kernels* avx2Kernels() { return &kAvx2; }

}  // namespace lowbit
