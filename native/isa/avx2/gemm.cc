// vpmaddubsw multiplies 32 unsigned codes with 32 signed weights, but adds neighbours into int16 and saturates where
// two weights of one sign sum to more than 128. Which weights do is known when they are packed.
//
// A panel is 8 outputs. Its groups of 4 k are of two kinds. In the narrow ones no pair can saturate: for each row one
// broadcast of 4 codes, vpmaddubsw, vpmaddwd with ones, an addition. In the others codes and weights are widened to
// int16 and multiplied by vpmaddwd, whose pairwise sums fit int32: for each row and pair of k one broadcast, vpmaddwd,
// an addition. (On Zen 4 the first way does 32 products a cycle, the second 25.) A tile is 8 rows by two panels, one
// after the other: 8 accumulators; where all groups are widened, 6 rows by two panels at once: 12 accumulators. The
// codes of a tile are widened once, into scratch, for all panels.
//   packed:  header | panel p | bias of 8 | multiplier of 8 | a bit a group: whether it is widened |
//            narrow groups: output of 8 | k of 4 | widened groups: pair | output of 8 | k of 2
//   scratch: row of 8 | k as int16, row of 8 | k as bytes: taps one after the other (past the last k: any value)
#include <memory>

#include "../x86/avx2.h"
#include "kernels.h"

namespace lowbit {
namespace avx2 {
namespace {

constexpr int kTileRows = 8;

inline int panelsAt(int remaining) { return remaining > kLanes ? 2 : 1; }

struct Panel {
  Constants constants;

  // Bit g % 64 of word g / 64: group g is widened.
  const uint64_t* widened() const { return reinterpret_cast<const uint64_t*>(this + 1); }
  const int8_t* weights(size_t words) const { return reinterpret_cast<const int8_t*>(widened() + words); }
};

// What packed weights begin with.
struct Header {
  uint32_t anyWidened;
  uint32_t allWidened;
  uint32_t reserved[6];
};

inline int groupsOf(int taps, int depth) { return static_cast<int>(ceilDiv(taps * depth, 4)); }

// Of the mask of a panel, in whole vectors.
inline size_t maskWords(int groups) { return static_cast<size_t>(ceilDiv(groups, 256)) * 4; }

inline size_t panelBytes(int groups) {
  return sizeof(Panel) + maskWords(groups) * sizeof(uint64_t) + static_cast<size_t>(groups) * 4 * kLanes;
}

size_t packedGemmBytes(int outputs, int taps, int depth) {
  return sizeof(Header) + ceilDiv(outputs, kLanes) * panelBytes(groupsOf(taps, depth));
}

// A filter [outputs][taps * depth] by groups of 4 k, with zeros around it.
class Groups {
 public:
  Groups(const int8_t* filter, int outputs, int taps, int depth)
      : filter_(filter),
        outputs_(outputs),
        products_(static_cast<size_t>(taps) * depth),
        count_(groupsOf(taps, depth)),
        total_(static_cast<size_t>(ceilDiv(outputs, kLanes)) * count_),
        widened_(new bool[total_]) {
    for (size_t i = 0; i < total_; ++i) {
      widened_[i] = !fits(static_cast<int>(i / count_), static_cast<int>(i % count_));
      narrow_ += !widened_[i];
    }
    // A narrow group saves two or three cycles, but where their number differs from panel to panel the processor
    // mispredicts the ends of both loops.
    constexpr int kWorthwhile = 16;
    if (narrow_ >= kWorthwhile * total_ / count_) return;
    std::fill_n(widened_.get(), total_, true);
    narrow_ = 0;
  }

  int count() const { return count_; }
  bool widened(int panel, int g) const { return widened_[static_cast<size_t>(panel) * count_ + g]; }
  bool anyWidened() const { return narrow_ < total_; }
  bool allWidened() const { return narrow_ == 0; }

  // The output that a lane of a panel holds.
  int output(int panel, int lane) const {
    const int first = panel / 2 * 2 * kLanes;
    return first + outputOf(panelsAt(outputs_ - first), panel % 2, lane);
  }

  int8_t weight(int panel, int lane, int g, int j) const {
    const int n = output(panel, lane);
    const size_t k = 4 * static_cast<size_t>(g) + j;
    return n < outputs_ && k < products_ ? filter_[n * products_ + k] : int8_t{0};
  }

 private:
  // Whether two products of codes of at most 255 stay within int16, for all pairs of a group and a panel.
  bool fits(int panel, int g) const {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int pair = 0; pair < 4; pair += 2) {
        const int a = weight(panel, lane, g, pair), b = weight(panel, lane, g, pair + 1);
        if (std::max(a, 0) + std::max(b, 0) > 128 || std::min(a, 0) + std::min(b, 0) < -128) return false;
      }
    }
    return true;
  }

  const int8_t* filter_;
  int outputs_;
  size_t products_;
  int count_;
  size_t total_;  // of all panels
  size_t narrow_ = 0;
  std::unique_ptr<bool[]> widened_;
};

void packGemm(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants, void* packed) {
  const Groups groups(filter, outputs, taps, depth);
  Header& header = *static_cast<Header*>(packed);
  header = Header{};
  header.anyWidened = groups.anyWidened();
  header.allWidened = groups.allWidened();
  uint8_t* next = reinterpret_cast<uint8_t*>(&header + 1);
  for (int p = 0; p < ceilDiv(outputs, kLanes); ++p, next += panelBytes(groups.count())) {
    Panel& panel = *reinterpret_cast<Panel*>(next);
    panel = Panel{};
    for (int lane = 0; lane < kLanes; ++lane) {
      const int n = groups.output(p, lane);
      if (n >= outputs) continue;
      panel.constants.bias[lane] = constants.bias[n];
      panel.constants.multiplier[lane] = constants.multiplier[n];
    }
    uint64_t* mask = const_cast<uint64_t*>(panel.widened());
    std::fill_n(mask, maskWords(groups.count()), 0);
    int8_t* out = const_cast<int8_t*>(panel.weights(maskWords(groups.count())));
    for (int g = 0; g < groups.count(); ++g) {
      if (groups.widened(p, g)) {
        mask[g / 64] |= uint64_t{1} << g % 64;
        continue;
      }
      for (int lane = 0; lane < kLanes; ++lane) {
        for (int j = 0; j < 4; ++j) *out++ = groups.weight(p, lane, g, j);
      }
    }
    for (int g = 0; g < groups.count(); ++g) {
      if (!groups.widened(p, g)) continue;
      for (int pair = 0; pair < 4; pair += 2) {
        for (int lane = 0; lane < kLanes; ++lane) {
          for (int j = 0; j < 2; ++j) *out++ = groups.weight(p, lane, g, pair + j);
        }
      }
    }
  }
}

// Elements from one row of the scratch to the next: a whole vector more than there are products, which copies of 16 may
// write past the end.
inline size_t scratchRow(int taps, int depth) { return (static_cast<size_t>(taps) * depth + 31) / 16 * 16; }

size_t gemmScratchBytes(int taps, int depth) {
  return kTileRows * scratchRow(taps, depth) * (sizeof(int16_t) + sizeof(uint8_t));
}

inline void widenRow(const uint8_t* row, int depth, int16_t* out) {
  if (depth <= 4) {
    int32_t codes;
    std::memcpy(&codes, row, sizeof codes);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_cvtepu8_epi16(_mm_cvtsi32_si128(codes)));
    return;
  }
  for (int k = 0; k < depth; k += 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), _mm256_cvtepu8_epi16(load16(row + k)));
  }
}

inline void copyRow(const uint8_t* row, int depth, uint8_t* out) {
  if (depth <= 4) {
    std::memcpy(out, row, 4);
    return;
  }
  for (int k = 0; k < depth; k += 16) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + k), load16(row + k));
}

// Rows of codes of a tile, as bytes and widened, and their groups of 4 k.
struct TileRows {
  const uint8_t* bytes;
  size_t byteStride;
  const int16_t* wide;
  size_t int16Stride;
  int groups;
};

// The sums of MT rows by one panel.
template <int MT>
inline void sumPanel(const TileRows& rows, const Panel& panel, __m256i* out) {
  __m256i sums[MT];
#pragma GCC unroll 8
  for (int i = 0; i < MT; ++i) sums[i] = Avx2::load(panel.constants.bias);
  const size_t words = ceilDiv(rows.groups, 64);
  const int8_t* weights = panel.weights(maskWords(rows.groups));
  const __m256i ones = _mm256_set1_epi16(1);
  // Rows are addressed three to a pointer, so that the pointers fit the registers.
  for (size_t word = 0; word < words; ++word) {
    const int count = std::min(64, rows.groups - 64 * static_cast<int>(word));
    const uint64_t inside = ~uint64_t{0} >> (64 - count);
    for (uint64_t rest = ~panel.widened()[word] & inside; rest; rest &= rest - 1, weights += 4 * kLanes) {
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
      const uint8_t* first = rows.bytes + 4 * (64 * word + __builtin_ctzll(rest));
#pragma GCC unroll 8
      for (int i = 0; i < MT; ++i) {
        if (i == 3 || i == 6) first += 3 * rows.byteStride;
        const __m256i pairs = _mm256_maddubs_epi16(broadcast4(first + i % 3 * rows.byteStride), w);
        sums[i] = Avx2::add(sums[i], _mm256_madd_epi16(pairs, ones));
      }
    }
  }
  for (size_t word = 0; word < words; ++word) {
    for (uint64_t rest = panel.widened()[word]; rest; rest &= rest - 1, weights += 4 * kLanes) {
      const __m256i w0 = widenWeights(weights), w1 = widenWeights(weights + 2 * kLanes);
      const int16_t* first = rows.wide + 4 * (64 * word + __builtin_ctzll(rest));
#pragma GCC unroll 8
      for (int i = 0; i < MT; ++i) {
        if (i == 3 || i == 6) first += 3 * rows.int16Stride;
        const int16_t* row = first + i % 3 * rows.int16Stride;
        sums[i] = Avx2::add(sums[i], _mm256_madd_epi16(broadcast4(row), w0));
        sums[i] = Avx2::add(sums[i], _mm256_madd_epi16(broadcast4(row + 2), w1));
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MT; ++i) out[i] = sums[i];
}

// The sums of MT rows by NP panels: sums[panel * MT + row]. Not inlined: what the store needs would take registers from
// the accumulators.
template <int MT, int NP>
__attribute__((noinline)) void sumMixed(const TileRows& rows, const uint8_t* panels, __m256i* sums) {
  for (int p = 0; p < NP; ++p) {
    sumPanel<MT>(rows, *reinterpret_cast<const Panel*>(panels + p * panelBytes(rows.groups)), sums + p * MT);
  }
}

// The same where all groups are widened: a broadcast serves the panels together.
template <int MT, int NP>
__attribute__((noinline)) void sumWidened(const TileRows& rows, const uint8_t* panels, __m256i* out) {
  const Panel& first = *reinterpret_cast<const Panel*>(panels);
  const Panel& last = *reinterpret_cast<const Panel*>(panels + (NP - 1) * panelBytes(rows.groups));
  const int8_t* weights[2] = {first.weights(maskWords(rows.groups)), last.weights(maskWords(rows.groups))};
  __m256i sums[MT][NP];
#pragma GCC unroll 8
  for (int i = 0; i < MT; ++i) {
    sums[i][0] = Avx2::load(first.constants.bias);
    sums[i][NP - 1] = Avx2::load(last.constants.bias);
  }
  const int16_t* codes[2] = {rows.wide, rows.wide + 3 * rows.int16Stride};
  const size_t pairs = 2 * static_cast<size_t>(rows.groups);
  for (size_t k = 0; k < pairs; ++k) {
    const __m256i w0 = widenWeights(weights[0] + 2 * kLanes * k), w1 = widenWeights(weights[1] + 2 * kLanes * k);
#pragma GCC unroll 8
    for (int i = 0; i < MT; ++i) {
      const __m256i pair = broadcast4(codes[i / 3] + (i % 3) * rows.int16Stride + 2 * k);
      sums[i][0] = Avx2::add(sums[i][0], _mm256_madd_epi16(pair, w0));
      if constexpr (NP == 2) sums[i][1] = Avx2::add(sums[i][1], _mm256_madd_epi16(pair, w1));
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MT; ++i) {
    out[i] = sums[i][0];
    out[(NP - 1) * MT + i] = sums[i][NP - 1];
  }
}

template <bool Mixed, int MT, int NP>
void gemmTile(const GemmArgs& args, const Store& store, const TileRows& rows, const uint8_t* panels, int m0, int n0) {
  __m256i sums[NP * MT];
  if constexpr (Mixed) {
    sumMixed<MT, NP>(rows, panels, sums);
  } else {
    sumWidened<MT, NP>(rows, panels, sums);
  }
  __m256 multiplier[NP];
  for (int p = 0; p < NP; ++p) {
    const Panel& panel = *reinterpret_cast<const Panel*>(panels + p * panelBytes(rows.groups));
    multiplier[p] = Avx2::load(panel.constants.multiplier);
  }
  storeTile<MT, NP>(args, store, sums, multiplier, m0, n0);
}

// All rows from `m` on: as many tiles of MT rows as fit, then halves.
template <bool Mixed, int MT>
void gemmRows(const GemmArgs& args, const Store& store, int m) {
  const Header& header = *static_cast<const Header*>(args.packed);
  const size_t stride = scratchRow(args.taps, args.depth);
  const int groups = groupsOf(args.taps, args.depth);
  int16_t* wide = static_cast<int16_t*>(args.scratch);
  uint8_t* bytes = reinterpret_cast<uint8_t*>(wide + kTileRows * stride);
  for (; m + MT <= args.rowCount; m += MT) {
    TileRows rows{bytes, stride, wide, stride, groups};
    if (!args.rows) rows = TileRows{args.base + m * args.rowStride, args.rowStride, wide, stride, groups};
    for (int i = 0; i < MT; ++i) {
      for (int t = 0; t < args.taps; ++t) {
        const size_t at = i * stride + static_cast<size_t>(t) * args.depth;
        const uint8_t* row = args.rows ? args.rows[static_cast<size_t>(t) * args.rowCount + m + i]
                                       : args.base + static_cast<size_t>(m + i) * args.rowStride;
        if (Mixed && args.rows) copyRow(row, args.depth, bytes + at);
        if (header.anyWidened) widenRow(row, args.depth, wide + at);
      }
    }
    const uint8_t* next = reinterpret_cast<const uint8_t*>(&header + 1);
    for (int n0 = 0; n0 < args.outputs; n0 += 2 * kLanes, next += 2 * panelBytes(groups)) {
      if (panelsAt(args.outputs - n0) == 2) {
        gemmTile<Mixed, MT, 2>(args, store, rows, next, m, n0);
      } else {
        gemmTile<Mixed, MT, 1>(args, store, rows, next, m, n0);
      }
    }
  }
  if constexpr (MT > 1) gemmRows<Mixed, MT / 2>(args, store, m);
}

void gemm(const GemmArgs& args) {
  const Store store(*args.stage);
  if (static_cast<const Header*>(args.packed)->allWidened) {
    gemmRows<false, 6>(args, store, 0);
  } else {
    gemmRows<true, kTileRows>(args, store, 0);
  }
}

}  // namespace

void setGemm(Kernels& table) {
  table.packedGemmBytes = packedGemmBytes;
  table.packGemm = packGemm;
  table.gemmScratchBytes = gemmScratchBytes;
  table.gemm = gemm;
}

}  // namespace avx2
}  // namespace lowbit
