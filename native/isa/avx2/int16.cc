// The int16 kernels on AVX2.
#include "../x86/int16.h"
#include "kernels.h"

namespace lowbit {
namespace avx2 {
namespace {

struct Pairs {
  using Int = __m256i;
  static constexpr int lanes = 8;
  static Int zero() { return _mm256_setzero_si256(); }
  static Int load(const int16_t* p) { return loadCodes(p); }
  static Int repeat(const int16_t* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
  }
  static Int dot(Int sum, Int a, Int b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
  static void store(Int sums, const Int16GemmArgs& args, int output, float* row) {
    const __m256 value = stageValue(sums, args.multiplier + output, args.bias + output, args.low, args.high);
    storeFirst(row + output, value, args.outputs - output);
  }
};

}  // namespace

void setInt16(Kernels& table) {
  table.int16.gemm = Int16Products<Pairs>::gemm;
  table.int16.depthwise = int16Depthwise;
  table.int16.largest = int16Largest;
  table.int16.quantize = int16Quantize;
}

}  // namespace avx2
}  // namespace lowbit
