// Filters of 2, 3 and 4 bits a weight.
#pragma once
#include "reader.h"

namespace lowbit {

// The matrix [rows][depth] of a low-bit filter, whose buffers and numbers are checked. It points into the weights of the
// program, which are there only while the program is compiled.
LowBitMatrix lowBitMatrix(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth);

}  // namespace lowbit
