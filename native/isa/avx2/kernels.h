// Each file of the AVX2 set puts its kernels into a table.
#pragma once
#include "../kernels.h"

namespace lowbit::avx2 {

void setGemm(Kernels& table);
void setDepthwise(Kernels& table);
void setLowBitProduct(Kernels& table);
void setRows(Kernels& table);

}  // namespace lowbit::avx2
