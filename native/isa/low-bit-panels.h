// The product with a low-bit matrix on vector units, written once over the vectors of an instruction set. Weights stay
// as small in memory as the program has them; they are unpacked in registers, each for all rows of a tile.
//
// A panel is 16 outputs. 32 inputs of it are a unit: as many vectors of 64 bytes as a code has bits. Byte 4 r + j of
// each belongs to output r and to the inputs k = 4 q + j of the unit, q from 0 to 7, so that one broadcast of 4
// neighbouring codes of the activation meets all of it. The code of q, and in a trellis that of q - 1 beside it, comes
// out by a shift:
//   2 bits   vector q / 4, from bit 2 (q % 4)
//   3 bits   vector q / 2, from bit 3 (q % 2), for q < 6; two bits of q = 6 and 7 above them in vectors 0 and 1, their
//            third bits in vector 2
//   4 bits   vector q / 2, from bit 4 (q % 2)
//   packed:  panel | zero of 16 | bias of 16 | group: bits of the scale of 16 | padding to 64 | unit | vector | 16 x 4
//   bytes scratch: row of the tile | signed code of k, 0 past the last;  row | group: offset
//
// Bytes are multiplied as unsigned weight by signed code. A weight is its level less the lowest one or, where levels
// are evenly spaced, the code itself:
//   sum of code * level = step * sum of code * weight + lowest * sum of code
// The last sum belongs to the row; with the factor before it, it is the offset.
//
// What an instruction set gives, `P`:
//   V                  its wrapper of vector-kernels.h, with sub; a slice is V::lanes outputs of a panel
//   Bytes              4 V::lanes bytes; load, set, shiftRight<n> (of bytes or of wider elements: what comes from a
//                      neighbour is masked), both (and), either (or), select(mask, bits where it is set, others),
//                      repeat16 (a table of 16), lookup(table, indices below 16), broadcast4 (4 signed codes)
//   Sum<Adds, MT, F>   an accumulator of one row and slice: start(); add<Q>(weights, codes) of as many vectors as may
//   be added in
//                      int16 (of one where Adds is 8: so many units as fit, with flush(step) after them);
//                      total(step): the int32 sums times the step
//   kMaxRows          of a tile: 4, or 2 where there are registers for no more
//   kMaxTableAdds     the greatest `Adds` that is of use for weights out of a table: 1 or 2
//   halves             V::lanes float16 numbers as float32
//   clampFloat          to [low, high]; a zero keeps its sign
// In an unnamed namespace: each set compiles its own copy with its own flags.
#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>

#include "../base/ceil-div.h"
#include "kernels.h"
#include "vector-kernels.h"

namespace lowbit {
namespace {

struct LowBitPanels {
  static constexpr int kOutputs = 16;
  static constexpr int kUnit = 32;
  static constexpr int kQuads = kUnit / 4;
  static constexpr int kVectorBytes = 64;
  static constexpr int kTileRows = 4;

  // Measures of a matrix in units.
  struct Extent {
    int bits, units, groups, groupUnits;
    size_t scaleBytes, panelBytes;

    Extent(const LowBitFormat& format, int depth)
        : bits(format.bits),
          units((depth - 1) / kUnit + 1),
          groups((depth - 1) / format.group + 1),
          groupUnits((format.group - 1) / kUnit + 1),
          scaleBytes(static_cast<size_t>(ceilDiv(sizeof(uint16_t) * kOutputs * groups, kVectorBytes)) * kVectorBytes),
          panelBytes(sizeof(Constants) + scaleBytes + static_cast<size_t>(units) * bits * kVectorBytes) {}

    int unitsOf(int group) const { return std::min(groupUnits, units - group * groupUnits); }
    size_t rowBytes() const { return static_cast<size_t>(units) * kUnit; }
  };

  struct Constants {
    float zero[kOutputs];
    float bias[kOutputs];
  };

  static int panels(int outputs) { return static_cast<int>(ceilDiv(outputs, kOutputs)); }

  static size_t packedBytes(const LowBitFormat& format, int outputs, int depth) {
    return panels(outputs) * Extent(format, depth).panelBytes;
  }

  static void pack(const LowBitMatrix& matrix, const LowBitConstants& constants, void* packed) {
    const Extent extent(matrix.format, matrix.depth);
    std::memset(packed, 0, packedBytes(matrix.format, matrix.rows, matrix.depth));
    for (int n = 0; n < matrix.rows; ++n) {
      uint8_t* panel = static_cast<uint8_t*>(packed) + n / kOutputs * extent.panelBytes;
      const int lane = n % kOutputs;
      Constants& own = *reinterpret_cast<Constants*>(panel);
      own.zero[lane] = constants.zero[n];
      own.bias[lane] = constants.bias[n];
      uint16_t* scales = reinterpret_cast<uint16_t*>(&own + 1);
      for (int g = 0; g < extent.groups; ++g) {
        scales[g * kOutputs + lane] = matrix.scales[static_cast<size_t>(n) * extent.groups + g];
      }
      uint8_t* units = panel + sizeof(Constants) + extent.scaleBytes;
      for (int k = 0; k < matrix.depth; ++k) {
        putCode(matrix.format.bits, matrix.code(n, k), k % kUnit / 4,
                units + static_cast<size_t>(k / kUnit) * extent.bits * kVectorBytes + 4 * lane + k % 4);
      }
    }
  }

  static size_t scratchBytes(const LowBitFormat& format, int depth) {
    const Extent extent(format, depth);
    return kTileRows * (extent.rowBytes() + extent.groups * sizeof(int32_t));
  }

 private:
  static void putCode(int bits, int code, int q, uint8_t* first) {
    const auto put = [first](int vector, int shift, int value) {
      first[vector * kVectorBytes] |= static_cast<uint8_t>(value << shift);
    };
    if (bits != 3) {
      const int codes = 8 / bits;  // of a byte
      put(q / codes, bits * (q % codes), code);
    } else if (q < 6) {
      put(q / 2, 3 * (q % 2), code);
    } else {
      put(q - 6, 6, code & 3);
      put(2, q, code >> 2);
    }
  }
};

// Levels as unsigned bytes, by 4 bits: those of a code of 3 or 4 bits or of a pair of 2, of which codebooks of 4 levels
// mind the lower one. `swapped`: by the pair in the other order.
struct LowBitTables {
  int8_t plain[16];
  int8_t swapped[16];
};

// The decoders: weights<Q>(slice of a unit) are those of the inputs 4 Q to 4 Q + 3, for Q = 0, 1, ... in turn. They
// load vectors when it is their turn, so that few registers hold any.

// Of 2 or 4 bits.
template <class P, int Bits>
class LowBitCodes {
 public:
  static constexpr int kBits = Bits;
  void start(const LowBitTables&) {}

  template <int Q>
  typename P::Bytes weights(const uint8_t* unit) {
    constexpr int kCodes = 8 / Bits;  // of a byte
    if constexpr (Q % kCodes == 0) vector_ = P::load(unit + Q / kCodes * LowBitPanels::kVectorBytes);
    return P::both(P::template shiftRight<Bits*(Q % kCodes)>(vector_), P::set((1 << Bits) - 1));
  }

 private:
  typename P::Bytes vector_;
};

// Codes of 2 bits, and four times those of odd Q, which saves two of three shifts.
template <class P>
class LowBitFourfold {
 public:
  static constexpr int kBits = 2;
  void start(const LowBitTables&) {}

  template <int Q>
  typename P::Bytes weights(const uint8_t* unit) {
    if constexpr (Q % 4 == 0) vector_ = P::load(unit + Q / 4 * LowBitPanels::kVectorBytes);
    if constexpr (Q % 4 == 2) vector_ = P::template shiftRight<4>(vector_);
    return P::both(vector_, P::set(Q % 2 == 0 ? 3 : 12));
  }

 private:
  typename P::Bytes vector_;
};

template <class P>
class LowBitCodes<P, 3> {
 public:
  static constexpr int kBits = 3;
  void start(const LowBitTables&) {}

  template <int Q>
  typename P::Bytes weights(const uint8_t* unit) {
    if constexpr (Q < 6) {
      if constexpr (Q % 2 == 0) vectors_[Q / 2] = P::load(unit + Q / 2 * LowBitPanels::kVectorBytes);
      return P::both(P::template shiftRight<3 * (Q % 2)>(vectors_[Q / 2]), P::set(7));
    } else {
      return P::either(P::both(P::template shiftRight<6>(vectors_[Q - 6]), P::set(3)),
                       P::both(P::template shiftRight<Q - 2>(vectors_[2]), P::set(4)));
    }
  }

 private:
  typename P::Bytes vectors_[3];
};

// Weights out of a table of 16.
template <class P, int Bits>
class LowBitTable : public LowBitCodes<P, Bits> {
 public:
  void start(const LowBitTables& tables) { table_ = P::repeat16(tables.plain); }

  template <int Q>
  typename P::Bytes weights(const uint8_t* unit) {
    return P::lookup(table_, LowBitCodes<P, Bits>::template weights<Q>(unit));
  }

 private:
  typename P::Bytes table_;
};

// Of 2 bits: two neighbouring codes are looked up as they lie, each in a table for which the other one does not matter.
template <class P>
class LowBitTable<P, 2> {
 public:
  static constexpr int kBits = 2;
  void start(const LowBitTables& tables) {
    low_ = P::repeat16(tables.plain);
    high_ = P::repeat16(tables.swapped);
  }

  template <int Q>
  typename P::Bytes weights(const uint8_t* unit) {
    if constexpr (Q % 4 == 0) vector_ = P::load(unit + Q / 4 * LowBitPanels::kVectorBytes);
    if constexpr (Q % 2 == 0) pair_ = P::both(P::template shiftRight<2 * (Q % 4)>(vector_), P::set(15));
    return P::lookup(Q % 2 == 0 ? low_ : high_, pair_);
  }

 private:
  typename P::Bytes low_, high_, vector_, pair_;
};

// Of 2 bits: a code and the one before it. The first of a byte takes the other's place in the pair that the last byte
// ends with, and has a table for pairs of that order.
template <class P>
class LowBitTrellis {
 public:
  static constexpr int kBits = 2;
  void start(const LowBitTables& tables) {
    table_ = P::repeat16(tables.plain);
    swapped_ = P::repeat16(tables.swapped);
    last_ = P::set(0);
  }

  template <int Q>
  typename P::Bytes weights(const uint8_t* unit) {
    if constexpr (Q % 4 == 0) {
      vector_ = P::load(unit + Q / 4 * LowBitPanels::kVectorBytes);
      return P::lookup(swapped_, P::select(P::set(3), vector_, last_));
    } else {
      last_ = P::both(P::template shiftRight<2 * (Q % 4 - 1)>(vector_), P::set(15));
      return P::lookup(table_, last_);
    }
  }

 private:
  typename P::Bytes table_, swapped_, vector_, last_;
};

template <class P>
class LowBitProducts : public LowBitPanels {
 public:
  static void set(Kernels& table) {
    table.packedLowBitBytes = packedBytes;
    table.packLowBit = pack;
    table.lowBitScratchBytes = scratchBytes;
    table.lowBitProduct = run;
  }

  static void run(const LowBitArgs& args) {
    const LowBitFormat& format = *args.format;
    const Weights weights(format);
    const Call call{args, Extent(format, args.depth), weights};
    if (weights.even) {
      switch (format.bits) {
        case 2: return rows<LowBitCodes<P, 2>, kMaxAdds>(call);
        case 3: return rows<LowBitCodes<P, 3>, kMaxAdds>(call);
        default: return rows<LowBitCodes<P, 4>, kMaxAdds>(call);
      }
    }
    if (format.trellis) return byAdds<LowBitTrellis<P>>(call);
    switch (format.bits) {
      case 2: return byAdds<LowBitTable<P, 2>>(call);
      case 3: return byAdds<LowBitTable<P, 3>>(call);
      default: return byAdds<LowBitTable<P, 4>>(call);
    }
  }

 private:
  using V = typename P::V;
  using Common = VectorKernels<V>;
  using Float = typename V::Float;
  using Int = typename V::Int;
  using Bytes = typename P::Bytes;
  static constexpr int kLanes = static_cast<int>(V::lanes);
  static constexpr int kSlices = kOutputs / kLanes;
  static constexpr int kMaxAdds = 8;

  // Levels as unsigned bytes.
  struct Weights {
    bool even;
    int lowest, step, greatest;
    LowBitTables tables;

    explicit Weights(const LowBitFormat& format) {
      const int count = format.levelCount();
      const int8_t* levels = format.levels;
      lowest = *std::min_element(levels, levels + count);
      step = 1;
      greatest = 0;
      for (int i = 0; i < 16; ++i) {
        tables.plain[i] = static_cast<int8_t>(levels[i % count] - lowest);
        greatest = std::max<int>(greatest, tables.plain[i]);
      }
      for (int i = 0; i < 16; ++i) tables.swapped[i] = tables.plain[i >> 2 | (i & 3) << 2];
      const int first = tables.plain[1];
      even = !format.trellis && first > 0;
      for (int i = 0; i < count; ++i) even = even && tables.plain[i] == i * first;
      if (even) {
        step = first;
        greatest = count - 1;
      }
    }

    // Units after which int16 sums of products could overflow.
    int chunkUnits() const { return std::max(1, 32767 / (2 * 128 * kQuads * std::max(1, greatest))); }
  };

  struct Call {
    const LowBitArgs& args;
    Extent extent;
    const Weights& weights;
  };

  template <class Decoder>
  static void byAdds(const Call& call) {
    if constexpr (P::kMaxTableAdds == 1) {
      rows<Decoder, 1>(call);
    } else {
      // Two products of a code of -128 and as many weights as still fit int16.
      const int adds = 32767 / (2 * 128 * std::max(1, call.weights.greatest));
      adds >= 2 ? rows<Decoder, 2>(call) : rows<Decoder, 1>(call);
    }
  }

  template <class Decoder, int Adds>
  static void rows(const Call& call) {
    int m = 0;
    if constexpr (P::kMaxRows == 4) {
      for (; m + 4 <= call.args.rowCount; m += 4) tile<Decoder, Adds, 4>(call, m);
    }
    for (; m + 2 <= call.args.rowCount; m += 2) tile<Decoder, Adds, 2>(call, m);
    // With few accumulators there are registers for more of them, which saves shifts.
    constexpr bool kEven2 = std::is_same<Decoder, LowBitCodes<P, 2>>::value;
    using Single = std::conditional_t<kEven2, LowBitFourfold<P>, Decoder>;
    if (m < call.args.rowCount) tile<Single, Adds, 1>(call, m);
  }

  struct TileRows {
    const int8_t* codes;
    size_t stride;
    const int32_t* offsets;  // of a row: one a group
  };

  template <class Decoder, int Adds, int MT>
  static void tile(const Call& call, int m) {
    const LowBitArgs& args = call.args;
    int8_t* codes = static_cast<int8_t*>(args.scratch);
    int32_t* offsets = reinterpret_cast<int32_t*>(codes + MT * call.extent.rowBytes());
    for (int i = 0; i < MT; ++i) {
      const uint8_t* row = args.rows ? args.rows[m + i] : args.base + static_cast<size_t>(m + i) * args.rowStride;
      prepareRow(call, row, codes + i * call.extent.rowBytes(), offsets + i * call.extent.groups);
    }
    const uint8_t* panel = static_cast<const uint8_t*>(args.packed);
    for (int n = 0; n < args.outputs; n += kOutputs, panel += call.extent.panelBytes) {
      float sums[MT * kOutputs];
      sumPanel<Decoder, Adds, MT>(call, TileRows{codes, call.extent.rowBytes(), offsets}, panel, sums);
      store<MT>(args, *reinterpret_cast<const Constants*>(panel), sums, m, n);
    }
  }

  static void prepareRow(const Call& call, const uint8_t* row, int8_t* codes, int32_t* offsets) {
    const int depth = call.args.depth, group = call.args.format->group;
    for (int k = 0; k < depth; ++k) codes[k] = static_cast<int8_t>(row[k] ^ 0x80);
    std::memset(codes + depth, 0, call.extent.rowBytes() - depth);
    for (int g = 0; g < call.extent.groups; ++g) {
      const int end = std::min(depth, (g + 1) * group);
      int32_t sum = 0;
      for (int k = g * group; k < end; ++k) sum += codes[k];
      offsets[g] = call.weights.lowest * sum;
    }
  }

  template <class Decoder, int Q, int Count, size_t... I>
  static inline void unpack(Decoder& decoder, const uint8_t* unit, Bytes (&weights)[Count], std::index_sequence<I...>) {
    ((weights[I] = decoder.template weights<Q + static_cast<int>(I)>(unit)), ...);
  }

  // Adds the products of a unit from quad Q on.
  template <int Q, int Adds, int MT, class Decoder, class Sum>
  static inline void addQuads(Decoder (&decoders)[kSlices], const uint8_t* unit, const int8_t* codes, size_t stride,
                              Sum (&sums)[MT][kSlices]) {
    if constexpr (Q < kQuads) {
      constexpr int kTogether = Adds == kMaxAdds ? 1 : Adds;
      Bytes weights[kSlices][kTogether];
#pragma GCC unroll 2
      for (int s = 0; s < kSlices; ++s) {
        unpack<Decoder, Q>(decoders[s], unit + s * kVectorBytes / kSlices, weights[s],
                           std::make_index_sequence<kTogether>());
      }
#pragma GCC unroll 4
      for (int i = 0; i < MT; ++i) {
        Bytes quads[kTogether];
#pragma GCC unroll 4
        for (int t = 0; t < kTogether; ++t) quads[t] = P::broadcast4(codes + i * stride + 4 * (Q + t));
#pragma GCC unroll 2
        for (int s = 0; s < kSlices; ++s) sums[i][s].template add<Q>(weights[s], quads);
      }
      addQuads<Q + kTogether, Adds>(decoders, unit, codes, stride, sums);
    }
  }

  // f of MT rows and the outputs of a panel. Not inlined: what the store needs would take registers from it.
  template <class Decoder, int Adds, int MT>
  __attribute__((noinline)) static void sumPanel(const Call& call, const TileRows& rows, const uint8_t* panel,
                                                 float* out) {
    using Sum = typename P::template Sum<Adds, MT, std::is_same<Decoder, LowBitFourfold<P>>::value>;
    const Extent& extent = call.extent;
    const uint16_t* scales = reinterpret_cast<const uint16_t*>(panel + sizeof(Constants));
    const uint8_t* unit = panel + sizeof(Constants) + extent.scaleBytes;
    const int8_t* codes = rows.codes;
    const size_t stride = rows.stride;
    const int step = call.weights.step;
    const int chunkUnits = Adds == kMaxAdds ? call.weights.chunkUnits() : extent.units;
    Decoder decoders[kSlices];
    Float f[MT][kSlices];
#pragma GCC unroll 2
    for (int s = 0; s < kSlices; ++s) {
      decoders[s].start(call.weights.tables);
#pragma GCC unroll 4
      for (int i = 0; i < MT; ++i) f[i][s] = V::set(0.0f);
    }
    for (int g = 0; g < extent.groups; ++g, scales += kOutputs) {
      Sum sums[MT][kSlices];
#pragma GCC unroll 4
      for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
        for (int s = 0; s < kSlices; ++s) sums[i][s].start();
      }
      for (int left = extent.unitsOf(g); left > 0; left -= chunkUnits) {
        for (int u = std::min(left, chunkUnits); u > 0; --u, codes += kUnit, unit += Decoder::kBits * kVectorBytes) {
#pragma GCC unroll 4
          for (int i = 0; i < Decoder::kBits; ++i) __builtin_prefetch(unit + kAhead + i * kVectorBytes, 0, kLevel2);
          addQuads<0, Adds>(decoders, unit, codes, stride, sums);
        }
#pragma GCC unroll 4
        for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
          for (int s = 0; s < kSlices; ++s) sums[i][s].flush(step);
        }
      }
      const Float floatUnit = V::set(call.args.format->unit);
      const Float small = V::set(kSmallScale);
#pragma GCC unroll 2
      for (int s = 0; s < kSlices; ++s) {
        const Float halves = P::halves(scales + s * kLanes);
        const Float scale = V::mul(V::max(V::mul(halves, small), halves), floatUnit);
#pragma GCC unroll 4
        for (int i = 0; i < MT; ++i) {
          const Int steps = V::add(sums[i][s].total(step), V::set(rows.offsets[i * extent.groups + g]));
          f[i][s] = V::add(f[i][s], V::mul(V::toFloat(steps), scale));
        }
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < MT; ++i) {
#pragma GCC unroll 2
      for (int s = 0; s < kSlices; ++s) V::store(out + i * kOutputs + s * kLanes, f[i][s]);
    }
  }

  template <int MT>
  static void store(const LowBitArgs& args, const Constants& constants, const float* sums, int m, int n) {
    const LowBitStage& stage = *args.stage;
    const Float multiplier = V::set(stage.multiplier), low = V::set(stage.low), high = V::set(stage.high);
    const Int zeroPoint = V::set(stage.zeroPoint);
    for (int s = 0; s < kOutputs && n + s < args.outputs; s += kLanes) {
      const int count = std::min(kLanes, args.outputs - n - s);
      const Float zero = V::load(constants.zero + s), bias = V::load(constants.bias + s);
      for (int i = 0; i < MT; ++i) {
        const size_t at = (m + i) * args.outStride + n + s;
        const Float sum = V::sub(V::load(sums + i * kOutputs + s), zero);
        const Float value = V::add(V::mul(sum, multiplier), bias);
        if (args.floatOut) {
          float values[kLanes];
          V::store(values, P::clampFloat(value, low, high));
          std::memcpy(args.floatOut + at, values, count * sizeof(float));
        } else {
          Common::storeCodesPartly(args.out + at, Common::toCodes(value, low, high, zeroPoint), stage.table, count);
        }
      }
    }
  }

  // How far ahead lines are prefetched, in bytes, and into which cache. The buffers of misses that the first level has
  // are too few to keep the memory busy; the second level's are not, and what it holds early is not in the way.
  static constexpr int kAhead = 16 << 10;
  static constexpr int kLevel2 = 2;
};

}  // namespace
}  // namespace lowbit
