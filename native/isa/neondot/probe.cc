// sdot, as in the kernels.
#include "../arm/probe.h"

namespace lowbit {
namespace neondot {
namespace {

struct Products : ArmProbe {
  static constexpr int macs = 16;
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
  }
};

}  // namespace

void setProbe(Kernels& table) { ProbeLoops<Products>::set(table); }

}  // namespace neondot
}  // namespace lowbit
