// vpdpbusd multiplies 4 unsigned activations with 4 signed weights and adds them to an int32 lane, without saturation,
// so the unsigned codes of the engine go in as they are.
//
// A panel is 64, 32 or 16 outputs (NZ = 4, 2 or 1 vectors of 16). A tile keeps MT rows x NZ vectors of accumulators
// in registers: NZ vectors of weights are loaded once and used MT times, each row's 4 codes are one broadcast load used
// NZ times. MT * NZ + NZ + 1 <= 32 registers gives 6x4, 12x2 and 14x1; a step of 6x4 is 24 vpdpbusd to 10 loads.
//   packed: panel p | bias | multiplier | tap t | group g of 4 k | vector z | output of 16 | k of 4
//                                                                                              (k past depth: weight 0)
// The saturating packs of the store work within 128-bit lanes, four int32 of each operand in turn. Lane L of vector z
// therefore holds outputs 4 * (NZ * L + z) and the three after it, and the packs put them in order.
#include "kernels.h"
#include "vectors.h"

namespace lowbit {
namespace avx512vnni {
namespace {

inline int panelVectors(int remaining) { return remaining > 48 ? 4 : remaining > 16 ? 2 : 1; }

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

void packGemm(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants, void* packed) {
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
    const __m512i byRow =
        _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), codes);
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

}  // namespace

void setGemm(Kernels& table) {
  table.packedGemmBytes = packedGemmBytes;
  table.packGemm = packGemm;
  table.gemmScratchBytes = gemmScratchBytes;
  table.gemm = gemm;
}

}  // namespace avx512vnni
}  // namespace lowbit
