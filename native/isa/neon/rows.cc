#include "../arm/vector.h"
#include "../vector-rows.h"

namespace lowbit {
namespace neon {

void setRows(Kernels& table) { VectorRows<Neon>::set(table); }

}  // namespace neon
}  // namespace lowbit
