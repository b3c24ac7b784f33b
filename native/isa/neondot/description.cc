#include "../instruction-set.h"
#include "../arm/features.h"

namespace lowbit {
namespace neondot {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"neondot", "neon", 20, hasDotProduct, setKernels};

}  // namespace neondot
}  // namespace lowbit
