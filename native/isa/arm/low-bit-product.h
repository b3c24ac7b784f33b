// Products with low-bit matrices on Arm: what the variants have in common apart from the accumulators of a row, `Sums`:
// start(), add(weights, codes) of 16 outputs by 4 inputs, part(i) of outputs 4 i to 4 i + 3. In an unnamed namespace as
// vector.h.
#pragma once
#include "../low-bit-panels.h"
#include "vector.h"

namespace lowbit {
namespace {

struct NeonBytes {
  uint8x16_t part[4];

  template <class Operation>
  static NeonBytes forEach(Operation operation) {
    NeonBytes result;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) result.part[i] = operation(i);
    return result;
  }

  int8x16_t operand(int i) const { return vreinterpretq_s8_u8(part[i]); }
};

template <class Sums>
struct NeonProduct {
  using V = Neon;
  using Bytes = NeonBytes;
  static constexpr int kMaxRows = 4;
  static constexpr int kMaxTableAdds = 1;

  static Bytes load(const uint8_t* p) {
    return Bytes::forEach([=](int i) { return vld1q_u8(p + 16 * i); });
  }
  static Bytes set(int value) {
    return Bytes::forEach([=](int) { return vdupq_n_u8(static_cast<uint8_t>(value)); });
  }
  template <int N>
  static Bytes shiftRight(const Bytes& v) {
    if constexpr (N == 0) {
      return v;
    } else {
      return Bytes::forEach([&](int i) { return vshrq_n_u8(v.part[i], N); });
    }
  }
  static Bytes both(const Bytes& a, const Bytes& b) {
    return Bytes::forEach([&](int i) { return vandq_u8(a.part[i], b.part[i]); });
  }
  static Bytes either(const Bytes& a, const Bytes& b) {
    return Bytes::forEach([&](int i) { return vorrq_u8(a.part[i], b.part[i]); });
  }
  static Bytes select(const Bytes& mask, const Bytes& a, const Bytes& b) {
    return Bytes::forEach([&](int i) { return vbslq_u8(mask.part[i], a.part[i], b.part[i]); });
  }
  static Bytes repeat16(const int8_t* table) {
    return Bytes::forEach([=](int) { return vreinterpretq_u8_s8(vld1q_s8(table)); });
  }
  static Bytes lookup(const Bytes& table, const Bytes& indices) {
    return Bytes::forEach([&](int i) { return vqtbl1q_u8(table.part[0], indices.part[i]); });
  }
  static Bytes broadcast4(const int8_t* codes) {
    uint32_t four;
    std::memcpy(&four, codes, sizeof four);
    return Bytes::forEach([=](int) { return vreinterpretq_u8_u32(vdupq_n_u32(four)); });
  }
  static Neon::Float clampFloat(const Neon::Float& value, const Neon::Float& low, const Neon::Float& high) {
    return Neon::forEach<Neon::Float>([&](int i) {
      const float32x4_t raised = vbslq_f32(vcgtq_f32(value.part[i], low.part[i]), value.part[i], low.part[i]);
      return vbslq_f32(vcltq_f32(raised, high.part[i]), raised, high.part[i]);
    });
  }
  static Neon::Float halves(const uint16_t* p) {
    return Neon::forEach<Neon::Float>([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
  }

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

    Neon::Int total(int step) const {
      return Neon::forEach<Neon::Int>([&](int i) {
        int32x4_t sum = even.part(i);
        if constexpr (Fourfold) sum = vsraq_n_s32(sum, odd.part(i), 2);
        return vmulq_n_s32(sum, step);
      });
    }
  };
};

}  // namespace
}  // namespace lowbit
