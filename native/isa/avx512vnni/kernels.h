// Each file of the AVX-512 set puts its kernels into a table.
#pragma once
#include "../kernels.h"

namespace lowbit::avx512vnni {

void setGemm(Kernels& table);
void setDepthwise(Kernels& table);
void setLowBitProduct(Kernels& table);
void setRows(Kernels& table);

}  // namespace lowbit::avx512vnni
