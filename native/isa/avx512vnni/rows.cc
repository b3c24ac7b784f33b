// Rows of float32 values with AVX-512: a block of 32 values is two stores. vpermps looks up 16 values by the lowest 4 bits
// of each lane; codes are shifted there by one vpsrlvd.
#include "../x86/decode.h"
#include "../vector-rows.h"
#include "vectors.h"

namespace lowbit {
namespace {

using avx512vnni::Avx512;

struct RealLevels {
  __m512 values;
  // Over and over: a lane's lowest 4 bits hold a code of fewer bits and whatever comes after it.
  RealLevels(const int8_t* levels, int count) {
    float real[16];
    for (int i = 0; i < 16; ++i) real[i] = static_cast<float>(levels[i % count]);
    values = _mm512_loadu_ps(real);
  }
};

// How 16 codes are read into lanes whose lowest 4 bits index the levels.
template <class Format>
struct Lanes16;

template <>
struct Lanes16<TwoBits> {
  __m512i operator()(const uint8_t* codes, uint8_t, int half) const {
    const __m512i shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_srlv_epi32(_mm512_set1_epi32(loadAs<int32_t>(codes + 4 * half)), shifts);
  }
};

// 8 lanes of one 32-bit word, 8 of the next.
inline __m512i twoWords(uint32_t first, uint32_t second) {
  return _mm512_inserti64x4(_mm512_set1_epi32(static_cast<int32_t>(first)),
                            _mm256_set1_epi32(static_cast<int32_t>(second)), 1);
}

template <>
struct Lanes16<ThreeBits> {
  __m512i operator()(const uint8_t* codes, uint8_t, int half) const {
    return _mm512_inserti64x4(_mm512_castsi256_si512(ThreeBits::word(codes, 2 * half)),
                              ThreeBits::word(codes, 2 * half + 1), 1);
  }
};

template <>
struct Lanes16<FourBits> {
  __m512i operator()(const uint8_t* codes, uint8_t, int half) const {
    const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const uint8_t* at = codes + 8 * half;
    return _mm512_srlv_epi32(twoWords(loadAs<uint32_t>(at), loadAs<uint32_t>(at + 4)), shifts);
  }
};

// The pairs of codes of bytes 0 and 1 of a word: fields 0 and 2 of both bytes in its lower half, 1 and 3 in its upper.
template <>
struct Lanes16<Trellis> {
  __m512i operator()(const uint8_t* codes, uint8_t before, int half) const {
    const __m512i shifts = _mm512_setr_epi32(0, 16, 4, 20, 8, 24, 12, 28, 0, 16, 4, 20, 8, 24, 12, 28);
    constexpr uint32_t kFields = 0x33333333;
    const uint32_t word = loadAs<uint32_t>(codes + 4 * half);
    const uint32_t earlier = word << 8 | (half ? codes[3] : before);
    const uint32_t even = (earlier & kFields) | (word & kFields) << 2;
    const uint32_t odd = (earlier >> 2 & kFields) | (word & kFields << 2);
    return _mm512_srlv_epi32(twoWords((even & 0xffff) | odd << 16, even >> 16 | (odd & 0xffff0000)), shifts);
  }
};

template <class Format>
class Table {
 public:
  struct Levels : RealLevels {
    explicit Levels(const int8_t* levels) : RealLevels(levels, Format::kLevels) {}
  };

  Table(const Levels& levels, float scale) : values_(_mm512_mul_ps(levels.values, _mm512_set1_ps(scale))) {}

  void block(const uint8_t* codes, uint8_t before, float* out) const {
    for (int half = 0; half < 2; ++half) {
      const __m512i indices = Lanes16<Format>()(codes, before, half);
      _mm512_storeu_ps(out + 16 * half, _mm512_permutexvar_ps(indices, values_));
    }
  }

 private:
  __m512 values_;
};

using Common = VectorRows<Avx512>;
using Decode = Decoder<Avx512, Table>;

}  // namespace

const RowKernels avx512vnniRows = {Common::rotate, Decode::decode, Decode::decodeCodes, Common::multiply};

}  // namespace lowbit
