// usmmla, as in the kernels.
#include "../arm/probe.h"

namespace lowbit {
namespace neoni8mm {
namespace {

struct Products : ArmProbe {
  static constexpr int macs = 32;
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) {
    return vusmmlaq_s32(sum, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b));
  }
};

}  // namespace

void setProbe(Kernels& table) { ProbeLoops<Products>::set(table); }

}  // namespace neoni8mm
}  // namespace lowbit
