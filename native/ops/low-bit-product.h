#pragma once
#include <memory>

#include "operator.h"
#include "../program/op-reader.h"
#include "../program/tensor.h"

namespace lowbit {

// A 1x1 convolution of codes with a filter of 2, 3 or 4 bits a weight.
std::unique_ptr<Operator> makeLowBitProduct(OpReader& reader, const Window& window, int32_t inChannels,
                                            int32_t outChannels, const Filter& filter, const Activation& activation,
                                            const Tensor& input, const Tensor& output);

}  // namespace lowbit
