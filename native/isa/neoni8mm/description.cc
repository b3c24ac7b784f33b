#include "../instruction-set.h"
#include "../arm/features.h"

namespace lowbit {
namespace neoni8mm {

void setKernels(Kernels& table);

extern const InstructionSet description;
const InstructionSet description = {"neoni8mm", "neondot", 30, hasMatrixProduct, setKernels};

}  // namespace neoni8mm
}  // namespace lowbit
