// usmmla, as in the kernels.
#include "../arm/probe.h"

namespace lowbit {
namespace {

struct Neoni8mm : ArmProbe {
  static constexpr int macs = 32;
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) {
    return vusmmlaq_s32(sum, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b));
  }
};

}  // namespace

const Probe neoni8mmProbe = ProbeLoops<Neoni8mm>::probe;

}  // namespace lowbit
