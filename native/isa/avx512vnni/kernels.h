// The AVX-512 kernels of convolutions and products; see ../kernels.h.
#pragma once
#include "../kernels.h"

namespace lowbit {
namespace avx512vnni {

size_t packedGemmBytes(int outputs, int taps, int depth);
void packGemm(const int8_t* filter, int outputs, int taps, int depth, const ChannelConstants& constants, void* packed);
size_t gemmScratchBytes(int taps, int depth);
void gemm(const GemmArgs& args);

size_t packedLowBitBytes(const LowBitFormat& format, int outputs, int depth);
void packLowBit(const LowBitMatrix& matrix, const LowBitConstants& constants, void* packed);
size_t lowBitScratchBytes(const LowBitFormat& format, int depth);
void lowBitProduct(const LowBitArgs& args);

size_t packedDepthwiseBytes(int channels, int kernelH, int kernelW);
void packDepthwise(const int8_t* filter, int channels, int kernelH, int kernelW, const ChannelConstants& constants,
                   void* packed);
size_t depthwiseScratchBytes(int columnCount, int kernelH);
void depthwise(const DepthwiseArgs& args);

}  // namespace avx512vnni
}  // namespace lowbit
