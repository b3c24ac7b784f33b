// The table of the AVX-512 kernels, which need VNNI.
#include "kernels.h"

#include "../vector-dynamic.h"
#include "../vector-probe.h"
#include "../vector-routing.h"
#include "../x86/int16.h"
#include "vectors.h"

namespace lowbit::avx512vnni {
namespace {

void maxRows(const uint8_t* const* rows, int rowCount, int channels, uint8_t low, uint8_t high, uint8_t* out) {
  for (int c = 0; c < channels; c += 64) {
    __m512i best = _mm512_set1_epi8(static_cast<char>(low));
    for (int r = 0; r < rowCount; ++r) best = _mm512_max_epu8(best, _mm512_loadu_si512(rows[r] + c));
    best = _mm512_min_epu8(best, _mm512_set1_epi8(static_cast<char>(high)));
    Wide::store(out + c, best, channels - c);
  }
}

struct Products {
  using Vector = __m512i;
  static constexpr int bytes = 64;
  static constexpr int macs = 64;
  static constexpr int rows = 4;
  static constexpr int columns = 4;
  static Vector zero() { return _mm512_setzero_si512(); }
  static Vector load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void store(uint8_t* p, Vector v) { _mm512_storeu_si512(p, v); }
  static void stream(uint8_t* p, Vector v) { _mm512_stream_ps(reinterpret_cast<float*>(p), _mm512_castsi512_ps(v)); }
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) { return _mm512_dpbusd_epi32(sum, a, b); }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
};

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
  Int16<Avx512>::set(table);
  ProbeLoops<Products>::set(table);
}

}  // namespace lowbit::avx512vnni
