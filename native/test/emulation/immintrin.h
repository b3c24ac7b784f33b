// x86 intrinsics in portable C, in place of the compiler's header: SIMDe (Debian's libsimde-dev), and what its release
// lacks. For tests of instruction sets on machines without them; as slow as it is exact.
#pragma once
#define LOWBIT_EMULATED
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstring>

using __mmask16 = uint16_t;
using __mmask32 = uint32_t;
using __mmask64 = uint64_t;
#undef _MM_FROUND_NO_EXC
#define _MM_FROUND_NO_EXC 0x08

// Lanes of a vector as an array.
template <class T, class Vector>
struct Lanes {
  T of[sizeof(Vector) / sizeof(T)];
  explicit Lanes(const Vector& v) { std::memcpy(of, &v, sizeof of); }
};

template <class Vector, class T>
inline Vector vectorOf(const T* lanes) {
  Vector v;
  std::memcpy(&v, lanes, sizeof v);
  return v;
}

inline __m512 _mm512_cvtepi32_ps(__m512i v) {
  const Lanes<int32_t, __m512i> in(v);
  float out[16];
  for (int i = 0; i < 16; ++i) out[i] = static_cast<float>(in.of[i]);
  return vectorOf<__m512>(out);
}

// Values out of range, and NaN, become the least integer.
inline __m512i _mm512_cvtps_epi32(__m512 v) {
  const Lanes<float, __m512> in(v);
  int32_t out[16];
  for (int i = 0; i < 16; ++i) {
    const bool fits = in.of[i] >= -2147483648.0f && in.of[i] < 2147483648.0f;
    out[i] = fits ? static_cast<int32_t>(std::nearbyintf(in.of[i])) : INT32_MIN;
  }
  return vectorOf<__m512i>(out);
}

inline __m512i _mm512_cvt_roundps_epi32(__m512 v, int) { return _mm512_cvtps_epi32(v); }

inline __m512 _mm512_permute_ps(__m512 v, int control) {
  const Lanes<float, __m512> in(v);
  float out[16];
  for (int i = 0; i < 16; ++i) out[i] = in.of[i / 4 * 4 + (control >> 2 * (i % 4) & 3)];
  return vectorOf<__m512>(out);
}

// Two quarters of a, then two of b.
inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int control) {
  const Lanes<float, __m512> from[] = {Lanes<float, __m512>(a), Lanes<float, __m512>(b)};
  float out[16];
  for (int i = 0; i < 16; ++i) out[i] = from[i / 8].of[4 * (control >> 2 * (i / 4) & 3) + i % 4];
  return vectorOf<__m512>(out);
}

inline __m512i _mm512_cvtepu8_epi32(__m128i v) {
  const Lanes<uint8_t, __m128i> in(v);
  int32_t out[16];
  for (int i = 0; i < 16; ++i) out[i] = in.of[i];
  return vectorOf<__m512i>(out);
}

inline __m128i _mm512_cvtepi32_epi8(__m512i v) {
  const Lanes<int32_t, __m512i> in(v);
  uint8_t out[16];
  for (int i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>(in.of[i]);
  return vectorOf<__m128i>(out);
}

inline __m512i _mm512_srai_epi32(__m512i v, unsigned count) {
  Lanes<int32_t, __m512i> lanes(v);
  for (int32_t& lane : lanes.of) lane >>= count;
  return vectorOf<__m512i>(lanes.of);
}

inline __m512 _mm512_cvtph_ps(__m256i v) {
  const Lanes<uint16_t, __m256i> in(v);
  float out[16];
  for (int i = 0; i < 16; ++i) {
    const int exponent = in.of[i] >> 10 & 31, fraction = in.of[i] & 1023;
    const float magnitude = exponent ? std::ldexp(static_cast<float>(1024 + fraction), exponent - 25)
                                     : std::ldexp(static_cast<float>(fraction), -24);
    out[i] = in.of[i] >> 15 ? -magnitude : magnitude;
  }
  return vectorOf<__m512>(out);
}

template <class Vector>
inline void maskStore(void* to, uint64_t mask, Vector v) {
  const Lanes<uint8_t, Vector> in(v);
  for (size_t i = 0; i < sizeof v; ++i) {
    if (mask >> i & 1) static_cast<uint8_t*>(to)[i] = in.of[i];
  }
}

inline void _mm512_mask_storeu_epi8(void* to, __mmask64 mask, __m512i v) { maskStore(to, mask, v); }
inline void _mm256_mask_storeu_epi8(void* to, __mmask32 mask, __m256i v) { maskStore(to, mask, v); }
inline void _mm_mask_storeu_epi8(void* to, __mmask16 mask, __m128i v) { maskStore(to, mask, v); }

inline void _mm512_stream_ps(void* to, __m512 v) { std::memcpy(to, &v, sizeof v); }

#undef _mm512_madd_epi16
// Sums of two products each, which wrap.
inline __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
  const Lanes<int16_t, __m512i> left(a), right(b);
  int32_t out[16];
  for (int i = 0; i < 16; ++i) {
    const uint32_t even = static_cast<uint32_t>(left.of[2 * i] * right.of[2 * i]);
    out[i] = static_cast<int32_t>(even + static_cast<uint32_t>(left.of[2 * i + 1] * right.of[2 * i + 1]));
  }
  return vectorOf<__m512i>(out);
}

inline __m256i _mm256_maskz_loadu_epi16(__mmask16 mask, const uint16_t* from) {
  uint16_t lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = mask >> i & 1 ? from[i] : 0;
  return vectorOf<__m256i>(lanes);
}

inline __m512 _mm512_mask_loadu_ps(__m512 rest, __mmask16 mask, const float* from) {
  Lanes<float, __m512> lanes(rest);
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) lanes.of[i] = from[i];
  }
  return vectorOf<__m512>(lanes.of);
}

inline void _mm512_mask_storeu_ps(float* to, __mmask16 mask, __m512 v) {
  const Lanes<float, __m512> in(v);
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) to[i] = in.of[i];
  }
}

inline __m256i _mm256_dpbusd_avx_epi32(__m256i sum, __m256i codes, __m256i weights) {
  return _mm256_dpbusd_epi32(sum, codes, weights);
}
