// What the factories of ops share (factories.h has them all).
#pragma once
#include "factories.h"

namespace lowbit {

// The same ops with an int16 input.
std::unique_ptr<Operator> makeInt16Conv2D(OpReader&, const Conv2DParams&, const Tensor& output);
std::unique_ptr<Operator> makeInt16Depthwise(OpReader&, const DepthwiseConv2DParams&, const Tensor& output);
std::unique_ptr<Operator> makeInt16Linear(OpReader&, const LinearParams&, const Tensor& output);

// Throws unless the tensor has the type.
void expectType(const OpReader&, const char* what, const Tensor&, TensorType);
// Throws unless the tensor is float32 or int8.
void expectFloatOrCodes(const OpReader&, const char* what, const Tensor&);
// Throws unless scale and zero point of both tensors are equal.
void expectSameQuantization(const OpReader&, const Tensor& input, const Tensor& output);
// Throws if there is an activation table. `taker`: what cannot have one.
void expectNoTable(const OpReader&, const Activation&, const char* taker);

}  // namespace lowbit
