// A whole low-bit matrix as numbers or codes, on all threads.
#pragma once
#include "../include/lowbit.h"
#include "../isa/kernels.h"

namespace lowbit {

// Checks a matrix and writes it to `out`; see lowbit_dequantize.
void dequantizeMatrix(const Kernels& kernels, const lowbit_matrix& matrix, lowbit_type type, void* out,
                      size_t outBytes);

}  // namespace lowbit
