// The table of the AVX-512 kernels, which need VNNI.
#include "kernels.h"

#include "../vector-dynamic.h"
#include "../vector-routing.h"
#include "vectors.h"

namespace lowbit {
namespace avx512vnni {
namespace {

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
  for (int c = 0; c < channels; c += 64) {
    __m512i best = _mm512_set1_epi8(static_cast<char>(low));
    for (int r = 0; r < rowCount; ++r) best = _mm512_max_epu8(best, _mm512_loadu_si512(rows[r] + c));
    best = _mm512_min_epu8(best, _mm512_set1_epi8(static_cast<char>(high)));
    Wide::store(out + c, best, channels - c);
  }
}

}  // namespace

void setKernels(Kernels& table) {
  VectorKernels<Avx512>::set(table);
  VectorRouting<Avx512>::set(table);
  VectorDynamic<Avx512>::set(table);
  table.maxRows = maxRows;
  setGemm(table);
  setDepthwise(table);
  setLowBitProduct(table);
  setRows(table);
  setInt16(table);
  setProbe(table);
}

}  // namespace avx512vnni
}  // namespace lowbit
