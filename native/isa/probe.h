// What an instruction set can do at most, for benchmarks: products of int8 codes per second, and bytes read per second.
#pragma once
#include <cstddef>
#include <cstdint>

namespace lowbit {

struct Probe {
  // Multiplies and adds as the inner loop of a GEMM does at its best, all but everything in registers: `rounds` times
  // `macs` multiply-accumulates. `data`: kProbeBytes. Returns a sum, so that it is computed.
  int32_t (*multiply)(const uint8_t* data, uint64_t rounds);
  uint64_t macs;
  // Reads every byte once; `bytes` is a multiple of 256. Returns a sum of them.
  int32_t (*read)(const uint8_t* data, size_t bytes);
  // Writes every byte once, through the caches or past them. `data`: 64-aligned, `bytes` is a multiple of 256.
  void (*store)(uint8_t* data, size_t bytes);
  void (*stream)(uint8_t* data, size_t bytes);
};

// A round multiplies four blocks of operands; rounds take turns between two sets of them, as the products of operands
// that stay the same could be computed once for all.
constexpr size_t kProbeBlockBytes = 512;
constexpr size_t kRoundBlocks = 4;
constexpr size_t kProbeBytes = 2 * kRoundBlocks * kProbeBlockBytes;

}  // namespace lowbit
