// The packed filter of a GEMM whose product is vpdpbusd, for vectors of `Lanes` int32 and panels of VectorsAt(outputs
// left) vectors. Its description is in the files of the GEMMs.
#pragma once
#include "avx2.h"

namespace lowbit {
namespace {

template <int Lanes, int (*VectorsAt)(int remaining)>
struct VnniPanels {
  static size_t bytes(int vectors, int taps, int depth) {
    return static_cast<size_t>(vectors) * Lanes * (8 + static_cast<size_t>(taps) * ceilDiv(depth, 4) * 4);
  }

  static size_t packedBytes(int outputs, int taps, int depth) {
    size_t total = 0;
    for (int n = 0, vectors; n < outputs; n += vectors * Lanes) {
      vectors = VectorsAt(outputs - n);
      total += bytes(vectors, taps, depth);
    }
    return total;
  }

  static void pack(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants,
                   void* packed) {
    uint8_t* panel = static_cast<uint8_t*>(packed);
    for (int n0 = 0, vectors; n0 < outputs; n0 += vectors * Lanes) {
      vectors = VectorsAt(outputs - n0);
      const int size = vectors * Lanes;
      int32_t* bias = reinterpret_cast<int32_t*>(panel);
      float* multiplier = reinterpret_cast<float*>(bias + size);
      int8_t* weights = reinterpret_cast<int8_t*>(multiplier + size);
      for (int i = 0; i < size; ++i) {
        const int n = n0 + outputOf(vectors, i / Lanes, i % Lanes);
        bias[i] = n < outputs ? constants.bias[n] : 0;
        multiplier[i] = n < outputs ? constants.multiplier[n] : 0;
      }
      for (int t = 0; t < taps; ++t) {
        for (int k0 = 0; k0 < depth; k0 += 4) {
          for (int i = 0; i < size; ++i) {
            const int n = n0 + outputOf(vectors, i / Lanes, i % Lanes);
            for (int k = k0; k < k0 + 4; ++k) {
              const bool inside = n < outputs && k < depth;
              *weights++ = inside ? filter[(static_cast<size_t>(n) * taps + t) * depth + k] : int8_t{0};
            }
          }
        }
      }
      panel += bytes(vectors, taps, depth);
    }
  }

  static size_t scratchBytes(int, int) { return 0; }
};

}  // namespace
}  // namespace lowbit
