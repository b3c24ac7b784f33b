// Filters of 2, 3 and 4 bits a weight.
#pragma once
#include "../isa/low-bit-matrix.h"
#include "../program/op-reader.h"

namespace lowbit {

// What a matrix is said to be, by a program or by a caller.
struct MatrixParts {
  const char* label;    // of messages
  lowbit_code code;     // of errors
  WeightFormat format;  // not int8
  int32_t rows;
  int32_t depth;
  int32_t group;
  float unit;
  const int8_t* levels;  // 16
};

// A matrix without content, whose numbers are checked.
LowBitMatrix shapedMatrix(const MatrixParts& parts);

// Gives it its codes and scales, which are as many as its shape tells, once these are checked.
void setContent(const MatrixParts& parts, const uint8_t* codes, const uint16_t* scales, LowBitMatrix* matrix);

// The matrix [rows][depth] of a low-bit filter, whose buffers and numbers are checked. It points into the weights of
// the program, which are there only while the program is compiled.
LowBitMatrix lowBitMatrix(OpReader& reader, const Filter& filter, int32_t rows, int32_t depth);

}  // namespace lowbit
