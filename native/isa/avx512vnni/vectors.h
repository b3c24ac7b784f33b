// What the AVX-512 kernels share: vectors at three widths and the store of convolutions.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "../../base/ceil-div.h"
#include "../vector-kernels.h"

namespace lowbit {
namespace avx512vnni {

struct Avx512 {
  using Int = __m512i;
  using Float = __m512;
  static constexpr size_t lanes = 16;
  static Int set(int32_t v) { return _mm512_set1_epi32(v); }
  static Float set(float v) { return _mm512_set1_ps(v); }
  static Int load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(int32_t* p, Int v) { _mm512_storeu_si512(p, v); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static void stream(float* p, Float v) { _mm512_stream_ps(p, v); }
  static Int loadCodes(const uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void storeCodes(uint8_t* p, Int v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
  }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int sub(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float toFloat(Int a) { return _mm512_cvtepi32_ps(a); }
  static Int toInt(Float a) { return _mm512_cvt_roundps_epi32(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float flip(Float a, Int signs) { return _mm512_xor_ps(a, _mm512_castsi512_ps(signs)); }
  template <int D>
  static Float partner(Float a) {
    if constexpr (D == 8) return _mm512_shuffle_f32x4(a, a, _MM_SHUFFLE(1, 0, 3, 2));
    if constexpr (D == 4) return _mm512_shuffle_f32x4(a, a, _MM_SHUFFLE(2, 3, 0, 1));
    return _mm512_permute_ps(a, D == 1 ? _MM_SHUFFLE(2, 3, 0, 1) : _MM_SHUFFLE(1, 0, 3, 2));
  }
  static void storeFirst(float* p, Float v, int count) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>(count >= 16 ? 0xffff : (1 << count) - 1), v);
  }
  static Float loadFirst(const float* p, int count, float rest) {
    return _mm512_mask_loadu_ps(set(rest), static_cast<__mmask16>((1 << count) - 1), p);
  }
#ifdef LOWBIT_EMULATED
  static void hold(Float*) {}
#else
  static void hold(Float* v) { asm("" : "+v"(*v)); }
#endif
  static Float lesser(Float a, Float b) { return min(a, b); }
  static Float greater(Float a, Float b) { return max(a, b); }
  static Int ifGreater(Float x, Float y, Int a, Int b) {
    return _mm512_mask_mov_epi32(b, _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ), a);
  }
  static void interleave(Float a, Float b, Float* x, Float* y) {
    *x = _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
    *y = _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
  }
  static void interleave(Int a, Int b, Int* x, Int* y) {
    Float halves[2];
    interleave(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), &halves[0], &halves[1]);
    *x = _mm512_castps_si512(halves[0]);
    *y = _mm512_castps_si512(halves[1]);
  }
  template <int Step>
  static void split(Float a, Float b, Float* x, Float* y) {
    if constexpr (Step == 0) {
      *x = _mm512_unpacklo_ps(a, b);
      *y = _mm512_unpackhi_ps(a, b);
    } else if constexpr (Step == 1) {
      const __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
      *x = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
      *y = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    } else {
      *x = _mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(2, 0, 2, 0));
      *y = _mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(3, 1, 3, 1));
    }
  }
  static Float clean(Float a) { return max(a, set(-INFINITY)); }
  static uint32_t atLeastBits(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static uint32_t equalBits(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static Float below(Float a, Float limit) {
    return _mm512_mask_mov_ps(set(-INFINITY), _mm512_cmp_ps_mask(a, limit, _CMP_LT_OQ), a);
  }
  static Float powerOfTwo(Int n) { return _mm512_castsi512_ps(_mm512_slli_epi32(add(n, set(127)), 23)); }
  static Float unlessBelow(Float x, Float limit, Float v) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GE_OQ), v);
  }
  static __m256 upper(Float a) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)); }
  static float greatest(Float a) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), upper(a));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float least(Float a) {
    const __m256 eight = _mm256_min_ps(_mm512_castps512_ps256(a), upper(a));
    const __m128 four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
  }
};

// The same instructions at three widths: vectors of 64, 32 and 16 codes.
struct Wide {
  using Vector = __m512i;
  using Float = __m512;
  static constexpr int codes = 64;
  static Vector load(const void* p) { return _mm512_loadu_si512(p); }
  static Float loadFloats(const float* p) { return _mm512_loadu_ps(p); }
  static void storeFloats(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static void store(void* p, Vector v) { _mm512_storeu_si512(p, v); }
  static void store(uint8_t* p, Vector v, int count) {
    _mm512_mask_storeu_epi8(p, count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1, v);
  }
  static Vector set8(uint8_t v) { return _mm512_set1_epi8(static_cast<char>(v)); }
  static Vector set16(int32_t v) { return _mm512_set1_epi16(static_cast<int16_t>(v)); }
  static Float set(float v) { return _mm512_set1_ps(v); }
  static Vector zero() { return _mm512_setzero_si512(); }
  static Vector lo8(Vector a, Vector b) { return _mm512_unpacklo_epi8(a, b); }
  static Vector hi8(Vector a, Vector b) { return _mm512_unpackhi_epi8(a, b); }
  static Vector lo16(Vector a, Vector b) { return _mm512_unpacklo_epi16(a, b); }
  static Vector hi16(Vector a, Vector b) { return _mm512_unpackhi_epi16(a, b); }
  static Vector dot(Vector sum, Vector codes, Vector weights) { return _mm512_dpbusd_epi32(sum, codes, weights); }
  static Float toFloat(Vector v) { return _mm512_cvtepi32_ps(v); }
  static Vector toInt(Float v) { return _mm512_cvtps_epi32(v); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Vector packs32(Vector a, Vector b) { return _mm512_packs_epi32(a, b); }
  static Vector packus16(Vector a, Vector b) { return _mm512_packus_epi16(a, b); }
  static Vector adds16(Vector a, Vector b) { return _mm512_adds_epi16(a, b); }
  static Vector max8(Vector a, Vector b) { return _mm512_max_epu8(a, b); }
  static Vector min8(Vector a, Vector b) { return _mm512_min_epu8(a, b); }
};

struct Half {
  using Vector = __m256i;
  using Float = __m256;
  static constexpr int codes = 32;
  static Vector load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Float loadFloats(const float* p) { return _mm256_loadu_ps(p); }
  static void storeFloats(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static void store(void* p, Vector v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  static void store(uint8_t* p, Vector v, int count) {
    _mm256_mask_storeu_epi8(p, count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1, v);
  }
  static Vector set8(uint8_t v) { return _mm256_set1_epi8(static_cast<char>(v)); }
  static Vector set16(int32_t v) { return _mm256_set1_epi16(static_cast<int16_t>(v)); }
  static Float set(float v) { return _mm256_set1_ps(v); }
  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector lo8(Vector a, Vector b) { return _mm256_unpacklo_epi8(a, b); }
  static Vector hi8(Vector a, Vector b) { return _mm256_unpackhi_epi8(a, b); }
  static Vector lo16(Vector a, Vector b) { return _mm256_unpacklo_epi16(a, b); }
  static Vector hi16(Vector a, Vector b) { return _mm256_unpackhi_epi16(a, b); }
  static Vector dot(Vector sum, Vector codes, Vector weights) { return _mm256_dpbusd_epi32(sum, codes, weights); }
  static Float toFloat(Vector v) { return _mm256_cvtepi32_ps(v); }
  static Vector toInt(Float v) { return _mm256_cvtps_epi32(v); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Vector packs32(Vector a, Vector b) { return _mm256_packs_epi32(a, b); }
  static Vector packus16(Vector a, Vector b) { return _mm256_packus_epi16(a, b); }
  static Vector adds16(Vector a, Vector b) { return _mm256_adds_epi16(a, b); }
  static Vector max8(Vector a, Vector b) { return _mm256_max_epu8(a, b); }
  static Vector min8(Vector a, Vector b) { return _mm256_min_epu8(a, b); }
};

struct Quarter {
  using Vector = __m128i;
  using Float = __m128;
  static constexpr int codes = 16;
  static Vector load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static Float loadFloats(const float* p) { return _mm_loadu_ps(p); }
  static void storeFloats(float* p, Float v) { _mm_storeu_ps(p, v); }
  static void store(void* p, Vector v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }
  static void store(uint8_t* p, Vector v, int count) {
    _mm_mask_storeu_epi8(p, static_cast<__mmask16>(count >= 16 ? 0xffff : (1 << count) - 1), v);
  }
  static Vector set8(uint8_t v) { return _mm_set1_epi8(static_cast<char>(v)); }
  static Vector set16(int32_t v) { return _mm_set1_epi16(static_cast<int16_t>(v)); }
  static Float set(float v) { return _mm_set1_ps(v); }
  static Vector zero() { return _mm_setzero_si128(); }
  static Vector lo8(Vector a, Vector b) { return _mm_unpacklo_epi8(a, b); }
  static Vector hi8(Vector a, Vector b) { return _mm_unpackhi_epi8(a, b); }
  static Vector lo16(Vector a, Vector b) { return _mm_unpacklo_epi16(a, b); }
  static Vector hi16(Vector a, Vector b) { return _mm_unpackhi_epi16(a, b); }
  static Vector dot(Vector sum, Vector codes, Vector weights) { return _mm_dpbusd_epi32(sum, codes, weights); }
  static Float toFloat(Vector v) { return _mm_cvtepi32_ps(v); }
  static Vector toInt(Float v) { return _mm_cvtps_epi32(v); }
  static Float mul(Float a, Float b) { return _mm_mul_ps(a, b); }
  static Float max(Float a, Float b) { return _mm_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm_min_ps(a, b); }
  static Vector packs32(Vector a, Vector b) { return _mm_packs_epi32(a, b); }
  static Vector packus16(Vector a, Vector b) { return _mm_packus_epi16(a, b); }
  static Vector adds16(Vector a, Vector b) { return _mm_adds_epi16(a, b); }
  static Vector max8(Vector a, Vector b) { return _mm_max_epu8(a, b); }
  static Vector min8(Vector a, Vector b) { return _mm_min_epu8(a, b); }
};

// The store of OutputStage, from accumulators that the bias is part of.
template <class W>
class Store {
 public:
  using Vector = typename W::Vector;
  using Float = typename W::Float;

  explicit Store(const OutputStage& stage)
      : low_(W::set(stage.low)),
        high_(W::set(stage.high)),
        zeroPoint_(W::set16(stage.zeroPoint)),
        codeLow_(W::set8(stage.codeLow())),
        codeHigh_(W::set8(stage.codeHigh())),
        table_(stage.table),
        bounded_(stage.bounded) {}

  Float clamp(Float value) const { return W::min(W::max(value, low_), high_); }

  Vector round(Vector accumulator, Float multiplier) const {
    const Float value = W::mul(W::toFloat(accumulator), multiplier);
    return W::toInt(bounded_ ? value : clamp(value));
  }

  // Codes of four vectors of rounded values: each 128-bit lane holds 4 of a, b, c and d in turn.
  Vector codes(Vector a, Vector b, Vector c, Vector d) const {
    const Vector ab = W::adds16(W::packs32(a, b), zeroPoint_);
    const Vector cd = W::adds16(W::packs32(c, d), zeroPoint_);
    return W::min8(W::max8(W::packus16(ab, cd), codeLow_), codeHigh_);
  }

  // Stores the first `count` codes of a vector of V, which may be narrower than W.
  template <class V>
  void put(typename V::Vector codes, int count, uint8_t* out) const {
    if (!table_) {
      V::store(out, codes, count);
      return;
    }
    uint8_t bytes[V::codes];
    V::store(bytes, codes);
    for (int i = 0; i < std::min(count, V::codes); ++i) out[i] = table_[bytes[i]];
  }

 private:
  Float low_, high_;
  Vector zeroPoint_, codeLow_, codeHigh_;
  const uint8_t* table_;
  bool bounded_;
};

constexpr int kLanes = 16;

}  // namespace avx512vnni
}  // namespace lowbit
