// What the AVX2 kernels share: vectors and the store of convolutions.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "../../base/ceil-div.h"
#include "../vector-kernels.h"
#include "store-first.h"

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
  static void stream(float* p, Float v) { _mm256_stream_ps(p, v); }
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
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float flip(Float a, Int signs) { return _mm256_xor_ps(a, _mm256_castsi256_ps(signs)); }
  template <int D>
  static Float partner(Float a) {
    if constexpr (D == 4) return _mm256_permute2f128_ps(a, a, 1);
    return _mm256_permute_ps(a, D == 1 ? _MM_SHUFFLE(2, 3, 0, 1) : _MM_SHUFFLE(1, 0, 3, 2));
  }
  static void storeFirst(float* p, Float v, int count) { lowbit::storeFirst(p, v, count); }
  static Float loadFirst(const float* p, int count, float rest) {
    const Int mask = _mm256_cmpgt_epi32(set(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_blendv_ps(set(rest), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
  }
  static void hold(Float* v) { asm("" : "+x"(*v)); }
  static Float lesser(Float a, Float b) { return min(a, b); }
  static Float greater(Float a, Float b) { return max(a, b); }
  static Int ifGreater(Float x, Float y, Int a, Int b) {
    return _mm256_blendv_epi8(b, a, _mm256_castps_si256(_mm256_cmp_ps(x, y, _CMP_GT_OQ)));
  }
  static void interleave(Float a, Float b, Float* x, Float* y) {
    const Float low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    *x = _mm256_permute2f128_ps(low, high, 0x20);
    *y = _mm256_permute2f128_ps(low, high, 0x31);
  }
  static void interleave(Int a, Int b, Int* x, Int* y) {
    const Int low = _mm256_unpacklo_epi32(a, b), high = _mm256_unpackhi_epi32(a, b);
    *x = _mm256_permute2x128_si256(low, high, 0x20);
    *y = _mm256_permute2x128_si256(low, high, 0x31);
  }
  template <int Step>
  static void split(Float a, Float b, Float* x, Float* y) {
    if constexpr (Step == 0) {
      *x = _mm256_unpacklo_ps(a, b);
      *y = _mm256_unpackhi_ps(a, b);
    } else if constexpr (Step == 1) {
      const __m256d c = _mm256_castps_pd(a), d = _mm256_castps_pd(b);
      *x = _mm256_castpd_ps(_mm256_unpacklo_pd(c, d));
      *y = _mm256_castpd_ps(_mm256_unpackhi_pd(c, d));
    } else {
      *x = _mm256_permute2f128_ps(a, b, 0x20);
      *y = _mm256_permute2f128_ps(a, b, 0x31);
    }
  }
  static Float clean(Float a) { return max(a, set(-INFINITY)); }
  static uint32_t atLeastBits(Float a, Float b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
  static uint32_t equalBits(Float a, Float b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
  static Float below(Float a, Float limit) {
    return _mm256_blendv_ps(set(-INFINITY), a, _mm256_cmp_ps(a, limit, _CMP_LT_OQ));
  }
  static Float powerOfTwo(Int n) { return _mm256_castsi256_ps(_mm256_slli_epi32(add(n, set(127)), 23)); }
  static Float unlessBelow(Float x, Float limit, Float v) {
    return _mm256_and_ps(v, _mm256_cmp_ps(x, limit, _CMP_GE_OQ));
  }
  static float greatest(Float a) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float least(Float a) {
    const __m128 four = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
  }
};

constexpr int kLanes = 8;

inline __m128i load8(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }

inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

inline __m256i widenWeights(const int8_t* p) { return _mm256_cvtepi8_epi16(load16(p)); }

// 4 codes, or 2 widened ones, in every 32-bit lane.
inline __m256i broadcast4(const void* p) {
  int32_t codes;
  std::memcpy(&codes, p, sizeof codes);
  return _mm256_set1_epi32(codes);
}

// Bias and multiplier as they lie at the start of a panel or a block of 8 outputs.
struct Constants {
  int32_t bias[kLanes];
  float multiplier[kLanes];
};

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

  const uint8_t* table() const { return table_; }

 private:
  __m256 low_, high_;
  __m256i zeroPoint_, codeLow_, codeHigh_;
  const uint8_t* table_;
  bool bounded_;
};

// Codes as Store makes them of 4 / N rows of N vectors each, row by row.
template <int N>
inline __m256i inOrder(__m256i codes) {
  if constexpr (N == 2) return _mm256_permute4x64_epi64(codes, _MM_SHUFFLE(3, 1, 2, 0));
  return _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Stores the first `rows` of up to 4 rows of 8 codes or 2 of 16, `count` of each.
template <int N>
inline void putRows(const Store& store, __m256i codes, int rows, int count, uint8_t* out, size_t stride) {
  const __m128i halves[2] = {_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1)};
  if (count == N && !store.table()) {
#pragma GCC unroll 4
    for (int i = 0; i < 32 / N; ++i) {
      if (i >= rows) return;
      uint8_t* row = out + i * stride;
      if constexpr (N == 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(row), halves[i]);
      } else {
        const __m128d half = _mm_castsi128_pd(halves[i / 2]);
        i % 2 ? _mm_storeh_pd(reinterpret_cast<double*>(row), half)
              : _mm_storel_pd(reinterpret_cast<double*>(row), half);
      }
    }
    return;
  }
  uint8_t bytes[32];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), codes);
  for (int i = 0; i < std::min(rows, 32 / N); ++i) {
    for (int c = 0; c < count; ++c) {
      const uint8_t code = bytes[i * N + c];
      out[i * stride + c] = store.table() ? store.table()[code] : code;
    }
  }
}

// The output of a tile of one or two vectors of outputs that lane `lane` of vector p holds: the saturating packs of
// the store, which work within 128-bit lanes, then put them in order.
inline int outputOf(int vectors, int p, int lane) { return 4 * (vectors * (lane / 4) + p) + lane % 4; }

// Stores MT rows by NP vectors of sums of a GEMM, sums[vector * MT + row], from row m0 and output n0 on.
template <int MT, int NP>
inline void storeTile(const GemmArgs& args, const Store& store, const __m256i* sums, const __m256 (&multiplier)[NP],
                      int m0, int n0) {
  const int count = std::min(NP * kLanes, args.outputs - n0);
  if (args.floatOut) {
    for (int i = 0; i < MT; ++i) {
      float values[NP * kLanes];
      for (int p = 0; p < NP; ++p) {
        const __m256 value = store.clamp(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[p * MT + i]), multiplier[p]));
        _mm_storeu_ps(values + outputOf(NP, p, 0), _mm256_castps256_ps128(value));
        _mm_storeu_ps(values + outputOf(NP, p, 4), _mm256_extractf128_ps(value, 1));
      }
      std::memcpy(args.floatOut + (m0 + i) * args.outStride + n0, values, count * sizeof(float));
    }
    return;
  }
  constexpr int kRows = 4 / NP;  // to one vector of codes
  uint8_t* out = args.out + m0 * args.outStride + n0;
#pragma GCC unroll 4
  for (int i = 0; i < MT; i += kRows, out += kRows * args.outStride) {
    __m256i rounded[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      rounded[j] = store.round(sums[j % NP * MT + std::min(i + j / NP, MT - 1)], multiplier[j % NP]);
    }
    const __m256i codes = store.codes(rounded[0], rounded[1], rounded[2], rounded[3]);
    putRows<NP * kLanes>(store, inOrder<NP>(codes), MT - i, count, out, args.outStride);
  }
}

}  // namespace
}  // namespace lowbit
