#include "../vector-rotation.h"
#include "vectors.h"

namespace lowbit {

const LowBitKernels avx512vnniLowBit = {VectorRotation<avx512vnni::Avx512>::rotate};

}  // namespace lowbit
