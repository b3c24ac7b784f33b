// Rows of float32 values with AVX-512.
//
// A group's values are a table in a register: vpermps looks up 16 of them by the lowest 4 bits of each lane, where one
// variable shift puts the codes. That is fast enough for stores to matter: those that cross a cache line take twice the
// time, so vectors start where a line of the output does, be it in the middle of a group.
#include <type_traits>

#include "../vector-rows.h"
#include "../x86/decode.h"
#include "kernels.h"
#include "vectors.h"

namespace lowbit::avx512vnni {
namespace {

// 8 lanes of one 32-bit word, 8 of another.
inline __m512i twoWords(const uint8_t* first, const uint8_t* second) {
  const __m512i word = _mm512_set1_epi32(loadAs<int32_t>(first));
  return _mm512_mask_set1_epi32(word, 0xff00, loadAs<int32_t>(second));
}

inline __m512i broadcast(const uint8_t* word) { return _mm512_set1_epi32(loadAs<int32_t>(word)); }

// Reads the codes of 16 elements of a row after the other, from one on that is a multiple of 4, into the lowest bits of
// lanes.
template <class Format>
class Reader;

template <>
class Reader<TwoBits> {
 public:
  Reader(const uint8_t* codes, int first) : at_(codes + first / 4) {}

  __m512i next() {
    const __m512i shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i word = broadcast(at_);
    at_ += 4;
    return _mm512_srlv_epi32(word, shifts);
  }

 private:
  const uint8_t* at_;
};

// An element's own code goes above that of the element in the byte before it. A row's first byte has none before it and
// is read by the constructor.
template <>
class Reader<Trellis> {
 public:
  Reader(const uint8_t* codes, int first) : at_(codes + first / 4) {}

  __m512i next() {
    const __m512i word = broadcast(at_ - 1);
    return indices(word, advance());
  }

  __m512i start() {
    const __m512i own = advance();
    return indices(_mm512_slli_epi32(own, 8), own);
  }

 private:
  __m512i advance() {
    at_ += 4;
    return broadcast(at_ - 4);
  }

  static __m512i indices(__m512i earlier, __m512i own) {
    const __m512i shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i lessTwo = _mm512_setr_epi32(-2, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28);
    // 3 ? earlier : own
    return _mm512_ternarylogic_epi32(_mm512_set1_epi32(3), _mm512_srlv_epi32(earlier, shifts),
                                     _mm512_rorv_epi32(own, lessTwo), 0xca);
  }

  const uint8_t* at_;
};

template <>
class Reader<ThreeBits> {
 public:
  // The first element may lie in the middle of a byte. The second word ends where the codes do.
  Reader(const uint8_t* codes, int first)
      : at_(codes + first / 8 * 3 + (first % 8 ? 1 : 0)), second_(first % 8 ? 3 : 2) {
    const __m512i whole = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 8, 11, 14, 17, 20, 23, 26, 29);
    const __m512i half = _mm512_setr_epi32(4, 7, 10, 13, 16, 19, 22, 25, 4, 7, 10, 13, 16, 19, 22, 25);
    shifts_ = first % 8 ? half : whole;
  }

  __m512i next() {
    const __m512i words = twoWords(at_, at_ + second_);
    at_ += 6;
    return _mm512_srlv_epi32(words, shifts_);
  }

 private:
  const uint8_t* at_;
  int second_;
  __m512i shifts_;
};

template <>
class Reader<FourBits> {
 public:
  Reader(const uint8_t* codes, int first) : at_(codes + first / 2) {}

  __m512i next() {
    const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i words = twoWords(at_, at_ + 4);
    at_ += 8;
    return _mm512_srlv_epi32(words, shifts);
  }

 private:
  const uint8_t* at_;
};

template <class Format>
class Decoder {
 public:
  explicit Decoder(const LowBitMatrix& matrix) : matrix_(matrix), rowBytes_(matrix.rowBytes()) {
    float real[kLanes];
    // Over and over: a lane's lowest 4 bits hold a code of fewer bits and whatever comes after it.
    for (int i = 0; i < kLanes; ++i) real[i] = static_cast<float>(matrix.format.levels[i % Format::kLevels]);
    levels_ = _mm512_loadu_ps(real);
  }

  // Elements [first, end) of a row. `scale`: the real values of a level's step, from the group of `first` on.
  template <bool kStream>
  void decode(int row, int first, int end, const float* scale, float* out) const {
    const int group = matrix_.format.group;
    const uint8_t* codes = matrix_.codes + static_cast<size_t>(row) * rowBytes_;
    const auto slowly = [&](int from) {
      scalarKernels().rows.decode(matrix_, Tile{row, 1, from, end - from}, out + (from - first), 0, false);
    };
    const __m512 levels = levels_;  // a copy, which stays in a register whatever is written
    const auto tableOf = [&](float real) { return _mm512_mul_ps(levels, _mm512_set1_ps(real)); };
    const auto endOfGroup = [&](int start) { return end - start > group ? start + group : end; };
    int groupStart = first / group * group;
    if (endOfGroup(groupStart) - first < kLanes) return slowly(first);
    __m512 table = tableOf(*scale);
    const int head = toLine(out);
    _mm512_mask_storeu_ps(out, lowest(head), _mm512_permutexvar_ps(indicesAt(codes, first), table));

    int k = first + head;
    float* to = out + head;
    Reader<Format> reader(codes, k);
    const auto put = [&](__m512 values) {
      kStream ? _mm512_stream_ps(to, values) : _mm512_storeu_ps(to, values);
      to += kLanes;
    };
    // In a vector that a group ends in, the lanes of the next one: they are looked up 16 entries further.
    const __m512i ofNext = _mm512_maskz_set1_epi32(static_cast<__mmask16>(~lowest(kLanes - head)), 16);
    for (;;) {
      const int groupEnd = endOfGroup(groupStart);
      const __m512 next = tableOf(groupEnd == end ? *scale : *++scale);
      for (; k + 2 * kLanes <= groupEnd; k += 2 * kLanes) {
        put(_mm512_permutexvar_ps(reader.next(), table));
        put(_mm512_permutexvar_ps(reader.next(), table));
      }
      if (k + kLanes <= groupEnd) {
        put(_mm512_permutexvar_ps(reader.next(), table));
        k += kLanes;
      }
      if (groupEnd == end) break;
      if (k < groupEnd && k + kLanes <= end) {
        // (indices & 15) | ofNext
        const __m512i indices = _mm512_ternarylogic_epi32(reader.next(), _mm512_set1_epi32(15), ofNext, 0xea);
        put(_mm512_permutex2var_ps(table, indices, next));
        k += kLanes;
      }
      table = next;
      groupStart += group;
    }
    if (k == end) return;
    const int last = end - kLanes;
    if (last < groupStart || last % 4 != 0) return slowly(k);
    // Read with what precedes it in the group, as nothing may follow the row.
    const __m512i fromK = _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                           _mm512_set1_epi32(k - last));
    const __m512 values = _mm512_permutexvar_ps(indicesAt(codes, last), table);
    _mm512_mask_storeu_ps(to, lowest(end - k), _mm512_permutexvar_ps(fromK, values));
  }

 private:
  // Elements of the cache line that `out` is in, from there on; where a line's end would divide a byte of codes, a
  // vector.
  static int toLine(const float* out) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(out);
    return address % 16 ? kLanes : static_cast<int>((64 - address % 64) / sizeof(float));
  }

  static __mmask16 lowest(int count) { return static_cast<__mmask16>((1 << count) - 1); }

  static __m512i indicesAt(const uint8_t* codes, int k) {
    Reader<Format> reader(codes, k);
    if constexpr (std::is_same_v<Format, Trellis>) {
      if (k == 0) return reader.start();
    }
    return reader.next();
  }

  const LowBitMatrix& matrix_;
  size_t rowBytes_;
  __m512 levels_;
};

// Scales are made numbers so many at a time, which leaves the port of the look-ups to these.
constexpr int kScales = 1024;

void convertScales(const uint16_t* halves, int count, float unit, float* out) {
  for (int i = 0; i < count; i += kLanes) {
    const __mmask16 some = static_cast<__mmask16>(count - i < kLanes ? (1 << (count - i)) - 1 : 0xffff);
    const __m512 half = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(some, halves + i));
    const __m512 small = _mm512_mul_ps(half, _mm512_set1_ps(kSmallScale));
    _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_max_ps(small, half), _mm512_set1_ps(unit)));
  }
}

void decode(const LowBitMatrix& matrix, const Tile& tile, float* out, size_t stride, bool stream) {
  const int group = matrix.format.group, firstGroup = tile.first / group;
  const int groups = matrix.groups(), used = (tile.first + tile.count - 1) / group + 1 - firstGroup;
  if (used > kScales) {
    const int part = (firstGroup + kScales) * group - tile.first;
    decode(matrix, Tile{tile.row, tile.rows, tile.first, part}, out, stride, stream);
    decode(matrix, Tile{tile.row, tile.rows, tile.first + part, tile.count - part}, out + part, stride, stream);
    return;
  }
  alignas(64) float scales[kScales];
  const int rows = used == groups ? kScales / groups : 1;  // whose scales lie together
  const int end = tile.first + tile.count;
  withFormat(matrix.format, [&](auto format) {
    const Decoder<decltype(format)> decoder(matrix);
    for (int r = 0; r < tile.rows; ++r, out += stride) {
      const int row = tile.row + r;
      if (r % rows == 0) {
        convertScales(matrix.scales + static_cast<size_t>(row) * groups + firstGroup,
                      std::min(rows, tile.rows - r) * used, matrix.format.unit, scales);
      }
      const float* scale = scales + r % rows * used;
      // Stores past the caches have to start at a line.
      if (stream && reinterpret_cast<uintptr_t>(out) % 16 == 0) {
        decoder.template decode<true>(row, tile.first, end, scale, out);
      } else {
        decoder.template decode<false>(row, tile.first, end, scale, out);
      }
    }
  });
  if (stream) _mm_sfence();
}

}  // namespace

void setRows(Kernels& table) {
  VectorRows<Avx512>::set(table);
  table.rows.decode = decode;
  table.rows.decodeCodes = CodeDecoder<Avx512>::decodeCodes;
}

}  // namespace lowbit::avx512vnni
