// Rows of float32 values with AVX2.
//
// A block of 32 values is four stores. Of 2 bits, vpermilps looks up 8 values in the 4 of a group by the lowest 2 bits
// of each lane: 8 codes are shifted into place by one vpsrlvd, so that a store costs two instructions and a half.
// vpermps does the same for the 8 values of 3 bits. 16 levels are looked up as bytes, then widened, converted and
// multiplied.
#include "../x86/avx2.h"
#include "../x86/decode.h"
#include "kernels.h"
#include "../vector-rows.h"

namespace lowbit {
namespace avx2 {
namespace {

// Any 16 levels.
template <class Format>
class Table {
 public:
  struct Levels {
    __m256i bytes;
    explicit Levels(const int8_t* levels)
        : bytes(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)))) {}
  };

  Table(const Levels& levels, float scale) : levels_(levels.bytes), scale_(_mm256_set1_ps(scale)) {}

  void block(const uint8_t* codes, uint8_t before, float* out) const {
    const __m256i bytes = _mm256_shuffle_epi8(levels_, Format::indices(codes, before));
    const __m128i halves[] = {_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)};
    for (int i = 0; i < 2; ++i) {
      put(halves[i], out + 16 * i);
      put(_mm_srli_si128(halves[i], 8), out + 16 * i + 8);
    }
  }

 private:
  void put(__m128i levels, float* out) const {
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(levels)), scale_));
  }

  __m256i levels_;
  __m256 scale_;
};

struct FloatLevels {
  __m256 values;
  explicit FloatLevels(__m128i bytes) : values(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))) {}
};

template <>
class Table<TwoBits> {
 public:
  struct Levels : FloatLevels {
    explicit Levels(const int8_t* levels)
        : FloatLevels(_mm_set1_epi32(loadAs<int32_t>(reinterpret_cast<const uint8_t*>(levels)))) {}
  };

  Table(const Levels& levels, float scale) : values_(_mm256_mul_ps(levels.values, _mm256_set1_ps(scale))) {}

  void block(const uint8_t* codes, uint8_t, float* out) const {
    const __m256i low = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    const __m256i high = _mm256_setr_epi32(16, 18, 20, 22, 24, 26, 28, 30);
    for (int i = 0; i < 2; ++i) {
      const __m256i bits = _mm256_set1_epi32(loadAs<int32_t>(codes + 4 * i));
      _mm256_storeu_ps(out + 16 * i, _mm256_permutevar_ps(values_, _mm256_srlv_epi32(bits, low)));
      _mm256_storeu_ps(out + 16 * i + 8, _mm256_permutevar_ps(values_, _mm256_srlv_epi32(bits, high)));
    }
  }

 private:
  __m256 values_;  // the four of them twice
};

template <>
class Table<ThreeBits> {
 public:
  struct Levels : FloatLevels {
    explicit Levels(const int8_t* levels) : FloatLevels(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(levels))) {}
  };

  Table(const Levels& levels, float scale) : values_(_mm256_mul_ps(levels.values, _mm256_set1_ps(scale))) {}

  void block(const uint8_t* codes, uint8_t, float* out) const {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      _mm256_storeu_ps(out + 8 * i, _mm256_permutevar8x32_ps(values_, ThreeBits::word(codes, i)));
    }
  }

 private:
  __m256 values_;
};

struct Decoder {
  static void decode(const LowBitMatrix& matrix, const Tile& tile, float* out, size_t stride, bool stream) {
    withFormat(matrix.format, [&](auto format) {
      using Format = decltype(format);
      for (int r = 0; r < tile.rows; ++r, out += stride) {
        const Tile row{tile.row + r, 1, tile.first, tile.count};
        stream ? streamRow<Format>(matrix, row, out) : decodeRow<Format>(matrix, row, out);
      }
    });
    if (stream) _mm_sfence();
  }

 private:
  // Values on their way past the caches stay in the first one, where they become whole lines.
  static constexpr int kPiece = 1024;

  template <class Format>
  static void decodeRow(const LowBitMatrix& matrix, const Tile& tile, float* out) {
    const typename Table<Format>::Levels levels(matrix.format.levels);
    const uint8_t* codes = matrix.codes + static_cast<size_t>(tile.row) * matrix.rowBytes();
    forGroups(matrix, tile.row, tile, [&](int first, int count, float scale) {
      const Table<Format> table(levels, scale);
      const uint8_t* at = codes + static_cast<size_t>(first / kBlock) * Format::kBytes;
      float* to = out + (first - tile.first);
      int k = 0;
      for (; k + kBlock <= count; k += kBlock, at += Format::kBytes) {
        table.block(at, first + k == 0 ? 0 : at[-1], to + k);
      }
      if (k < count) scalarKernels().rows.decode(matrix, Tile{tile.row, 1, first + k, count - k}, to + k, 0, false);
    });
  }

  template <class Format>
  static void streamRow(const LowBitMatrix& matrix, const Tile& tile, float* out) {
    alignas(64) float piece[kPiece];
    for (int done = 0; done < tile.count; done += kPiece) {
      const int count = std::min(kPiece, tile.count - done);
      decodeRow<Format>(matrix, Tile{tile.row, 1, tile.first + done, count}, piece);
      streamCopy(piece, count, out + done);
    }
  }

  static void streamCopy(const float* from, int count, float* to) {
    int i = 0;
    for (; i < count && reinterpret_cast<uintptr_t>(to + i) % sizeof(__m256) != 0; ++i) to[i] = from[i];
    for (; i + 8 <= count; i += 8) _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
    for (; i < count; ++i) to[i] = from[i];
  }
};

}  // namespace

void setRows(Kernels& table) {
  VectorRows<Avx2>::set(table);
  table.rows.decode = Decoder::decode;
  table.rows.decodeCodes = CodeDecoder<Avx2>::decodeCodes;
}

}  // namespace avx2
}  // namespace lowbit
