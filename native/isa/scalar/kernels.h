// Each file of the scalar set puts its kernels into a table.
#pragma once
#include "../kernels.h"

namespace lowbit::scalar {

void setLowBitProduct(Kernels& table);
void setRows(Kernels& table);
void setInt16(Kernels& table);
void setDynamic(Kernels& table);

}  // namespace lowbit::scalar
