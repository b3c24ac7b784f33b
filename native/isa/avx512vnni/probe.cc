#include <immintrin.h>

#include "../vector-probe.h"
#include "kernels.h"

namespace lowbit {
namespace avx512vnni {
namespace {

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
  static int32_t sum(Vector v) {
    int32_t lanes[16];
    _mm512_storeu_si512(lanes, v);
    uint32_t total = 0;
    for (int32_t lane : lanes) total += static_cast<uint32_t>(lane);
    return static_cast<int32_t>(total);
  }
};

}  // namespace

void setProbe(Kernels& table) { ProbeLoops<Products>::set(table); }

}  // namespace avx512vnni
}  // namespace lowbit
