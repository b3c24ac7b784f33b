// The factories of all ops: each reads its parameters, checks them and packs its weights.
#pragma once
#include <memory>

#include "operator.h"
#include "reader.h"

namespace lowbit {

std::unique_ptr<Operator> makeQuantize(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeDequantize(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeCast(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeConv2D(OpReader&, const Kernels&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeDepthwise(OpReader&, const Kernels&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeLinear(OpReader&, const Kernels&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeMaxPool(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeAvgPool(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeAdd(OpReader&, const Tensor& a, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeMul(OpReader&, const Tensor& a, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeSub(OpReader&, const Tensor& a, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeMaximum(OpReader&, const Tensor& a, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeMinimum(OpReader&, const Tensor& a, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeConcat(OpReader&, const std::vector<Tensor>& inputs, const Tensor& output);
std::unique_ptr<Operator> makeReshape(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeLookup(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeSoftmax(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makePad(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeSlice(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeResizeNearest(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeResizeBilinear(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeTranspose(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeSpaceToDepth(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeDepthToSpace(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makePrelu(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeTransposedConv2D(OpReader&, const Kernels&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeBatchMatMul(OpReader&, const Tensor& a, const Tensor& b, const Tensor& output);
std::unique_ptr<Operator> makeConstant(OpReader&, const Tensor& output);
std::unique_ptr<Operator> makeRotate(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeLinearFloat(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeGather(OpReader&, const Tensor& indices, const Tensor& output);
std::unique_ptr<Operator> makeQuantizeInt16(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeFloatAffine(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeFloatFunction(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeQuantizeDynamic(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeQuantizeGrid(OpReader&, const Tensor& input, const Tensor& output);
std::unique_ptr<Operator> makeFloatGate(OpReader&, const Tensor& input, const Tensor& output);

// The same ops with an int16 input.
std::unique_ptr<Operator> makeInt16Conv2D(OpReader&, const Tensor& output);
std::unique_ptr<Operator> makeInt16Depthwise(OpReader&, const Tensor& output);
std::unique_ptr<Operator> makeInt16Linear(OpReader&, const Tensor& output);

// Throws unless the tensor has the type.
void expectType(const OpReader&, const char* what, const Tensor&, TensorType);
// Throws unless the tensor is float32 or int8.
void expectFloatOrCodes(const OpReader&, const char* what, const Tensor&);
// Throws unless scale and zero point of both tensors are equal.
void expectSameQuantization(const OpReader&, const Tensor& input, const Tensor& output);

}  // namespace lowbit
