// The definition of the products with low-bit matrices, which serves instruction sets without loops of their own too.
#pragma once
#include "../kernels.h"

namespace lowbit {
namespace scalar {

size_t packedLowBitBytes(const LowBitFormat& format, int outputs, int depth);
void packLowBit(const LowBitMatrix& matrix, const LowBitConstants& constants, void* packed);
size_t lowBitScratchBytes(const LowBitFormat& format, int depth);
void lowBitProduct(const LowBitArgs& args);

}  // namespace scalar
}  // namespace lowbit
