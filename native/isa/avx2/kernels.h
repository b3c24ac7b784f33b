// What each file of the AVX2 variant adds to a table.
#pragma once
#include "../kernels.h"

namespace lowbit {
namespace avx2 {

void setGemm(Kernels& table);
void setDepthwise(Kernels& table);
void setLowBitProduct(Kernels& table);
void setRows(Kernels& table);
void setInt16(Kernels& table);
void setProbe(Kernels& table);

}  // namespace avx2
}  // namespace lowbit
