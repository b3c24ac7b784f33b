// What the probes of the Arm variants share: all but the product. In an unnamed namespace, see vector.h.
#pragma once
#include <arm_neon.h>

#include "../vector-probe.h"

namespace lowbit {
namespace {

struct ArmProbe {
  using Vector = int32x4_t;
  static constexpr int bytes = 16;
  static constexpr int rows = 4;
  static constexpr int columns = 4;
  static Vector zero() { return vdupq_n_s32(0); }
  static Vector load(const uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
  static void store(uint8_t* p, Vector v) { vst1q_u8(p, vreinterpretq_u8_s32(v)); }
  static void stream(uint8_t* p, Vector v) { store(p, v); }
  static Vector add(Vector a, Vector b) { return vaddq_s32(a, b); }
  static int32_t sum(Vector v) { return vaddvq_s32(v); }
};

}  // namespace
}  // namespace lowbit
