// One function a kernel family: draws a case and compares the kernels with the scalar ones. `name` begins the message
// of a difference.
#pragma once
#include <string>

#include "case.h"

namespace lowbit {
namespace compare {

void compareGemm(const Kernels& kernels, Random& random, const std::string& name);
void compareLowBitProduct(const Kernels& kernels, Random& random, const std::string& name);
void compareDepthwise(const Kernels& kernels, Random& random, const std::string& name);
void compareElementWise(const Kernels& kernels, Random& random, const std::string& name);
void comparePools(const Kernels& kernels, Random& random, const std::string& name);
void compareRows(const Kernels& kernels, Random& random, const std::string& name);
void compareRouting(const Kernels& kernels, Random& random, const std::string& name);
void compareInt16(const Kernels& kernels, Random& random, const std::string& name);
void compareDynamic(const Kernels& kernels, Random& random, const std::string& name);

}  // namespace compare
}  // namespace lowbit
