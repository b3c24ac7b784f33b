#include "../instruction-set.h"

namespace lowbit {
namespace neon {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"neon", "scalar", 10, [] { return true; }, setKernels};

}  // namespace neon
}  // namespace lowbit
