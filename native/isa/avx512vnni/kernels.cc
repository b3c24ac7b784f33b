// AVX-512 with VNNI: vpdpbusd multiplies 4 unsigned activations with 4 signed weights and adds them to an int32 lane,
// without saturation, so the unsigned codes of the engine go in as they are.
//
// GEMM. A panel is up to 64 outputs (NZ = 1..4 vectors of 16). A tile keeps MT rows x NZ vectors of accumulators in
// registers: NZ vectors of weights are loaded once and used MT times, each row's 4 codes are one broadcast load used NZ
// times. MT * NZ + NZ + 1 <= 32 registers gives 6x4, 9x3, 12x2 and 14x1; a step of 6x4 is 24 vpdpbusd to 10 loads.
//   packed: panel p | tap t | group g of 4 k | vector z | output n of 16 | k of 4        (k past depth: weight 0)
//
// Depthwise. A block is 64, 32 or 16 channels; 4 taps are interleaved by byte and word unpacks, so that an int32 lane
// holds 4 taps of one channel. The unpacks work within 128-bit lanes, so lane L of vector q holds channels 16L + 4q to
// 16L + 4q + 3; saturating packs at the store put them back in order.
//   packed: block b | group g of 4 taps | vector q | lane L | channel 16L + 4q + e, e of 4 | tap of 4
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

using Common = VectorKernels<Avx512>;

constexpr int kLanes = 16;
constexpr int kPanelVectors = 4;
constexpr int kPanel = kLanes * kPanelVectors;

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

inline int panelVectors(int outputs, int firstOutput) {
  return std::min(kPanelVectors, ceilDiv(outputs - firstOutput, kLanes));
}

size_t packedGemmBytes(int outputs, int taps, int depth) {
  return static_cast<size_t>(ceilDiv(outputs, kLanes)) * kLanes * taps * ceilDiv(depth, 4) * 4;
}

void packGemm(const int8_t* filter, int outputs, int taps, int depth, void* packed) {
  int8_t* out = static_cast<int8_t*>(packed);
  for (int n0 = 0; n0 < outputs; n0 += kPanel) {
    const int panelOutputs = panelVectors(outputs, n0) * kLanes;
    for (int t = 0; t < taps; ++t) {
      for (int k0 = 0; k0 < depth; k0 += 4) {
        for (int n = n0; n < n0 + panelOutputs; ++n) {
          for (int k = k0; k < k0 + 4; ++k) {
            const bool inside = n < outputs && k < depth;
            *out++ = inside ? filter[(static_cast<size_t>(n) * taps + t) * depth + k] : int8_t{0};
          }
        }
      }
    }
  }
}

inline __m512i broadcast4(const uint8_t* p) {
  int32_t codes;
  std::memcpy(&codes, p, sizeof codes);
  return _mm512_set1_epi32(codes);
}

template <int NZ>
inline void storeRow(const GemmArgs& args, const __m512i* accumulators, int m, int n0) {
  const OutputStage& stage = *args.stage;
  const __m512 low = Avx512::set(stage.low), high = Avx512::set(stage.high);
  const __m512i zeroPoint = Avx512::set(stage.zeroPoint);
#pragma GCC unroll 4
  for (int z = 0; z < NZ; ++z) {
    const int n = n0 + z * kLanes;
    const int count = std::min(kLanes, args.outputs - n);
    const __m512 value = Common::stageValue(accumulators[z], Avx512::load(stage.bias + n),
                                            Avx512::load(stage.multiplier + n), low, high);
    if (args.floatOut) {
      _mm512_mask_storeu_ps(args.floatOut + m * args.outStride + n,
                            static_cast<__mmask16>((1u << count) - 1), value);
      continue;
    }
    const __m512i codes = Avx512::add(Avx512::toInt(value), zeroPoint);
    uint8_t* out = args.out + m * args.outStride + n;
    if (count == kLanes) {
      Common::storeCodes(out, codes, stage.table);
    } else {
      Common::storeCodesPartly(out, codes, stage.table, count);
    }
  }
}

template <int MT, int NZ, bool Direct>
void gemmTile(const GemmArgs& args, int m0, const int8_t* panel, int n0) {
  __m512i accumulators[MT][NZ];
#pragma GCC unroll 16
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 4
    for (int z = 0; z < NZ; ++z) accumulators[i][z] = _mm512_setzero_si512();
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
    for (size_t g = 0; g < groups; ++g, panel += NZ * 64) {
      __m512i weights[NZ];
#pragma GCC unroll 4
      for (int z = 0; z < NZ; ++z) weights[z] = _mm512_load_si512(panel + z * 64);
#pragma GCC unroll 16
      for (int i = 0; i < MT; ++i) {
        const uint8_t* row = Direct ? pointers[i / 3] + (i % 3) * stride : pointers[i];
        const __m512i codes = broadcast4(row + 4 * g);
#pragma GCC unroll 4
        for (int z = 0; z < NZ; ++z) {
          accumulators[i][z] = _mm512_dpbusd_epi32(accumulators[i][z], codes, weights[z]);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MT; ++i) storeRow<NZ>(args, accumulators[i], m0 + i, n0);
}

// All rows from `m` on: as many tiles of MT rows as fit, then halves.
template <int MT, int NZ, bool Direct>
void gemmRows(const GemmArgs& args, int m, const int8_t* panel, int n0) {
  for (; m + MT <= args.rowCount; m += MT) gemmTile<MT, NZ, Direct>(args, m, panel, n0);
  if constexpr (MT > 1) gemmRows<MT / 2, NZ, Direct>(args, m, panel, n0);
}

template <bool Direct>
void gemmPanels(const GemmArgs& args) {
  const int8_t* panel = static_cast<const int8_t*>(args.packed);
  const size_t vectorBytes = static_cast<size_t>(args.taps) * ceilDiv(args.depth, 4) * 64;
  for (int n0 = 0; n0 < args.outputs; n0 += kPanel) {
    const int vectors = panelVectors(args.outputs, n0);
    switch (vectors) {
      case 1: gemmRows<14, 1, Direct>(args, 0, panel, n0); break;
      case 2: gemmRows<12, 2, Direct>(args, 0, panel, n0); break;
      case 3: gemmRows<9, 3, Direct>(args, 0, panel, n0); break;
      default: gemmRows<6, 4, Direct>(args, 0, panel, n0); break;
    }
    panel += vectors * vectorBytes;
  }
}

void gemm(const GemmArgs& args) {
  if (args.rows) {
    gemmPanels<false>(args);
  } else {
    gemmPanels<true>(args);
  }
}

// The operations of a depthwise block of 64, 32 and 16 channels: the same instructions at three widths.
struct Block64 {
  using Vector = __m512i;
  using Float = __m512;
  static constexpr int channels = 64;
  static Vector load(const void* p) { return _mm512_loadu_si512(p); }
  static Vector zero() { return _mm512_setzero_si512(); }
  static Vector lo8(Vector a, Vector b) { return _mm512_unpacklo_epi8(a, b); }
  static Vector hi8(Vector a, Vector b) { return _mm512_unpackhi_epi8(a, b); }
  static Vector lo16(Vector a, Vector b) { return _mm512_unpacklo_epi16(a, b); }
  static Vector hi16(Vector a, Vector b) { return _mm512_unpackhi_epi16(a, b); }
  static Vector dot(Vector sum, Vector codes, Vector weights) {
    return _mm512_dpbusd_epi32(sum, codes, weights);
  }
  static Vector requantize(Vector sum, Vector bias, Float multiplier, const OutputStage& stage) {
    const __m512 value = Common::stageValue(sum, bias, multiplier, _mm512_set1_ps(stage.low),
                                            _mm512_set1_ps(stage.high));
    return _mm512_add_epi32(Avx512::toInt(value), _mm512_set1_epi32(stage.zeroPoint));
  }
  static Vector pack(Vector a, Vector b, Vector c, Vector d) {
    return _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, d));
  }
  static void store(uint8_t* p, Vector v) { _mm512_storeu_si512(p, v); }
};

struct Block32 {
  using Vector = __m256i;
  using Float = __m256;
  static constexpr int channels = 32;
  static Vector load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector lo8(Vector a, Vector b) { return _mm256_unpacklo_epi8(a, b); }
  static Vector hi8(Vector a, Vector b) { return _mm256_unpackhi_epi8(a, b); }
  static Vector lo16(Vector a, Vector b) { return _mm256_unpacklo_epi16(a, b); }
  static Vector hi16(Vector a, Vector b) { return _mm256_unpackhi_epi16(a, b); }
  static Vector dot(Vector sum, Vector codes, Vector weights) {
    return _mm256_dpbusd_epi32(sum, codes, weights);
  }
  static Vector requantize(Vector sum, Vector bias, Float multiplier, const OutputStage& stage) {
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(sum, bias)), multiplier);
    value = _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(stage.low)), _mm256_set1_ps(stage.high));
    return _mm256_add_epi32(_mm256_cvtps_epi32(value), _mm256_set1_epi32(stage.zeroPoint));
  }
  static Vector pack(Vector a, Vector b, Vector c, Vector d) {
    return _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
  }
  static void store(uint8_t* p, Vector v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
};

struct Block16 {
  using Vector = __m128i;
  using Float = __m128;
  static constexpr int channels = 16;
  static Vector load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static Vector zero() { return _mm_setzero_si128(); }
  static Vector lo8(Vector a, Vector b) { return _mm_unpacklo_epi8(a, b); }
  static Vector hi8(Vector a, Vector b) { return _mm_unpackhi_epi8(a, b); }
  static Vector lo16(Vector a, Vector b) { return _mm_unpacklo_epi16(a, b); }
  static Vector hi16(Vector a, Vector b) { return _mm_unpackhi_epi16(a, b); }
  static Vector dot(Vector sum, Vector codes, Vector weights) {
    return _mm_dpbusd_epi32(sum, codes, weights);
  }
  static Vector requantize(Vector sum, Vector bias, Float multiplier, const OutputStage& stage) {
    __m128 value = _mm_mul_ps(_mm_cvtepi32_ps(_mm_add_epi32(sum, bias)), multiplier);
    value = _mm_min_ps(_mm_max_ps(value, _mm_set1_ps(stage.low)), _mm_set1_ps(stage.high));
    return _mm_add_epi32(_mm_cvtps_epi32(value), _mm_set1_epi32(stage.zeroPoint));
  }
  static Vector pack(Vector a, Vector b, Vector c, Vector d) {
    return _mm_packus_epi16(_mm_packus_epi32(a, b), _mm_packus_epi32(c, d));
  }
  static void store(uint8_t* p, Vector v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }
};

inline int blockChannels(int remaining) { return remaining > 32 ? 64 : remaining > 16 ? 32 : 16; }

size_t packedDepthwiseBytes(int channels, int taps) {
  size_t bytes = 0;
  for (int c = 0; c < channels; c += blockChannels(channels - c)) {
    bytes += static_cast<size_t>(blockChannels(channels - c)) * ceilDiv(taps, 4) * 4;
  }
  return bytes;
}

void packDepthwise(const int8_t* filter, int channels, int taps, void* packed) {
  int8_t* out = static_cast<int8_t*>(packed);
  for (int c0 = 0, block; c0 < channels; c0 += block) {
    block = blockChannels(channels - c0);
    for (int t0 = 0; t0 < taps; t0 += 4) {
      for (int q = 0; q < 4; ++q) {
        for (int lane = 0; lane < block / 16; ++lane) {
          for (int e = 0; e < 4; ++e) {
            const int c = c0 + 16 * lane + 4 * q + e;
            for (int t = t0; t < t0 + 4; ++t) {
              const bool inside = c < channels && t < taps;
              *out++ = inside ? filter[static_cast<size_t>(t) * channels + c] : int8_t{0};
            }
          }
        }
      }
    }
  }
}

template <class B>
void depthwiseBlock(const DepthwiseArgs& args, const int8_t* packed, int c0) {
  using Vector = typename B::Vector;
  const OutputStage& stage = *args.stage;
  // Bias and multipliers in the channel order of the unpacked accumulators.
  alignas(64) int32_t bias[4][B::channels / 4];
  alignas(64) float multiplier[4][B::channels / 4];
  for (int q = 0; q < 4; ++q) {
    for (int i = 0; i < B::channels / 4; ++i) {
      const int c = c0 + 16 * (i / 4) + 4 * q + i % 4;
      bias[q][i] = stage.bias[c];
      multiplier[q][i] = stage.multiplier[c];
    }
  }
  const int count = std::min(B::channels, args.channels - c0);
  const int groups = ceilDiv(args.taps, 4);
  for (int m = 0; m < args.rowCount; ++m) {
    Vector sums[4] = {B::zero(), B::zero(), B::zero(), B::zero()};
    const int8_t* weights = packed;
    for (int g = 0; g < groups; ++g) {
      Vector rows[4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const int t = std::min(4 * g + j, args.taps - 1);  // past the last tap the weights are 0
        rows[j] = B::load(args.rows[static_cast<size_t>(t) * args.rowCount + m] + c0);
      }
      const Vector lo01 = B::lo8(rows[0], rows[1]), hi01 = B::hi8(rows[0], rows[1]);
      const Vector lo23 = B::lo8(rows[2], rows[3]), hi23 = B::hi8(rows[2], rows[3]);
      const Vector codes[4] = {B::lo16(lo01, lo23), B::hi16(lo01, lo23), B::lo16(hi01, hi23),
                               B::hi16(hi01, hi23)};
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q, weights += B::channels) {
        sums[q] = B::dot(sums[q], codes[q], B::load(weights));
      }
    }
    Vector codes[4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      typename B::Float multipliers;
      std::memcpy(&multipliers, multiplier[q], sizeof multipliers);
      codes[q] = B::requantize(sums[q], B::load(bias[q]), multipliers, stage);
    }
    const Vector bytes = B::pack(codes[0], codes[1], codes[2], codes[3]);
    uint8_t* out = args.out + m * args.outStride + c0;
    if (count == B::channels && !stage.table) {
      B::store(out, bytes);
    } else {
      uint8_t buffer[B::channels];
      B::store(buffer, bytes);
      for (int i = 0; i < count; ++i) out[i] = stage.table ? stage.table[buffer[i]] : buffer[i];
    }
  }
}

void depthwise(const DepthwiseArgs& args) {
  const int8_t* packed = static_cast<const int8_t*>(args.packed);
  for (int c0 = 0, block; c0 < args.channels; c0 += block) {
    block = blockChannels(args.channels - c0);
    if (block == 64) {
      depthwiseBlock<Block64>(args, packed, c0);
    } else if (block == 32) {
      depthwiseBlock<Block32>(args, packed, c0);
    } else {
      depthwiseBlock<Block16>(args, packed, c0);
    }
    packed += static_cast<size_t>(block) * ceilDiv(args.taps, 4) * 4;
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
    gemm,
    packedDepthwiseBytes,
    packDepthwise,
    depthwise,
    Common::quantize,
    Common::dequantize,
    Common::add,
    Common::mul,
    Common::rescale,
    Common::lookup,
    maxRows,
    Common::sumRows,
    Common::rescaleSums,
};

}  // namespace

const Kernels* avx512vnniKernels() { return &kAvx512Vnni; }

}  // namespace lowbit
