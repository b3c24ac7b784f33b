// The int16 kernels on AVX-512 with VNNI.
#include "../x86/int16.h"
#include "kernels.h"
#include "vectors.h"

namespace lowbit {
namespace avx512vnni {
namespace {

struct Pairs {
  using Int = __m512i;
  static constexpr int lanes = 16;
  static Int zero() { return _mm512_setzero_si512(); }
  static Int load(const int16_t* p) { return _mm512_loadu_si512(p); }
  static Int repeat(const int16_t* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static Int dot(Int sum, Int a, Int b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
  static void store(Int sums, const Int16GemmArgs& args, int output, float* row) {
    const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(args.multiplier + output));
    const __m512 value = _mm512_add_ps(product, _mm512_loadu_ps(args.bias + output));
    const __m512 clamped = _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(args.low)), _mm512_set1_ps(args.high));
    Avx512::storeFirst(row + output, clamped, args.outputs - output);
  }
};

}  // namespace

void setInt16(Kernels& table) {
  table.int16.gemm = Int16Products<Pairs>::gemm;
  table.int16.depthwise = int16Depthwise;
  table.int16.largest = int16Largest;
  table.int16.quantize = int16Quantize;
}

}  // namespace avx512vnni
}  // namespace lowbit
