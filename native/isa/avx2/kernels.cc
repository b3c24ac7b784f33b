// The table of the AVX2 kernels, which are exact.
#include "kernels.h"

#include "../vector-dynamic.h"
#include "../vector-probe.h"
#include "../vector-routing.h"
#include "../x86/avx2.h"
#include "../x86/int16.h"

namespace lowbit::avx2 {
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

// vpmaddubsw and vpmaddwd, as the kernels multiply where no sum can saturate; where one can, their limit is lower.
struct Products {
  using Vector = __m256i;
  static constexpr int bytes = 32;
  static constexpr int macs = 32;
  static constexpr int rows = 1;
  static constexpr int columns = 6;  // more, and GCC moves sums between registers and memory
  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const Vector*>(p)); }
  static void store(uint8_t* p, Vector v) { _mm256_store_si256(reinterpret_cast<Vector*>(p), v); }
  static void stream(uint8_t* p, Vector v) { _mm256_stream_si256(reinterpret_cast<Vector*>(p), v); }
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
};

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
  Int16<Avx2>::set(table);
  ProbeLoops<Products>::set(table);
}

}  // namespace lowbit::avx2
