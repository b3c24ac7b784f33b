// What each file of the scalar variant adds to a table.
#pragma once
#include "../kernels.h"

namespace lowbit {
namespace scalar {

void setLowBitProduct(Kernels& table);
void setRows(Kernels& table);
void setInt16(Kernels& table);
void setDynamic(Kernels& table);
void setProbe(Kernels& table);

}  // namespace scalar
}  // namespace lowbit
