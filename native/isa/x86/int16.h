// The int16 kernels of x86, written once over pairs `P`: a vector of int32 sums, each of which takes the products of
// two int16 codes with two weights at a time (vpmaddwd: no product of codes above -32768 overflows it).
//   lanes                    int32 in a vector, a divisor of kInt16Panel
//   zero, load, repeat, dot  repeat: one pair of codes in all lanes; dot: sum + a[0] * b[0] + a[1] * b[1]
//   store                    of the stage value of the first `count` lanes
// Depthwise convolutions and conversions take 256-bit vectors: they wait for memory, not for products.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "../kernels.h"
#include "store-first.h"

namespace lowbit {
namespace {

template <class P>
struct Int16Products {
  using Int = typename P::Int;

  // R rows by N vectors of outputs: with AVX2 at most 12 registers of sums, 2 of weights and one pair of codes.
  template <int R, int N>
  static void tile(const Int16GemmArgs& args, int first, const int16_t* filter, int output) {
    Int sums[R][N];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < N; ++v) sums[r][v] = P::zero();
    }
    for (int t = 0; t < args.taps; ++t) {
      const int16_t* rows[R];
      for (int r = 0; r < R; ++r) {
        rows[r] = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + first + r]
                            : args.base + static_cast<size_t>(first + r) * args.rowStride;
      }
      for (int p = 0; p < args.pairs; ++p, filter += 2 * kInt16Panel) {
        Int weights[N];
        for (int v = 0; v < N; ++v) weights[v] = P::load(filter + 2 * P::lanes * v);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const Int codes = P::repeat(rows[r] + 2 * p);
          for (int v = 0; v < N; ++v) sums[r][v] = P::dot(sums[r][v], codes, weights[v]);
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      float* out = args.out + static_cast<size_t>(first + r) * args.outputs;
      for (int v = 0; v < N; ++v) P::store(sums[r][v], args, output + v * P::lanes, out);
    }
  }

  template <int N>
  static void panel(const Int16GemmArgs& args, const int16_t* filter, int output) {
    int m = 0;
    for (; m + 6 <= args.rowCount; m += 6) tile<6, N>(args, m, filter, output);
    for (; m + 2 <= args.rowCount; m += 2) tile<2, N>(args, m, filter, output);
    if (m < args.rowCount) tile<1, N>(args, m, filter, output);
  }

  static void gemm(const Int16GemmArgs& args) {
    constexpr int kVectors = kInt16Panel / P::lanes;
    const size_t panelSize = static_cast<size_t>(args.taps) * args.pairs * kInt16Panel * 2;
    const int16_t* filter = args.packed;
    for (int output = 0; output < args.outputs; output += kInt16Panel, filter += panelSize) {
      if (args.outputs - output > P::lanes) {
        panel<kVectors>(args, filter, output);
      } else {
        panel<1>(args, filter, output);
      }
    }
  }
};

// Clamped value of 8 sums.
inline __m256 stageValue(__m256i sums, const float* multiplier, const float* bias, float low, float high) {
  const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(multiplier));
  const __m256 value = _mm256_add_ps(product, _mm256_loadu_ps(bias));
  return _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(low)), _mm256_set1_ps(high));
}

inline __m256i loadCodes(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// R neighbouring outputs of one block of channels: their sums and the weights of a pair of taps stay in registers.
template <int R>
void depthwiseBlock(const Int16DepthwiseArgs& args, int first, int channel) {
  const size_t step = int16DepthwiseElements(2, args.channels);
  const int16_t* filter = args.packed + int16DepthwiseIndex(0, channel, args.channels);
  __m256i low[R], high[R];
  for (int r = 0; r < R; ++r) low[r] = high[r] = _mm256_setzero_si256();
  for (int t = 0; t < args.taps; t += 2, filter += step) {
    const __m256i weightsLow = loadCodes(filter), weightsHigh = loadCodes(filter + kInt16Block);
    const int16_t* const* even = args.pixels + static_cast<size_t>(t) * args.pixelCount + first;
    const int16_t* const* odd = t + 1 < args.taps ? even + args.pixelCount : even;  // times zeros
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const __m256i a = loadCodes(even[r] + channel), b = loadCodes(odd[r] + channel);
      low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), weightsLow));
      high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), weightsHigh));
    }
  }
  for (int r = 0; r < R; ++r) {
    float* out = args.out + static_cast<size_t>(first + r) * args.channels + channel;
    const int count = args.channels - channel;
    const float *multiplier = args.multiplier + channel, *bias = args.bias + channel;
    const __m256i sums[2] = {_mm256_permute2x128_si256(low[r], high[r], 0x20),
                             _mm256_permute2x128_si256(low[r], high[r], 0x31)};
    storeFirst(out, stageValue(sums[0], multiplier, bias, args.low, args.high), count);
    if (count <= 8) continue;
    storeFirst(out + 8, stageValue(sums[1], multiplier + 8, bias + 8, args.low, args.high), count - 8);
  }
}

inline void int16Depthwise(const Int16DepthwiseArgs& args) {
  int m = 0;
  for (; m + 4 <= args.pixelCount; m += 4) {
    for (int c = 0; c < args.channels; c += kInt16Block) depthwiseBlock<4>(args, m, c);
  }
  for (; m < args.pixelCount; ++m) {
    for (int c = 0; c < args.channels; c += kInt16Block) depthwiseBlock<1>(args, m, c);
  }
}

inline float int16Largest(const float* values, size_t count) {
  const __m256 signs = _mm256_set1_ps(-0.0f);
  __m256 most = _mm256_setzero_ps();
  size_t i = 0;
  // max gives its second operand for NaN.
  for (; i + 8 <= count; i += 8) most = _mm256_max_ps(_mm256_andnot_ps(signs, _mm256_loadu_ps(values + i)), most);
  float lanes[8];
  _mm256_storeu_ps(lanes, most);
  return std::max(*std::max_element(lanes, lanes + 8), scalarKernels().int16.largest(values + i, count - i));
}

inline void int16Quantize(const float* values, size_t count, float inverse, int16_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256 low = _mm256_set1_ps(-32767.0f), high = _mm256_set1_ps(32767.0f);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 value = _mm256_mul_ps(_mm256_loadu_ps(values + i), factor);
    const __m256i code = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(value, low), high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i),
                     _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1)));
  }
  scalarKernels().int16.quantize(values + i, count - i, inverse, codes + i);
}

}  // namespace
}  // namespace lowbit
