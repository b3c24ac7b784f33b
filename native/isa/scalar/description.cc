#include "../instruction-set.h"

namespace lowbit {
namespace scalar {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"scalar", nullptr, 0, [] { return true; }, setKernels};

}  // namespace scalar
}  // namespace lowbit
