// AVX-512 with VNNI: vpdpbusd multiplies 4 unsigned activations with 4 signed weights and adds them to an int32 lane,
// without saturation, so the unsigned codes of the engine go in as they are.
//
// GEMM. A panel is 64, 32 or 16 outputs (NZ = 4, 2 or 1 vectors of 16). A tile keeps MT rows x NZ vectors of accumulators
// in registers: NZ vectors of weights are loaded once and used MT times, each row's 4 codes are one broadcast load used
// NZ times. MT * NZ + NZ + 1 <= 32 registers gives 6x4, 12x2 and 14x1; a step of 6x4 is 24 vpdpbusd to 10 loads.
//   packed: panel p | bias | multiplier | tap t | group g of 4 k | vector z | output of 16 | k of 4
//                                                                                              (k past depth: weight 0)
// The saturating packs of the store work within 128-bit lanes, four int32 of each operand in turn. Lane L of vector z
// therefore holds outputs 4 * (NZ * L + z) and the three after it, and the packs put them in order.
//
// Depthwise. A block is 64, 32 or 16 channels. Each column of the input is read once: 4 vertically adjacent taps are
// interleaved by byte and word unpacks, so that an int32 lane holds 4 taps of one channel, in a buffer that serves all
// windows the column is part of; the dot products then go over 4 output pixels at a time. (A 3 x 3 window keeps its
// columns in registers instead.) The unpacks work within 128-bit lanes: lane L of vector q holds channels 16 L + 4 q and
// the three after it.
//   buffer: column | group of 4 rows | vector q | lane L | channel of 4 | row of 4
//   packed: block b | bias | multiplier | kernel column | group of 4 rows | vector q | lane L | channel of 4 | row of 4
#include <immintrin.h>

#include <algorithm>

#include "../vector-kernels.h"

namespace lowbit {
namespace {

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
  static Int toInt(Float a) {
    return _mm512_cvt_roundps_epi32(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
};

// The same instructions at three widths: vectors of 64, 32 and 16 codes.
struct Wide {
  using Vector = __m512i;
  using Float = __m512;
  static constexpr int codes = 64;
  static Vector load(const void* p) { return _mm512_loadu_si512(p); }
  static Float loadFloats(const float* p) { return _mm512_loadu_ps(p); }
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

using Common = VectorKernels<Avx512>;

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

inline int panelVectors(int remaining) {
  return remaining > 48 ? 4 : remaining > 16 ? 2 : 1;
}

// The output of a panel of `vectors` vectors that lane `lane` (of 16) of vector z holds.
inline int outputOf(int vectors, int z, int lane) { return 4 * (vectors * (lane / 4) + z) + lane % 4; }

inline size_t panelBytes(int vectors, int taps, int depth) {
  return static_cast<size_t>(vectors) * kLanes * (8 + static_cast<size_t>(taps) * ceilDiv(depth, 4) * 4);
}

size_t packedGemmBytes(int outputs, int taps, int depth) {
  size_t bytes = 0;
  for (int n = 0, vectors; n < outputs; n += vectors * kLanes) {
    vectors = panelVectors(outputs - n);
    bytes += panelBytes(vectors, taps, depth);
  }
  return bytes;
}

void packGemm(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants,
              void* packed) {
  uint8_t* panel = static_cast<uint8_t*>(packed);
  for (int n0 = 0, vectors; n0 < outputs; n0 += vectors * kLanes) {
    vectors = panelVectors(outputs - n0);
    const int size = vectors * kLanes;
    int32_t* bias = reinterpret_cast<int32_t*>(panel);
    float* multiplier = reinterpret_cast<float*>(bias + size);
    int8_t* weights = reinterpret_cast<int8_t*>(multiplier + size);
    for (int i = 0; i < size; ++i) {
      const int n = n0 + outputOf(vectors, i / kLanes, i % kLanes);
      bias[i] = n < outputs ? constants.bias[n] : 0;
      multiplier[i] = n < outputs ? constants.multiplier[n] : 0;
    }
    for (int t = 0; t < taps; ++t) {
      for (int k0 = 0; k0 < depth; k0 += 4) {
        for (int i = 0; i < size; ++i) {
          const int n = n0 + outputOf(vectors, i / kLanes, i % kLanes);
          for (int k = k0; k < k0 + 4; ++k) {
            const bool inside = n < outputs && k < depth;
            *weights++ = inside ? filter[(static_cast<size_t>(n) * taps + t) * depth + k] : int8_t{0};
          }
        }
      }
    }
    panel += panelBytes(vectors, taps, depth);
  }
}

size_t gemmScratchBytes(int, int) { return 0; }

inline __m512i broadcast4(const uint8_t* p) {
  int32_t codes;
  std::memcpy(&codes, p, sizeof codes);
  return _mm512_set1_epi32(codes);
}

// Codes of one row of 4 vectors, 2 rows of 2 or 4 rows of 1 (`stride` bytes apart, the first `rows` of them stored).
template <int NZ>
inline void storeCodes(const Store<Wide>& store, const __m512i (&rounded)[4], int rows, int count, uint8_t* out,
                       size_t stride) {
  const __m512i codes = store.codes(rounded[0], rounded[1], rounded[2], rounded[3]);
  if constexpr (NZ == 4) {
    store.put<Wide>(codes, count, out);
  } else if constexpr (NZ == 2) {
    const __m512i byRow = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), codes);
    store.put<Half>(_mm512_castsi512_si256(byRow), count, out);
    if (rows > 1) store.put<Half>(_mm512_extracti64x4_epi64(byRow, 1), count, out + stride);
  } else {
    const __m512i byRow = _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), codes);
    store.put<Quarter>(_mm512_castsi512_si128(byRow), count, out);
    if (rows > 1) store.put<Quarter>(_mm512_extracti32x4_epi32(byRow, 1), count, out + stride);
    if (rows > 2) store.put<Quarter>(_mm512_extracti32x4_epi32(byRow, 2), count, out + 2 * stride);
    if (rows > 3) store.put<Quarter>(_mm512_extracti32x4_epi32(byRow, 3), count, out + 3 * stride);
  }
}

template <int NZ>
void storeFloats(const Store<Wide>& store, const __m512i* sums, const float* multiplier, int count, float* out) {
  alignas(64) float values[kLanes];
  for (int z = 0; z < NZ; ++z) {
    const __m512 scale = _mm512_loadu_ps(multiplier + z * kLanes);
    _mm512_store_ps(values, store.clamp(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[z]), scale)));
    for (int lane = 0; lane < kLanes; ++lane) {
      const int n = outputOf(NZ, z, lane);
      if (n < count) out[n] = values[lane];
    }
  }
}

// Makes the compiler load what `constants` points to anew after this point. Constants of a store that stay in registers
// during the product loop before it would push accumulators out of them.
inline void reload(const void* constants) { __asm__ volatile("" : : "r"(constants) : "memory"); }

template <int MT, int NZ, bool Direct>
void gemmTile(const GemmArgs& args, const Store<Wide>& store, int m0, const uint8_t* panel, int n0) {
  constexpr int kOutputs = NZ * kLanes;
  const int32_t* bias = reinterpret_cast<const int32_t*>(panel);
  const float* multiplier = reinterpret_cast<const float*>(bias + kOutputs);
  const int8_t* weights = reinterpret_cast<const int8_t*>(multiplier + kOutputs);
  __m512i sums[MT][NZ];
#pragma GCC unroll 16
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 4
    for (int z = 0; z < NZ; ++z) sums[i][z] = Avx512::load(bias + z * kLanes);
  }
  const size_t groups = ceilDiv(args.depth, 4);
  for (int t = 0; t < args.taps; ++t) {
    // Direct rows are addressed three to a pointer (p, p + s, p + 2s), so that the pointers fit the registers.
    constexpr int kPointers = Direct ? (MT + 2) / 3 : MT;
    const uint8_t* pointers[kPointers];
    const size_t stride = Direct ? args.rowStride : 0;
#pragma GCC unroll 16
    for (int i = 0; i < kPointers; ++i) {
      pointers[i] = Direct ? args.base + static_cast<size_t>(m0 + 3 * i) * stride
                           : args.rows[static_cast<size_t>(t) * args.rowCount + m0 + i];
    }
    for (size_t g = 0; g < groups; ++g, weights += NZ * 64) {
      __m512i w[NZ];
#pragma GCC unroll 4
      for (int z = 0; z < NZ; ++z) w[z] = _mm512_load_si512(weights + z * 64);
#pragma GCC unroll 16
      for (int i = 0; i < MT; ++i) {
        const uint8_t* row = Direct ? pointers[i / 3] + (i % 3) * stride : pointers[i];
        const __m512i codes = broadcast4(row + 4 * g);
#pragma GCC unroll 4
        for (int z = 0; z < NZ; ++z) sums[i][z] = _mm512_dpbusd_epi32(sums[i][z], codes, w[z]);
      }
    }
  }
  reload(&store);
  const int count = args.outputs - n0;
  if (args.floatOut) {
#pragma GCC unroll 16
    for (int i = 0; i < MT; ++i) {
      storeFloats<NZ>(store, sums[i], multiplier, count, args.floatOut + (m0 + i) * args.outStride + n0);
    }
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 4
    for (int z = 0; z < NZ; ++z) sums[i][z] = store.round(sums[i][z], _mm512_loadu_ps(multiplier + z * kLanes));
  }
  constexpr int kRows = 4 / NZ;  // to one vector of codes
  uint8_t* out = args.out + m0 * args.outStride + n0;
#pragma GCC unroll 16
  for (int i = 0; i < MT; i += kRows) {
    __m512i rounded[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) rounded[j] = sums[std::min(i + j / NZ, MT - 1)][j % NZ];
    storeCodes<NZ>(store, rounded, MT - i, count, out + i * args.outStride, args.outStride);
  }
}

// All rows from `m` on: as many tiles of MT rows as fit, then halves.
template <int MT, int NZ, bool Direct>
void gemmRows(const GemmArgs& args, const Store<Wide>& store, int m, const uint8_t* panel, int n0) {
  for (; m + MT <= args.rowCount; m += MT) gemmTile<MT, NZ, Direct>(args, store, m, panel, n0);
  if constexpr (MT > 1) gemmRows<MT / 2, NZ, Direct>(args, store, m, panel, n0);
}

template <bool Direct>
void gemmPanels(const GemmArgs& args) {
  const Store<Wide> store(*args.stage);
  const uint8_t* panel = static_cast<const uint8_t*>(args.packed);
  for (int n0 = 0, vectors; n0 < args.outputs; n0 += vectors * kLanes) {
    vectors = panelVectors(args.outputs - n0);
    switch (vectors) {
      case 1: gemmRows<14, 1, Direct>(args, store, 0, panel, n0); break;
      case 2: gemmRows<12, 2, Direct>(args, store, 0, panel, n0); break;
      default: gemmRows<6, 4, Direct>(args, store, 0, panel, n0); break;
    }
    panel += panelBytes(vectors, args.taps, args.depth);
  }
}

void gemm(const GemmArgs& args) {
  if (args.rows) {
    gemmPanels<false>(args);
  } else {
    gemmPanels<true>(args);
  }
}

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

// Stores pixel m of the channels of a block that starts at channel c0.
template <class W>
inline void storePixel(const DepthwiseArgs& args, const Store<W>& store, const float* multiplier,
                       const typename W::Vector (&sums)[4], int m, int c0) {
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

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high,
             uint8_t* out) {
  for (int c = 0; c < channels; c += 64) {
    __m512i best = _mm512_set1_epi8(static_cast<char>(low));
    for (int r = 0; r < rowCount; ++r) best = _mm512_max_epu8(best, _mm512_loadu_si512(rows[r] + c));
    best = _mm512_min_epu8(best, _mm512_set1_epi8(static_cast<char>(high)));
    uint8_t buffer[64];
    _mm512_storeu_si512(buffer, best);
    std::memcpy(out + c, buffer, std::min(64, channels - c));
  }
}

constexpr Kernels kAvx512Vnni = {
    "avx512vnni",
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

const Kernels* avx512vnniKernels() { return &kAvx512Vnni; }

}  // namespace lowbit
