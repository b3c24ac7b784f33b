#include "../vector-rotation.h"
#include "vectors.h"

namespace lowbit {

const LowBitKernels avx2LowBit = {VectorRotation<avx2::Avx2>::rotate};

}  // namespace lowbit
