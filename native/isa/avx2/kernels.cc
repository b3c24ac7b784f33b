// The table of the AVX2 kernels, which are exact.
#include "kernels.h"

#include "../dynamic.h"
#include "../int16.h"
#include "../probe.h"
#include "../routing.h"
#include "../rows.h"
#include "vectors.h"

namespace lowbit {
namespace avx2 {
namespace {

using Common = VectorKernels<Avx2>;

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
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

using Routing = VectorRouting<Avx2>;

constexpr RoutingKernels kRouting = {Routing::keys, Routing::select, Routing::exponentials, Routing::pairs};

constexpr DynamicKernels kDynamic = VectorDynamic<Avx2>::kernels();

constexpr Kernels kAvx2 = {
    "avx2",
    packedGemmBytes,
    packGemm,
    gemmScratchBytes,
    gemm,
    packedLowBitBytes,
    packLowBit,
    lowBitScratchBytes,
    lowBitProduct,
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
    &avx2Rows,
    &kRouting,
    &avx2Int16,
    &kDynamic,
    &avx2Probe,
};

}  // namespace
}  // namespace avx2

const Kernels* avx2Kernels() { return &avx2::kAvx2; }

}  // namespace lowbit
