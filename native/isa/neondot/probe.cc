// sdot, as in the kernels.
#include "../arm/probe.h"

namespace lowbit {
namespace {

struct Neondot : ArmProbe {
  static constexpr int macs = 16;
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
  }
};

}  // namespace

const Probe neondotProbe = ProbeLoops<Neondot>::probe;

}  // namespace lowbit
