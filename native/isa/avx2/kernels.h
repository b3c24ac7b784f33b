// Each file of the AVX2 set puts its kernels into a table.
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
