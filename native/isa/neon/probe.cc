// smull, smlal2 and sadalp, as in the kernels.
#include "../arm/probe.h"

namespace lowbit {
namespace neon {
namespace {

struct Products : ArmProbe {
  static constexpr int macs = 16;
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) {
    const int8x16_t x = vreinterpretq_s8_s32(a), y = vreinterpretq_s8_s32(b);
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(y)), x, y));
  }
};

}  // namespace

void setProbe(Kernels& table) { ProbeLoops<Products>::set(table); }

}  // namespace neon
}  // namespace lowbit
