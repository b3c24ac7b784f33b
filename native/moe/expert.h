// An expert of a mixture-of-experts layer, computed from its bytes as they were read: nothing is copied or unpacked but
// a tile at a time.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../include/lowbit.h"
#include "../isa/kernels.h"

namespace lowbit {

// The linear layers of an expert have a bias or none (Shazeer 2020, "GLU Variants Improve Transformer").
//
// out[outRows[i]] = weights[i] * expert(x[rows[i]]) for i < count; x and out are float32 [.., width].
// The bytes hold the matrices up, gate where there is one, and down; src/moe/store/expert-bytes.ts has the layout.
// Throws Error where they do not fit the shape.
void runExpert(const Kernels& kernels, const lowbit_expert_shape& shape, const uint8_t* bytes, size_t size,
               const float* x, const int32_t* rows, const float* weights, int32_t count, const int32_t* outRows,
               float* out);

}  // namespace lowbit
