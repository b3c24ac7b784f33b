// AVX2, exact: codes and weights are widened to int16 and multiplied by vpmaddwd, whose pairwise sums fit int32.
// (vpmaddubsw would take bytes directly, but saturates its int16 sums.)
//
// GEMM. A panel is 16 outputs (two vectors of 8), a tile 4 rows: 8 accumulators. Four codes of a row are broadcast to
// every 32-bit lane and split by a mask and a shift into the int16 pairs (k0, k2) and (k1, k3), so the weights are
// stored in that order: a group of 4 k costs 4 widening loads of weights, and for each row 3 instructions for the codes
// and 4 multiply-adds.
//   packed: panel p | tap t | group g of 4 k | pair (k0 k2), (k1 k3) | output n of 16 | k of 2    (past depth: 0)
//
// Depthwise. Blocks of 16 channels; two taps are interleaved by channel and widened to int16 pairs.
//   packed: block b | pair of taps | channel of 16 | tap of 2
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
constexpr int kTileRows = 4;

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

size_t packedGemmBytes(int outputs, int taps, int depth) {
  return static_cast<size_t>(ceilDiv(outputs, kPanel)) * kPanel * taps * ceilDiv(depth, 4) * 4;
}

void packGemm(const int8_t* filter, int outputs, int taps, int depth, void* packed) {
  int8_t* out = static_cast<int8_t*>(packed);
  for (int n0 = 0; n0 < outputs; n0 += kPanel) {
    for (int t = 0; t < taps; ++t) {
      for (int k0 = 0; k0 < depth; k0 += 4) {
        for (int pair = 0; pair < 2; ++pair) {
          for (int n = n0; n < n0 + kPanel; ++n) {
            for (int k = k0 + pair; k < k0 + 4; k += 2) {
              const bool inside = n < outputs && k < depth;
              *out++ = inside ? filter[(static_cast<size_t>(n) * taps + t) * depth + k] : int8_t{0};
            }
          }
        }
      }
    }
  }
}

inline __m256i widenWeights(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}

// Stores up to 16 requantized accumulators of one row, channels `c0` and on.
inline void storeRow(const OutputStage& stage, const __m256i* accumulators, int c0, int channels,
                     uint8_t* out, float* floatOut) {
  const __m256 low = Avx2::set(stage.low), high = Avx2::set(stage.high);
  for (int v = 0; v < 2; ++v) {
    const int c = c0 + v * kLanes;
    if (c >= channels) return;
    const size_t count = std::min(kLanes, channels - c);
    const __m256 value = Common::stageValue(accumulators[v], Avx2::load(stage.bias + c),
                                            Avx2::load(stage.multiplier + c), low, high);
    if (floatOut) {
      float buffer[kLanes];
      Avx2::store(buffer, value);
      std::memcpy(floatOut + c, buffer, count * sizeof(float));
      continue;
    }
    const __m256i codes = Avx2::add(Avx2::toInt(value), Avx2::set(stage.zeroPoint));
    if (count == kLanes) {
      Common::storeCodes(out + c, codes, stage.table);
    } else {
      Common::storeCodesPartly(out + c, codes, stage.table, count);
    }
  }
}

template <int MT>
void gemmTile(const GemmArgs& args, int m0, const int8_t* panel, int n0) {
  const __m256i evenBytes = _mm256_set1_epi16(0x00ff);
  const size_t groups = ceilDiv(args.depth, 4);
  __m256i accumulators[MT][2];
  for (int i = 0; i < MT; ++i) accumulators[i][0] = accumulators[i][1] = _mm256_setzero_si256();
  for (int t = 0; t < args.taps; ++t) {
    const uint8_t* rows[MT];
    for (int i = 0; i < MT; ++i) {
      rows[i] = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + m0 + i]
                          : args.base + static_cast<size_t>(m0 + i) * args.rowStride;
    }
    for (size_t g = 0; g < groups; ++g, panel += 4 * kPanel) {
      const __m256i even[2] = {widenWeights(panel), widenWeights(panel + 16)};
      const __m256i odd[2] = {widenWeights(panel + 32), widenWeights(panel + 48)};
#pragma GCC unroll 4
      for (int i = 0; i < MT; ++i) {
        int32_t bytes;
        std::memcpy(&bytes, rows[i] + 4 * g, sizeof bytes);
        const __m256i codes = _mm256_set1_epi32(bytes);
        const __m256i evenCodes = _mm256_and_si256(codes, evenBytes);
        const __m256i oddCodes = _mm256_srli_epi16(codes, 8);
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          accumulators[i][v] = Avx2::add(accumulators[i][v], _mm256_madd_epi16(evenCodes, even[v]));
          accumulators[i][v] = Avx2::add(accumulators[i][v], _mm256_madd_epi16(oddCodes, odd[v]));
        }
      }
    }
  }
  for (int i = 0; i < MT; ++i) {
    const size_t row = (m0 + i) * args.outStride;
    storeRow(*args.stage, accumulators[i], n0, args.outputs, args.out ? args.out + row : nullptr,
             args.floatOut ? args.floatOut + row : nullptr);
  }
}

void gemm(const GemmArgs& args) {
  const int8_t* panel = static_cast<const int8_t*>(args.packed);
  const size_t panelBytes = static_cast<size_t>(args.taps) * ceilDiv(args.depth, 4) * 4 * kPanel;
  for (int n0 = 0; n0 < args.outputs; n0 += kPanel, panel += panelBytes) {
    int m = 0;
    for (; m + kTileRows <= args.rowCount; m += kTileRows) gemmTile<kTileRows>(args, m, panel, n0);
    for (; m < args.rowCount; ++m) gemmTile<1>(args, m, panel, n0);
  }
}

size_t packedDepthwiseBytes(int channels, int taps) {
  return static_cast<size_t>(ceilDiv(channels, kPanel)) * kPanel * ceilDiv(taps, 2) * 2;
}

void packDepthwise(const int8_t* filter, int channels, int taps, void* packed) {
  int8_t* out = static_cast<int8_t*>(packed);
  for (int c0 = 0; c0 < channels; c0 += kPanel) {
    for (int t0 = 0; t0 < taps; t0 += 2) {
      for (int c = c0; c < c0 + kPanel; ++c) {
        for (int t = t0; t < t0 + 2; ++t) {
          const bool inside = c < channels && t < taps;
          *out++ = inside ? filter[static_cast<size_t>(t) * channels + c] : int8_t{0};
        }
      }
    }
  }
}

void depthwise(const DepthwiseArgs& args) {
  const int8_t* block = static_cast<const int8_t*>(args.packed);
  const size_t blockBytes = static_cast<size_t>(ceilDiv(args.taps, 2)) * 2 * kPanel;
  for (int c0 = 0; c0 < args.channels; c0 += kPanel, block += blockBytes) {
    for (int m = 0; m < args.rowCount; ++m) {
      __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
      const int8_t* weights = block;
      for (int t = 0; t < args.taps; t += 2, weights += 2 * kPanel) {
        const int next = std::min(t + 1, args.taps - 1);  // past the last tap the weight is 0
        const __m128i a = _mm_loadu_si128(
            reinterpret_cast<const __m128i*>(args.rows[static_cast<size_t>(t) * args.rowCount + m] + c0));
        const __m128i b = _mm_loadu_si128(
            reinterpret_cast<const __m128i*>(args.rows[static_cast<size_t>(next) * args.rowCount + m] + c0));
        const __m256i lo = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
        const __m256i hi = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
        sums[0] = Avx2::add(sums[0], _mm256_madd_epi16(lo, widenWeights(weights)));
        sums[1] = Avx2::add(sums[1], _mm256_madd_epi16(hi, widenWeights(weights + 16)));
      }
      storeRow(*args.stage, sums, c0, args.channels, args.out + m * args.outStride, nullptr);
    }
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

const Kernels* avx2Kernels() { return &kAvx2; }

}  // namespace lowbit
