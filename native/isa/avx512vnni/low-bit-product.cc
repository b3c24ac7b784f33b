// Products with low-bit matrices: vpdpbusd multiplies 64 unsigned weights with signed codes and adds fours to int32
// lanes, a panel at once. A row has accumulators that take turns, as each product waits for the one before it.
#include "../low-bit-panels.h"
#include "kernels.h"
#include "vectors.h"

namespace lowbit::avx512vnni {
namespace {

struct Product {
  using V = Avx512;
  using Bytes = __m512i;
  static constexpr int kMaxRows = 4;
  static constexpr int kMaxTableAdds = 1;

  static Bytes load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Bytes set(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  template <int N>
  static Bytes shiftRight(Bytes v) {
    return N == 0 ? v : _mm512_srli_epi16(v, N);
  }
  static Bytes both(Bytes a, Bytes b) { return _mm512_and_si512(a, b); }
  static Bytes either(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  static Bytes select(Bytes mask, Bytes a, Bytes b) { return _mm512_ternarylogic_epi32(mask, a, b, 0xca); }
  static Bytes repeat16(const int8_t* table) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  }
  static Bytes lookup(Bytes table, Bytes indices) { return _mm512_shuffle_epi8(table, indices); }
  static Bytes broadcast4(const int8_t* codes) {
    int32_t four;
    std::memcpy(&four, codes, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static V::Float clampFloat(V::Float value, V::Float low, V::Float high) { return V::min(V::max(value, low), high); }
  static __m512 halves(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }

  template <int Adds, int MT, bool Fourfold>
  struct Sum {
    static constexpr int kChains = MT == 4 ? 2 : 4;
    __m512i chains[kChains];

    void start() {
#pragma GCC unroll 4
      for (int i = 0; i < kChains; ++i) chains[i] = _mm512_setzero_si512();
    }

    template <int Q>
    void add(const Bytes (&weights)[1], const Bytes (&codes)[1]) {
      chains[Q % kChains] = _mm512_dpbusd_epi32(chains[Q % kChains], weights[0], codes[0]);
    }

    void flush(int) {}

    __m512i total(int step) const {
      __m512i even = chains[0], odd = chains[1];
      if constexpr (kChains == 4) {
        even = _mm512_add_epi32(even, chains[2]);
        odd = _mm512_add_epi32(odd, chains[3]);
      }
      if constexpr (Fourfold) odd = _mm512_srai_epi32(odd, 2);
      return _mm512_mullo_epi32(_mm512_add_epi32(even, odd), _mm512_set1_epi32(step));
    }
  };
};

}  // namespace

void setLowBitProduct(Kernels& table) { LowBitProducts<Product>::set(table); }

}  // namespace lowbit::avx512vnni
