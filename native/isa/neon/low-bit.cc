#include "../vector-rotation.h"
#include "../arm/vector.h"

namespace lowbit {

const LowBitKernels neonLowBit = {VectorRotation<Neon>::rotate};

}  // namespace lowbit
