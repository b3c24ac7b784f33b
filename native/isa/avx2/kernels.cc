// The table of the AVX2 kernels, which are exact.
#include "kernels.h"

#include "../vector-dynamic.h"
#include "../vector-routing.h"
#include "../x86/avx2.h"

namespace lowbit {
namespace avx2 {
namespace {

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

}  // namespace

void setKernels(Kernels& table) {
  VectorKernels<Avx2>::set(table);
  VectorRouting<Avx2>::set(table);
  VectorDynamic<Avx2>::set(table);
  table.maxRows = maxRows;
  setGemm(table);
  setDepthwise(table);
  setLowBitProduct(table);
  setRows(table);
  setInt16(table);
  setProbe(table);
}

}  // namespace avx2
}  // namespace lowbit
