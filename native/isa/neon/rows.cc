#include "../arm/vector.h"
#include "../vector-rows.h"

namespace lowbit {
namespace {

using Common = VectorRows<Neon>;

}  // namespace

const RowKernels neonRows = {Common::rotate, scalarRows.decode, scalarRows.decodeCodes, Common::multiply};

}  // namespace lowbit
