// vpdpbusd multiplies 4 unsigned activations with 4 signed weights and adds them to an int32 lane, without saturation:
// the unsigned codes of the engine are its operands as they are, where avx2 needs three instructions or widened codes.
//
// A panel is 16 or 8 outputs (NZ = 2 or 1 vectors of 8). A tile keeps MT rows x NZ vectors of accumulators in
// registers: NZ vectors of weights are loaded once and used MT times, each row's 4 codes are one broadcast load used NZ
// times. MT * NZ + NZ + 1 <= 16 registers gives 6x2 and 12x1; a step of 6x2 is 12 vpdpbusd to 8 loads.
//   packed: panel p | bias | multiplier | tap t | group g of 4 k | vector z | output of 8 | k of 4
//                                                                                             (k past depth: weight 0)
#include "../vector-probe.h"
#include "../x86/avx2.h"

namespace lowbit {
namespace avxvnni {
namespace {

inline int panelVectors(int remaining) { return remaining > kLanes ? 2 : 1; }

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

inline __m256i loadWeights(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }

// The sums of MT rows from row m0 on by a panel: sums[vector * MT + row]. Not inlined: what the store needs would take
// registers from the accumulators.
template <int MT, int NZ, bool Direct>
__attribute__((noinline)) void sumTile(const GemmArgs& args, int m0, const uint8_t* panel, __m256i* out) {
  const int32_t* bias = reinterpret_cast<const int32_t*>(panel);
  const int8_t* weights = reinterpret_cast<const int8_t*>(bias + 2 * NZ * kLanes);
  __m256i sums[MT][NZ];
#pragma GCC unroll 12
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
    for (int z = 0; z < NZ; ++z) sums[i][z] = Avx2::load(bias + z * kLanes);
  }
  const size_t groups = static_cast<size_t>(ceilDiv(args.depth, 4));
  for (int t = 0; t < args.taps; ++t) {
    // Direct rows are addressed three to a pointer (p, p + s, p + 2s), so that the pointers fit the registers.
    constexpr int kPointers = Direct ? (MT + 2) / 3 : MT;
    const uint8_t* pointers[kPointers];
    const size_t stride = Direct ? args.rowStride : 0;
#pragma GCC unroll 12
    for (int i = 0; i < kPointers; ++i) {
      pointers[i] = Direct ? args.base + static_cast<size_t>(m0 + 3 * i) * stride
                           : args.rows[static_cast<size_t>(t) * args.rowCount + m0 + i];
    }
    for (size_t g = 0; g < groups; ++g, weights += NZ * 32) {
      __m256i w[NZ];
#pragma GCC unroll 2
      for (int z = 0; z < NZ; ++z) w[z] = loadWeights(weights + z * 32);
#pragma GCC unroll 12
      for (int i = 0; i < MT; ++i) {
        const uint8_t* row = Direct ? pointers[i / 3] + (i % 3) * stride : pointers[i];
        const __m256i codes = broadcast4(row + 4 * g);
#pragma GCC unroll 2
        for (int z = 0; z < NZ; ++z) sums[i][z] = _mm256_dpbusd_avx_epi32(sums[i][z], codes, w[z]);
      }
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
    for (int z = 0; z < NZ; ++z) out[z * MT + i] = sums[i][z];
  }
}

// All rows from `m` on: as many tiles of MT rows as fit, then halves.
template <int MT, int NZ, bool Direct>
void gemmRows(const GemmArgs& args, const Store& store, int m, const uint8_t* panel, int n0) {
  const float* multipliers = reinterpret_cast<const float*>(panel) + NZ * kLanes;
  for (; m + MT <= args.rowCount; m += MT) {
    __m256i sums[NZ * MT];
    sumTile<MT, NZ, Direct>(args, m, panel, sums);
    __m256 multiplier[NZ];
    for (int z = 0; z < NZ; ++z) multiplier[z] = Avx2::load(multipliers + z * kLanes);
    storeTile<MT, NZ>(args, store, sums, multiplier, m, n0);
  }
  if constexpr (MT > 1) gemmRows<MT / 2, NZ, Direct>(args, store, m, panel, n0);
}

template <bool Direct>
void gemmPanels(const GemmArgs& args) {
  const Store store(*args.stage);
  const uint8_t* panel = static_cast<const uint8_t*>(args.packed);
  for (int n0 = 0, vectors; n0 < args.outputs; n0 += vectors * kLanes) {
    vectors = panelVectors(args.outputs - n0);
    if (vectors == 2) {
      gemmRows<6, 2, Direct>(args, store, 0, panel, n0);
    } else {
      gemmRows<12, 1, Direct>(args, store, 0, panel, n0);
    }
    panel += panelBytes(vectors, args.taps, args.depth);
  }
}

void gemm(const GemmArgs& args) { args.rows ? gemmPanels<false>(args) : gemmPanels<true>(args); }

struct Products {
  using Vector = __m256i;
  static constexpr int bytes = 32;
  static constexpr int macs = 32;
  static constexpr int rows = 6;
  static constexpr int columns = 2;
  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const Vector*>(p)); }
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  static int32_t sum(Vector v) {
    int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<Vector*>(lanes), v);
    uint32_t total = 0;
    for (int32_t lane : lanes) total += static_cast<uint32_t>(lane);
    return static_cast<int32_t>(total);
  }
};

}  // namespace

void setKernels(Kernels& table) {
  table.packedGemmBytes = packedGemmBytes;
  table.packGemm = packGemm;
  table.gemmScratchBytes = gemmScratchBytes;
  table.gemm = gemm;
  ProbeLoops<Products>::setMultiply(table);
}

}  // namespace avxvnni
}  // namespace lowbit
