// Products with low-bit matrices: weights and codes are widened to int16 for i32x4.dot_i16x8_s.
#pragma once
#include "../low-bit-panels.h"
#include "vector.h"

namespace lowbit {
namespace {

struct SimdBytes {
  v128_t part[4];

  template <class Operation>
  static SimdBytes forEach(Operation operation) {
    SimdBytes result;
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; ++i) result.part[i] = operation(i);
    return result;
  }
};

struct SimdProduct {
  using V = Simd;
  using Bytes = SimdBytes;
  static constexpr int kMaxRows = 2;
  static constexpr int kMaxTableAdds = 1;

  static Bytes load(const uint8_t* p) {
    return Bytes::forEach([=](int i) { return wasm_v128_load(p + 16 * i); });
  }
  static Bytes set(int value) {
    return Bytes::forEach([=](int) { return wasm_i8x16_splat(static_cast<int8_t>(value)); });
  }
  template <int N>
  static Bytes shiftRight(const Bytes& v) {
    if constexpr (N == 0) {
      return v;
    } else {
      return Bytes::forEach([&](int i) { return wasm_u16x8_shr(v.part[i], N); });
    }
  }
  static Bytes both(const Bytes& a, const Bytes& b) {
    return Bytes::forEach([&](int i) { return wasm_v128_and(a.part[i], b.part[i]); });
  }
  static Bytes either(const Bytes& a, const Bytes& b) {
    return Bytes::forEach([&](int i) { return wasm_v128_or(a.part[i], b.part[i]); });
  }
  static Bytes select(const Bytes& mask, const Bytes& a, const Bytes& b) {
    return Bytes::forEach([&](int i) { return wasm_v128_bitselect(a.part[i], b.part[i], mask.part[i]); });
  }
  static Bytes repeat16(const int8_t* table) {
    return Bytes::forEach([=](int) { return wasm_v128_load(table); });
  }
  static Bytes lookup(const Bytes& table, const Bytes& indices) {
    return Bytes::forEach([&](int i) { return wasm_i8x16_swizzle(table.part[0], indices.part[i]); });
  }
  // As int16, the same 4 twice, in the first part: all that Sum asks of codes.
  static Bytes broadcast4(const int8_t* codes) {
    Bytes four{};
    four.part[0] = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(codes));
    return four;
  }
  static Simd::Float clampFloat(const Simd::Float& value, const Simd::Float& low, const Simd::Float& high) {
    return Simd::lesser(Simd::greater(value, low), high);
  }
  // As fromHalf does it.
  static Simd::Float halves(const uint16_t* p) {
    return Simd::forEach<Simd::Float>([=](int i) {
      const v128_t half = wasm_u32x4_load16x4(p + 4 * i);
      const v128_t bits = wasm_i32x4_shl(wasm_v128_and(half, wasm_i32x4_splat(0x7fff)), 13);
      const v128_t magnitude = wasm_f32x4_mul(bits, wasm_f32x4_splat(5192296858534827628530496329220096.0f));
      return wasm_v128_or(magnitude, wasm_i32x4_shl(wasm_v128_and(half, wasm_i32x4_splat(0x8000)), 16));
    });
  }

  // Of each output the sums of two pairs of products.
  struct Sums {
    v128_t sums[4][2];

    void start() {
      for (int i = 0; i < 4; ++i) sums[i][0] = sums[i][1] = wasm_i32x4_const_splat(0);
    }
    void add(const Bytes& weights, const Bytes& codes) {
#pragma clang loop unroll(full)
      for (int i = 0; i < 4; ++i) {
        const v128_t low = wasm_u16x8_extend_low_u8x16(weights.part[i]);
        const v128_t high = wasm_u16x8_extend_high_u8x16(weights.part[i]);
        sums[i][0] = wasm_i32x4_add(sums[i][0], wasm_i32x4_dot_i16x8(low, codes.part[0]));
        sums[i][1] = wasm_i32x4_add(sums[i][1], wasm_i32x4_dot_i16x8(high, codes.part[0]));
      }
    }
    v128_t part(int i) const {
      return wasm_i32x4_add(wasm_i32x4_shuffle(sums[i][0], sums[i][1], 0, 2, 4, 6),
                            wasm_i32x4_shuffle(sums[i][0], sums[i][1], 1, 3, 5, 7));
    }
  };

  template <int Adds, int MT, bool Fourfold>
  struct Sum {
    Sums even, odd;  // the latter only where its products are fourfold

    void start() {
      even.start();
      if constexpr (Fourfold) odd.start();
    }
    template <int Q>
    void add(const Bytes (&weights)[1], const Bytes (&codes)[1]) {
      if constexpr (Fourfold && Q % 2 == 1) {
        odd.add(weights[0], codes[0]);
      } else {
        even.add(weights[0], codes[0]);
      }
    }
    void flush(int) {}

    Simd::Int total(int step) const {
      return Simd::forEach<Simd::Int>([&](int i) {
        v128_t sum = even.part(i);
        if constexpr (Fourfold) sum = wasm_i32x4_add(sum, wasm_i32x4_shr(odd.part(i), 2));
        return wasm_i32x4_mul(sum, wasm_i32x4_splat(step));
      });
    }
  };
};

}  // namespace
}  // namespace lowbit
