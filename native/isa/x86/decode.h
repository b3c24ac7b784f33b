// Low-bit weights as codes, for AVX2 and AVX-512, and what their decoders to numbers share.
//
// Elements of a group take few values, so a table of them is made for each group: every level times the scale, or the
// code of that. A block of 32 elements, whole bytes in every format, is then looked up in it; what a group has left
// over goes through the scalar variant.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "../kernels.h"
#include "../vector-kernels.h"

namespace lowbit {
namespace {

constexpr int kBlock = 32;

template <class T>
inline T loadAs(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// How the codes of a block become bytes that index the levels, in order. `codes`: the block's first byte; `before`: the
// byte before it.
struct TwoBits {
  static constexpr int kBytes = 8;
  static constexpr int kLevels = 4;

  // Fields 0 and 2 of each byte of x, fields 1 and 3 of y, one in the lower half of the byte and one in the upper.
  static __m256i inOrder(uint64_t x, uint64_t y) {
    const __m128i xy =
        _mm_unpacklo_epi8(_mm_cvtsi64_si128(static_cast<int64_t>(x)), _mm_cvtsi64_si128(static_cast<int64_t>(y)));
    const __m128i half = _mm_set1_epi8(15);
    const __m128i low = _mm_and_si128(xy, half), high = _mm_and_si128(_mm_srli_epi16(xy, 4), half);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(low, high)), _mm_unpackhi_epi16(low, high),
                                   1);
  }

  static constexpr uint64_t kFields = 0x3333333333333333;

  static __m256i indices(const uint8_t* codes, uint8_t) {
    const uint64_t word = loadAs<uint64_t>(codes);
    return inOrder(word & kFields, word >> 2 & kFields);
  }
};

struct Trellis : TwoBits {
  static constexpr int kLevels = 16;

  static __m256i indices(const uint8_t* codes, uint8_t before) {
    const uint64_t word = loadAs<uint64_t>(codes), earlier = word << 8 | before;
    return inOrder((earlier & kFields) | (word & kFields) << 2, (earlier >> 2 & kFields) | (word & kFields << 2));
  }
};

struct ThreeBits {
  static constexpr int kBytes = 12;
  static constexpr int kLevels = 8;

  // Eight codes an int32 vector; the last word is read with the byte before it, as the row may end behind it.
  static __m256i word(const uint8_t* codes, int i) {
    const __m256i shifts = _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21);
    const __m256i bits = _mm256_set1_epi32(loadAs<int32_t>(codes + std::min(3 * i, 8)));
    return _mm256_srlv_epi32(bits, i == 3 ? _mm256_add_epi32(shifts, _mm256_set1_epi32(8)) : shifts);
  }

  static __m256i indices(const uint8_t* codes, uint8_t) {
    const __m256i mask = _mm256_set1_epi32(7);
    const auto eight = [&](int i) { return _mm256_and_si256(word(codes, i), mask); };
    const __m256i low = _mm256_packus_epi32(eight(0), eight(1)), high = _mm256_packus_epi32(eight(2), eight(3));
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
};

struct FourBits {
  static constexpr int kBytes = 16;
  static constexpr int kLevels = 16;

  static __m256i indices(const uint8_t* codes, uint8_t) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
    const __m128i half = _mm_set1_epi8(15);
    const __m128i low = _mm_and_si128(both, half), high = _mm_and_si128(_mm_srli_epi16(both, 4), half);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(low, high)), _mm_unpackhi_epi8(low, high),
                                   1);
  }
};

// Calls body(Format()) with the one of these that a matrix has.
template <class Body>
inline void withFormat(const LowBitFormat& format, Body&& body) {
  if (format.trellis) return body(Trellis());
  if (format.bits == 2) return body(TwoBits());
  if (format.bits == 3) return body(ThreeBits());
  return body(FourBits());
}

// V: the wrapper of vector-kernels.h.
template <class V>
struct CodeDecoder {
  static void decodeCodes(const LowBitMatrix& matrix, const Tile& tile, float scale, int32_t zeroPoint, uint8_t* out,
                          size_t stride) {
    withFormat(matrix.format, [&](auto format) {
      using Format = decltype(format);
      for (int r = 0; r < tile.rows; ++r, out += stride) {
        const Tile row{tile.row + r, 1, tile.first, tile.count};
        codesOfRow<Format>(matrix, row, scale, zeroPoint, out);
      }
    });
  }

 private:
  template <class Format>
  static void codesOfRow(const LowBitMatrix& matrix, const Tile& tile, float scale, int32_t zeroPoint, uint8_t* out) {
    const uint8_t* codes = matrix.codes + static_cast<size_t>(tile.row) * matrix.rowBytes();
    forGroups(matrix, tile.row, tile, [&](int first, int count, float groupScale) {
      float values[16];
      uint8_t entries[16];
      for (int i = 0; i < 16; ++i) values[i] = static_cast<float>(matrix.format.levels[i]) * groupScale;
      VectorKernels<V>::quantize(values, 16, scale, zeroPoint, entries);
      const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(entries)));
      const uint8_t* at = codes + static_cast<size_t>(first / kBlock) * Format::kBytes;
      uint8_t* to = out + (first - tile.first);
      int k = 0;
      for (; k + kBlock <= count; k += kBlock, at += Format::kBytes) {
        const __m256i indices = Format::indices(at, first + k == 0 ? 0 : at[-1]);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), _mm256_shuffle_epi8(table, indices));
      }
      if (k < count) {
        scalarKernels().rows.decodeCodes(matrix, Tile{tile.row, 1, first + k, count - k}, scale, zeroPoint, to + k, 0);
      }
    });
  }
};

}  // namespace
}  // namespace lowbit
