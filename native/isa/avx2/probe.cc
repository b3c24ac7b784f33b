// vpmaddubsw and vpmaddwd, as the kernels multiply where no sum can saturate; where one can, their limit is lower.
#include <immintrin.h>

#include "../vector-probe.h"
#include "kernels.h"

namespace lowbit {
namespace avx2 {
namespace {

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
  static int32_t sum(Vector v) {
    int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<Vector*>(lanes), v);
    uint32_t total = 0;
    for (int32_t lane : lanes) total += static_cast<uint32_t>(lane);
    return static_cast<int32_t>(total);
  }
};

}  // namespace

void setProbe(Kernels& table) { ProbeLoops<Products>::set(table); }

}  // namespace avx2
}  // namespace lowbit
