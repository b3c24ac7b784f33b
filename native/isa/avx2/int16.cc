// The int16 kernels on AVX2.
#include "../x86/int16.h"

namespace lowbit {
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

const Int16Kernels avx2Int16 = {Int16Products<Pairs>::gemm, int16Depthwise, int16Largest, int16Quantize};

}  // namespace lowbit
