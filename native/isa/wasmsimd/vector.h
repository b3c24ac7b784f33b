// What the kernels of WebAssembly's 128-bit vectors have in common. Everything is in an unnamed namespace: each variant
// compiles its own copy with its own flags.
//
// pmax(a, b) is b where a < b, else a; pmin(a, b) is b where b < a, else a: with the bound as their first operand they
// clamp as the scalar kernels do, NaN to the lower bound. Each is one instruction on x86, where max and min are many.
// Floats are rounded to integers by adding 1.5 * 2^23, which leaves the integer, half to even, in the lowest bits;
// the conversion that truncates would take many instructions more.
#pragma once
#include <wasm_simd128.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../base/ceil-div.h"
#include "../kernels.h"

namespace lowbit {
namespace {

constexpr float kRound = 12582912.0f;       // 1.5 * 2^23
constexpr int32_t kRoundBits = 0x4b400000;  // of kRound

inline v128_t load8u16(const uint8_t* p) { return wasm_u16x8_load8x8(p); }

// 16 elements in four vectors, as many as one vector holds codes.
struct Simd {
  struct Int {
    v128_t part[4];
  };
  struct Float {
    v128_t part[4];
  };
  static constexpr size_t lanes = 16;

  template <class To, class Operation>
  static inline To forEach(Operation operation) {
    To result;
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; ++i) result.part[i] = operation(i);
    return result;
  }

  static Int set(int32_t v) {
    return forEach<Int>([=](int) { return wasm_i32x4_splat(v); });
  }
  static Float set(float v) {
    return forEach<Float>([=](int) { return wasm_f32x4_splat(v); });
  }
  static Int load(const int32_t* p) {
    return forEach<Int>([=](int i) { return wasm_v128_load(p + 4 * i); });
  }
  static Float load(const float* p) {
    return forEach<Float>([=](int i) { return wasm_v128_load(p + 4 * i); });
  }
  static void store(int32_t* p, const Int& v) {
    for (int i = 0; i < 4; ++i) wasm_v128_store(p + 4 * i, v.part[i]);
  }
  static void store(float* p, const Float& v) {
    for (int i = 0; i < 4; ++i) wasm_v128_store(p + 4 * i, v.part[i]);
  }
  static Int loadCodes(const uint8_t* p) {
    const v128_t halves[2] = {wasm_u16x8_load8x8(p), wasm_u16x8_load8x8(p + 8)};
    return forEach<Int>([&](int i) {
      return i % 2 ? wasm_u32x4_extend_high_u16x8(halves[i / 2]) : wasm_u32x4_extend_low_u16x8(halves[i / 2]);
    });
  }
  static v128_t bytes(const Int& v) {
    return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v.part[0], v.part[1]),
                                   wasm_i16x8_narrow_i32x4(v.part[2], v.part[3]));
  }
  static void storeCodes(uint8_t* p, const Int& v) { wasm_v128_store(p, bytes(v)); }

  static Int add(const Int& a, const Int& b) {
    return forEach<Int>([&](int i) { return wasm_i32x4_add(a.part[i], b.part[i]); });
  }
  static Int sub(const Int& a, const Int& b) {
    return forEach<Int>([&](int i) { return wasm_i32x4_sub(a.part[i], b.part[i]); });
  }
  static Float add(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return wasm_f32x4_add(a.part[i], b.part[i]); });
  }
  static Float sub(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return wasm_f32x4_sub(a.part[i], b.part[i]); });
  }
  static Float mul(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return wasm_f32x4_mul(a.part[i], b.part[i]); });
  }
  static Float div(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return wasm_f32x4_div(a.part[i], b.part[i]); });
  }
  static Float max(const Float& a, const Float& b) { return greater(a, b); }
  static Float min(const Float& a, const Float& b) { return lesser(a, b); }
  static Float greater(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return wasm_f32x4_pmax(b.part[i], a.part[i]); });
  }
  static Float lesser(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return wasm_f32x4_pmin(b.part[i], a.part[i]); });
  }
  static Float toFloat(const Int& a) {
    return forEach<Float>([&](int i) { return wasm_f32x4_convert_i32x4(a.part[i]); });
  }
  // Of numbers below 2^22.
  static Int toInt(const Float& a) {
    return forEach<Int>([&](int i) {
      return wasm_i32x4_sub(wasm_f32x4_add(a.part[i], wasm_f32x4_splat(kRound)), wasm_i32x4_splat(kRoundBits));
    });
  }
  static Float flip(const Float& a, const Int& signs) {
    return forEach<Float>([&](int i) { return wasm_v128_xor(a.part[i], signs.part[i]); });
  }
  template <int D>
  static Float partner(const Float& a) {
    return forEach<Float>([&](int i) {
      if constexpr (D >= 4) return a.part[i ^ (D / 4)];
      const v128_t part = a.part[i];
      return D == 1 ? wasm_i32x4_shuffle(part, part, 1, 0, 3, 2) : wasm_i32x4_shuffle(part, part, 2, 3, 0, 1);
    });
  }
  static void storeFirst(float* p, const Float& v, int count) {
    for (int i = 0; i < 4; ++i, count -= 4) {
      if (count >= 4) {
        wasm_v128_store(p + 4 * i, v.part[i]);
        continue;
      }
      float four[4];
      wasm_v128_store(four, v.part[i]);
      for (int k = 0; k < count; ++k) p[4 * i + k] = four[k];
    }
  }
  static Float loadFirst(const float* p, int count, float rest) {
    float all[lanes];
    std::fill(std::copy(p, p + count, all), all + lanes, rest);
    return load(all);
  }
  static void hold(Float*) {}
  static Float clean(const Float& a) { return greater(a, set(-INFINITY)); }
  static Int ifGreater(const Float& x, const Float& y, const Int& a, const Int& b) {
    return forEach<Int>(
        [&](int i) { return wasm_v128_bitselect(a.part[i], b.part[i], wasm_f32x4_gt(x.part[i], y.part[i])); });
  }
  static void interleave(const Float& a, const Float& b, Float* x, Float* y) { zip(a, b, x, y); }
  static void interleave(const Int& a, const Int& b, Int* x, Int* y) { zip(a, b, x, y); }
  template <int Step>
  static void split(const Float& a, const Float& b, Float* x, Float* y) {
    for (int i = 0; i < 4; ++i) {
      const Float& half = i < 2 ? a : b;
      if constexpr (Step == 0) {
        x->part[i] = wasm_i32x4_shuffle(a.part[i], b.part[i], 0, 4, 1, 5);
        y->part[i] = wasm_i32x4_shuffle(a.part[i], b.part[i], 2, 6, 3, 7);
      } else if constexpr (Step == 1) {
        x->part[i] = wasm_i64x2_shuffle(a.part[i], b.part[i], 0, 2);
        y->part[i] = wasm_i64x2_shuffle(a.part[i], b.part[i], 1, 3);
      } else {
        x->part[i] = half.part[2 * (i % 2)];
        y->part[i] = half.part[2 * (i % 2) + 1];
      }
    }
  }
  static uint32_t equalBits(const Float& a, const Float& b) {
    return bitsOf([&](int i) { return wasm_f32x4_eq(a.part[i], b.part[i]); });
  }
  static uint32_t atLeastBits(const Float& a, const Float& b) {
    return bitsOf([&](int i) { return wasm_f32x4_ge(a.part[i], b.part[i]); });
  }
  static Float below(const Float& a, const Float& limit) {
    return forEach<Float>([&](int i) {
      return wasm_v128_bitselect(a.part[i], wasm_f32x4_splat(-INFINITY), wasm_f32x4_lt(a.part[i], limit.part[i]));
    });
  }
  static Float powerOfTwo(const Int& n) {
    return forEach<Float>([&](int i) { return wasm_i32x4_shl(wasm_i32x4_add(n.part[i], wasm_i32x4_splat(127)), 23); });
  }
  static Float unlessBelow(const Float& x, const Float& limit, const Float& v) {
    return forEach<Float>([&](int i) { return wasm_v128_and(v.part[i], wasm_f32x4_ge(x.part[i], limit.part[i])); });
  }
  static float greatest(const Float& a) {
    return reduce(a, [](v128_t x, v128_t y) { return wasm_f32x4_pmax(x, y); });
  }
  static float least(const Float& a) {
    return reduce(a, [](v128_t x, v128_t y) { return wasm_f32x4_pmin(x, y); });
  }

 private:
  template <class Vector>
  static void zip(const Vector& a, const Vector& b, Vector* x, Vector* y) {
    for (int i = 0; i < 4; ++i) {
      Vector* to = i < 2 ? x : y;
      to->part[2 * (i % 2)] = wasm_i32x4_shuffle(a.part[i], b.part[i], 0, 4, 1, 5);
      to->part[2 * (i % 2) + 1] = wasm_i32x4_shuffle(a.part[i], b.part[i], 2, 6, 3, 7);
    }
  }
  template <class Compare>
  static uint32_t bitsOf(Compare compare) {
    uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) bits |= wasm_i32x4_bitmask(compare(i)) << (4 * i);
    return bits;
  }
  template <class Operation>
  static float reduce(const Float& a, Operation op) {
    v128_t v = op(op(a.part[0], a.part[1]), op(a.part[2], a.part[3]));
    v = op(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    v = op(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));
    return wasm_f32x4_extract_lane(v, 0);
  }
};

// Stores the first `count` of 16 or 8 bytes, or all.
inline void storeBytes(uint8_t* out, v128_t bytes, int count) {
  if (count >= 16) {
    wasm_v128_store(out, bytes);
    return;
  }
  uint8_t buffer[16];
  wasm_v128_store(buffer, bytes);
  std::memcpy(out, buffer, count);
}

// The store of OutputStage, from accumulators that the bias is part of.
class Store {
 public:
  explicit Store(const OutputStage& stage)
      : low_(stage.low),
        high_(stage.high),
        least_(static_cast<int32_t>(stage.low) + kRoundBits),
        offset_(kRoundBits - stage.zeroPoint),
        codeHigh_(stage.codeHigh()),
        table_(stage.table) {}

  v128_t value(v128_t accumulator, v128_t multiplier) const {
    const v128_t value = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(accumulator), multiplier);
    return wasm_f32x4_pmin(wasm_f32x4_splat(high_), wasm_f32x4_pmax(wasm_f32x4_splat(low_), value));
  }

  // A code that may exceed the higher bound. The sum with 1.5 * 2^23 is rounded right below 2^22; beyond that its bits
  // still grow with the value, negative ones being negative integers, so that the clamp can wait until then.
  v128_t round(v128_t accumulator, v128_t multiplier) const {
    const v128_t value = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(accumulator), multiplier);
    const v128_t rounded = wasm_f32x4_add(value, wasm_f32x4_splat(kRound));
    return wasm_i32x4_sub(wasm_i32x4_max(rounded, wasm_i32x4_splat(least_)), wasm_i32x4_splat(offset_));
  }

  // The codes of 16 rounded values.
  v128_t codes(v128_t a, v128_t b, v128_t c, v128_t d) const {
    const v128_t codes = wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b), wasm_i16x8_narrow_i32x4(c, d));
    return wasm_u8x16_min(codes, wasm_u8x16_splat(codeHigh_));
  }

  const uint8_t* table() const { return table_; }

  // Stores the first `count` codes, at most 16, through the table.
  void put(uint8_t* out, v128_t codes, int count) const {
    if (!table_) {
      storeBytes(out, codes, count);
      return;
    }
    uint8_t bytes[16];
    wasm_v128_store(bytes, codes);
    for (int i = 0; i < std::min(count, 16); ++i) out[i] = table_[bytes[i]];
  }

 private:
  float low_, high_;
  int32_t least_, offset_;
  uint8_t codeHigh_;
  const uint8_t* table_;
};

}  // namespace
}  // namespace lowbit
