// What the Arm variants have in common apart from products. Everything is in an unnamed namespace: each variant
// compiles its own copy with its own flags.
#pragma once
#include <arm_neon.h>

#include <algorithm>
#include <cmath>

#include "../../base/ceil-div.h"
#include "../vector-kernels.h"

namespace lowbit {
namespace {

// 16 elements in four registers, as many as one register holds codes.
struct Neon {
  struct Int {
    int32x4_t part[4];
  };
  struct Float {
    float32x4_t part[4];
  };
  static constexpr size_t lanes = 16;

  template <class To, class Operation>
  static To forEach(Operation operation) {
    To result;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) result.part[i] = operation(i);
    return result;
  }

  static Int set(int32_t v) {
    return forEach<Int>([=](int) { return vdupq_n_s32(v); });
  }
  static Float set(float v) {
    return forEach<Float>([=](int) { return vdupq_n_f32(v); });
  }
  static Int load(const int32_t* p) {
    return forEach<Int>([=](int i) { return vld1q_s32(p + 4 * i); });
  }
  static Float load(const float* p) {
    return forEach<Float>([=](int i) { return vld1q_f32(p + 4 * i); });
  }
  static void store(int32_t* p, const Int& v) {
    for (int i = 0; i < 4; ++i) vst1q_s32(p + 4 * i, v.part[i]);
  }
  static void store(float* p, const Float& v) {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.part[i]);
  }
  static Int loadCodes(const uint8_t* p) {
    const uint8x16_t codes = vld1q_u8(p);
    const uint16x8_t halves[2] = {vmovl_u8(vget_low_u8(codes)), vmovl_high_u8(codes)};
    return forEach<Int>([&](int i) {
      const uint16x8_t half = halves[i / 2];
      return vreinterpretq_s32_u32(i % 2 ? vmovl_high_u16(half) : vmovl_u16(vget_low_u16(half)));
    });
  }
  static void storeCodes(uint8_t* p, const Int& v) {
    const int16x8_t low = vmovn_high_s32(vmovn_s32(v.part[0]), v.part[1]);
    const int16x8_t high = vmovn_high_s32(vmovn_s32(v.part[2]), v.part[3]);
    vst1q_u8(p, vreinterpretq_u8_s8(vmovn_high_s16(vmovn_s16(low), high)));
  }
  static Int add(const Int& a, const Int& b) {
    return forEach<Int>([&](int i) { return vaddq_s32(a.part[i], b.part[i]); });
  }
  static Int sub(const Int& a, const Int& b) {
    return forEach<Int>([&](int i) { return vsubq_s32(a.part[i], b.part[i]); });
  }
  static Float add(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vaddq_f32(a.part[i], b.part[i]); });
  }
  static Float mul(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vmulq_f32(a.part[i], b.part[i]); });
  }
  static Float div(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vdivq_f32(a.part[i], b.part[i]); });
  }
  // fmaxnm gives the other operand for a quiet NaN, and every NaN that comes out of arithmetic is one. Of two zeros it
  // does not care for the first; both become the same integer.
  static Float max(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vmaxnmq_f32(a.part[i], b.part[i]); });
  }
  static Float min(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vminnmq_f32(a.part[i], b.part[i]); });
  }
  static Float toFloat(const Int& a) {
    return forEach<Float>([&](int i) { return vcvtq_f32_s32(a.part[i]); });
  }
  static Int toInt(const Float& a) {
    return forEach<Int>([&](int i) { return vcvtnq_s32_f32(a.part[i]); });
  }
  static Float sub(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vsubq_f32(a.part[i], b.part[i]); });
  }
  static Float flip(const Float& a, const Int& signs) {
    return forEach<Float>(
        [&](int i) { return vreinterpretq_f32_s32(veorq_s32(vreinterpretq_s32_f32(a.part[i]), signs.part[i])); });
  }
  template <int D>
  static Float partner(const Float& a) {
    return forEach<Float>([&](int i) {
      if constexpr (D >= 4) return a.part[i ^ (D / 4)];
      const float32x4_t part = a.part[i];
      return D == 1 ? vrev64q_f32(part) : vextq_f32(part, part, 2);
    });
  }
  static void storeFirst(float* p, const Float& v, int count) {
    for (int i = 0; i < 4; ++i, count -= 4) {
      if (count >= 4) {
        vst1q_f32(p + 4 * i, v.part[i]);
        continue;
      }
      float four[4];
      vst1q_f32(four, v.part[i]);
      for (int k = 0; k < count; ++k) p[4 * i + k] = four[k];
    }
  }
  static Float loadFirst(const float* p, int count, float rest) {
    float all[lanes];
    std::fill(std::copy(p, p + count, all), all + lanes, rest);
    return load(all);
  }
  static void hold(Float*) {}
  // Compares and selects: fmaxnm would make a NaN of a signalling one.
  static Float clean(const Float& a) {
    return forEach<Float>([&](int i) {
      const float32x4_t least = vdupq_n_f32(-INFINITY);
      return vbslq_f32(vcgtq_f32(a.part[i], least), a.part[i], least);
    });
  }
  static Float lesser(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vbslq_f32(vcltq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
  }
  static Float greater(const Float& a, const Float& b) {
    return forEach<Float>([&](int i) { return vbslq_f32(vcgtq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
  }
  static Int ifGreater(const Float& x, const Float& y, const Int& a, const Int& b) {
    return forEach<Int>([&](int i) { return vbslq_s32(vcgtq_f32(x.part[i], y.part[i]), a.part[i], b.part[i]); });
  }
  static void interleave(const Float& a, const Float& b, Float* x, Float* y) {
    for (int i = 0; i < 4; ++i) {
      Float* to = i < 2 ? x : y;
      to->part[2 * (i % 2)] = vzip1q_f32(a.part[i], b.part[i]);
      to->part[2 * (i % 2) + 1] = vzip2q_f32(a.part[i], b.part[i]);
    }
  }
  static void interleave(const Int& a, const Int& b, Int* x, Int* y) {
    for (int i = 0; i < 4; ++i) {
      Int* to = i < 2 ? x : y;
      to->part[2 * (i % 2)] = vzip1q_s32(a.part[i], b.part[i]);
      to->part[2 * (i % 2) + 1] = vzip2q_s32(a.part[i], b.part[i]);
    }
  }
  template <int Step>
  static void split(const Float& a, const Float& b, Float* x, Float* y) {
    for (int i = 0; i < 4; ++i) {
      const Float& half = i < 2 ? a : b;
      if constexpr (Step == 0) {
        x->part[i] = vzip1q_f32(a.part[i], b.part[i]);
        y->part[i] = vzip2q_f32(a.part[i], b.part[i]);
      } else if constexpr (Step == 1) {
        const float64x2_t c = vreinterpretq_f64_f32(a.part[i]), d = vreinterpretq_f64_f32(b.part[i]);
        x->part[i] = vreinterpretq_f32_f64(vzip1q_f64(c, d));
        y->part[i] = vreinterpretq_f32_f64(vzip2q_f64(c, d));
      } else {
        x->part[i] = half.part[2 * (i % 2)];
        y->part[i] = half.part[2 * (i % 2) + 1];
      }
    }
  }
  static uint32_t equalBits(const Float& a, const Float& b) {
    return bitsOf([&](int i) { return vceqq_f32(a.part[i], b.part[i]); });
  }
  static uint32_t atLeastBits(const Float& a, const Float& b) {
    return bitsOf([&](int i) { return vcgeq_f32(a.part[i], b.part[i]); });
  }
  static Float below(const Float& a, const Float& limit) {
    return forEach<Float>(
        [&](int i) { return vbslq_f32(vcltq_f32(a.part[i], limit.part[i]), a.part[i], vdupq_n_f32(-INFINITY)); });
  }
  static Float powerOfTwo(const Int& n) {
    return forEach<Float>(
        [&](int i) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n.part[i], vdupq_n_s32(127)), 23)); });
  }
  static Float unlessBelow(const Float& x, const Float& limit, const Float& v) {
    return forEach<Float>(
        [&](int i) { return vbslq_f32(vcgeq_f32(x.part[i], limit.part[i]), v.part[i], vdupq_n_f32(0)); });
  }
  static float greatest(const Float& a) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.part[0], a.part[1]), vmaxq_f32(a.part[2], a.part[3])));
  }
  static float least(const Float& a) {
    return vminvq_f32(vminq_f32(vminq_f32(a.part[0], a.part[1]), vminq_f32(a.part[2], a.part[3])));
  }

 private:
  template <class Compare>
  static uint32_t bitsOf(Compare compare) {
    static constexpr uint32_t kBits[] = {1, 2, 4, 8};
    uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) bits |= vaddvq_u32(vandq_u32(compare(i), vld1q_u32(kBits))) << (4 * i);
    return bits;
  }
};

// A table of 256 bytes in 16 registers. An index past its 64 bytes makes tbl give 0, and tbx leave what there was.
class Table {
 public:
  explicit Table(const uint8_t* entries) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) quarters_[i] = vld1q_u8_x4(entries + 64 * i);
  }

  uint8x16_t operator()(uint8x16_t codes) const {
    uint8x16_t out = vqtbl4q_u8(quarters_[0], codes);
#pragma GCC unroll 3
    for (int i = 1; i < 4; ++i) {
      out = vqtbx4q_u8(out, quarters_[i], vsubq_u8(codes, vdupq_n_u8(static_cast<uint8_t>(64 * i))));
    }
    return out;
  }

 private:
  uint8x16x4_t quarters_[4];
};

inline void storeBytes(uint8_t* out, uint8x16_t bytes, int count) {
  if (count >= 16) {
    vst1q_u8(out, bytes);
    return;
  }
  uint8_t buffer[16];
  vst1q_u8(buffer, bytes);
  std::memcpy(out, buffer, count);
}

inline void storeBytes(uint8_t* out, uint8x8_t bytes, int count) {
  if (count >= 8) {
    vst1_u8(out, bytes);
    return;
  }
  uint8_t buffer[8];
  vst1_u8(buffer, bytes);
  std::memcpy(out, buffer, count);
}

// The store of OutputStage, from accumulators that the bias is part of.
class Store {
 public:
  explicit Store(const OutputStage& stage)
      : low_(vdupq_n_f32(stage.low)),
        high_(vdupq_n_f32(stage.high)),
        zeroPoint_(vdupq_n_s16(static_cast<int16_t>(stage.zeroPoint))),
        codeLow_(vdupq_n_u8(stage.codeLow())),
        codeHigh_(vdupq_n_u8(stage.codeHigh())),
        table_(stage.table) {}

  // A float output keeps the sign of zero, so the clamp compares and selects as the scalar one does.
  float32x4_t value(int32x4_t accumulator, float32x4_t multiplier) const {
    const float32x4_t value = vmulq_f32(vcvtq_f32_s32(accumulator), multiplier);
    const float32x4_t raised = vbslq_f32(vcgtq_f32(value, low_), value, low_);
    return vbslq_f32(vcltq_f32(raised, high_), raised, high_);
  }

  // The conversion saturates, so the clamp can always wait until the values are integers.
  int32x4_t round(int32x4_t accumulator, float32x4_t multiplier) const {
    return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(accumulator), multiplier));
  }

  // The codes of 16 rounded values.
  uint8x16_t codes(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) const {
    const int16x8_t ab = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zeroPoint_);
    const int16x8_t cd = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c), d), zeroPoint_);
    const uint8x16_t codes = vqmovun_high_s16(vqmovun_s16(ab), cd);
    const uint8x16_t clamped = vminq_u8(vmaxq_u8(codes, codeLow_), codeHigh_);
    return table_ ? Table(table_)(clamped) : clamped;
  }

 private:
  float32x4_t low_, high_;
  int16x8_t zeroPoint_;
  uint8x16_t codeLow_, codeHigh_;
  const uint8_t* table_;
};

}  // namespace
}  // namespace lowbit
