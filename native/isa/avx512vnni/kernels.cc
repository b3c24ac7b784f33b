// The table of the AVX-512 kernels, which need VNNI.
#include "kernels.h"

#include "../dynamic.h"
#include "../int16.h"
#include "../probe.h"
#include "../routing.h"
#include "../rows.h"
#include "vectors.h"

namespace lowbit {
namespace avx512vnni {
namespace {

using Common = VectorKernels<Avx512>;

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
  for (int c = 0; c < channels; c += 64) {
    __m512i best = _mm512_set1_epi8(static_cast<char>(low));
    for (int r = 0; r < rowCount; ++r) best = _mm512_max_epu8(best, _mm512_loadu_si512(rows[r] + c));
    best = _mm512_min_epu8(best, _mm512_set1_epi8(static_cast<char>(high)));
    Wide::store(out + c, best, channels - c);
  }
}

using Routing = VectorRouting<Avx512>;

constexpr RoutingKernels kRouting = {Routing::keys, Routing::select, Routing::exponentials, Routing::pairs};

constexpr DynamicKernels kDynamic = VectorDynamic<Avx512>::kernels();

constexpr Kernels kAvx512Vnni = {
    "avx512vnni",
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
    &avx512vnniRows,
    &kRouting,
    &avx512vnniInt16,
    &kDynamic,
    &avx512vnniProbe,
};

}  // namespace
}  // namespace avx512vnni

const Kernels* avx512vnniKernels() { return &avx512vnni::kAvx512Vnni; }

}  // namespace lowbit
