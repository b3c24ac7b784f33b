// Products with low-bit matrices: vpmaddubsw multiplies 32 unsigned weights with signed codes and adds neighbours in
// int16. Small weights leave room there for many more products: evenly spaced levels of 2 bits for those of 5 units,
// 160 inputs, before vpmaddwd widens the sums and multiplies them by the step. Weights out of a table are widened after
// one product or two.
#include "../low-bit-panels.h"
#include "../x86/avx2.h"
#include "kernels.h"

namespace lowbit::avx2 {
namespace {

// Makes the compiler add products one after the other as they come; left alone, it adds them in trees, for whose
// branches the registers do not suffice.
inline void inTurn(__m256i& sums) { __asm__("" : "+x"(sums)); }

struct Product {
  using V = Avx2;
  using Bytes = __m256i;
  static constexpr int kMaxRows = 4;
  static constexpr int kMaxTableAdds = 2;  // 4 would run out of registers

  static Bytes load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Bytes set(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  template <int N>
  static Bytes shiftRight(Bytes v) {
    return N == 0 ? v : _mm256_srli_epi16(v, N);
  }
  static Bytes both(Bytes a, Bytes b) { return _mm256_and_si256(a, b); }
  static Bytes either(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  static Bytes select(Bytes mask, Bytes a, Bytes b) { return either(both(mask, a), _mm256_andnot_si256(mask, b)); }
  static Bytes repeat16(const int8_t* table) { return _mm256_broadcastsi128_si256(load16(table)); }
  static Bytes lookup(Bytes table, Bytes indices) { return _mm256_shuffle_epi8(table, indices); }
  static Bytes broadcast4(const int8_t* codes) {
    int32_t four;
    std::memcpy(&four, codes, sizeof four);
    return _mm256_set1_epi32(four);
  }
  static V::Float clampFloat(V::Float value, V::Float low, V::Float high) { return V::min(V::max(value, low), high); }
  static __m256 halves(const uint16_t* p) { return _mm256_cvtph_ps(load16(p)); }

  // Widened at once.
  template <int Adds, int MT, bool Fourfold>
  struct Sum {
    __m256i sums;

    void start() { sums = _mm256_setzero_si256(); }

    template <int Q>
    void add(const Bytes (&weights)[Adds], const Bytes (&codes)[Adds]) {
      __m256i pairs = _mm256_maddubs_epi16(weights[0], codes[0]);
#pragma GCC unroll 4
      for (int i = 1; i < Adds; ++i) pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights[i], codes[i]));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      inTurn(sums);
    }

    void flush(int) {}
    __m256i total(int) const { return sums; }
  };

  // Widened when flushed.
  template <int MT>
  struct Sum<8, MT, false> {
    __m256i pairs, sums;

    void start() { pairs = sums = _mm256_setzero_si256(); }

    template <int Q>
    void add(const Bytes (&weights)[1], const Bytes (&codes)[1]) {
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights[0], codes[0]));
      inTurn(pairs);
    }

    void flush(int step) {
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(static_cast<int16_t>(step))));
      pairs = _mm256_setzero_si256();
    }

    __m256i total(int) const { return sums; }
  };

  // The fourfold products have sums of their own, two, so that these hold as much as that of the others.
  template <int MT>
  struct Sum<8, MT, true> {
    Sum<8, MT, false> even;
    __m256i odd[2];

    void start() {
      even.start();
      odd[0] = odd[1] = _mm256_setzero_si256();
    }

    template <int Q>
    void add(const Bytes (&weights)[1], const Bytes (&codes)[1]) {
      if constexpr (Q % 2 == 0) {
        even.template add<Q>(weights, codes);
      } else {
        odd[Q % 4 / 2] = _mm256_add_epi16(odd[Q % 4 / 2], _mm256_maddubs_epi16(weights[0], codes[0]));
        inTurn(odd[Q % 4 / 2]);
      }
    }

    void flush(int step) {
      const __m256i once = _mm256_add_epi16(_mm256_srai_epi16(odd[0], 2), _mm256_srai_epi16(odd[1], 2));
      even.pairs = _mm256_add_epi16(even.pairs, once);
      even.flush(step);
      odd[0] = odd[1] = _mm256_setzero_si256();
    }

    __m256i total(int step) const { return even.total(step); }
  };
};

}  // namespace

void setLowBitProduct(Kernels& table) { LowBitProducts<Product>::set(table); }

}  // namespace lowbit::avx2
