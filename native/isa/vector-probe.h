// The loops of probe.h, written once over the vectors of an instruction set.
#pragma once
#include <utility>

#include "kernels.h"

namespace lowbit {

// Isa: Vector; bytes of a vector; macs of a product; rows and columns of the tile that fills its registers;
// zero(), load(bytes), store(bytes, vector), stream(bytes, vector), multiplyAdd(sum, a, b), add(a, b), sum(vector).
template <class Isa>
struct ProbeLoops {
  using Vector = typename Isa::Vector;
  static_assert((Isa::rows + Isa::columns) * Isa::bytes <= kProbeBlockBytes, "a block holds the operands of a tile");

  static constexpr size_t tile = Isa::rows * Isa::columns;

  // Written out over the accumulators, so that compilers keep every one in a register.
  template <size_t... I>
  static inline void addProducts(Vector (&sums)[tile], const uint8_t* a, std::index_sequence<I...>) {
    const uint8_t* b = a + Isa::rows * Isa::bytes;
    ((sums[I] = Isa::multiplyAdd(sums[I], Isa::load(a + I % Isa::rows * Isa::bytes),
                                 Isa::load(b + I / Isa::rows * Isa::bytes))),
     ...);
  }

  template <size_t... I>
  static int32_t multiplyTile(const uint8_t* data, uint64_t rounds, std::index_sequence<I...> all) {
    Vector sums[tile] = {(static_cast<void>(I), Isa::zero())...};
    for (uint64_t round = 0; round < rounds; ++round) {
      const uint8_t* blocks = data + round % 2 * kRoundBlocks * kProbeBlockBytes;
      addProducts(sums, blocks, all);
      addProducts(sums, blocks + kProbeBlockBytes, all);
      addProducts(sums, blocks + 2 * kProbeBlockBytes, all);
      addProducts(sums, blocks + 3 * kProbeBlockBytes, all);
    }
    Vector total = Isa::zero();
    ((total = Isa::add(total, sums[I])), ...);
    return Isa::sum(total);
  }

  static int32_t multiply(const uint8_t* data, uint64_t rounds) {
    return multiplyTile(data, rounds, std::make_index_sequence<tile>());
  }

  static int32_t read(const uint8_t* data, size_t bytes) {
    Vector sums[4] = {Isa::zero(), Isa::zero(), Isa::zero(), Isa::zero()};
    for (size_t at = 0; at < bytes; at += 4 * Isa::bytes) {
      for (int i = 0; i < 4; ++i) sums[i] = Isa::add(sums[i], Isa::load(data + at + i * Isa::bytes));
    }
    return Isa::sum(Isa::add(Isa::add(sums[0], sums[1]), Isa::add(sums[2], sums[3])));
  }

  // Not zeros, of which compilers make a call of memset.
  static void store(uint8_t* data, size_t bytes) {
    const Vector v = Isa::load(data);
    for (size_t at = 0; at < bytes; at += Isa::bytes) Isa::store(data + at, v);
  }

  static void stream(uint8_t* data, size_t bytes) {
    const Vector v = Isa::load(data);
    for (size_t at = 0; at < bytes; at += Isa::bytes) Isa::stream(data + at, v);
  }

  static void setMultiply(Kernels& table) {
    table.probe.multiply = multiply;
    table.probe.macs = static_cast<uint64_t>(Isa::macs) * tile * kRoundBlocks;
  }

  static void set(Kernels& table) {
    setMultiply(table);
    table.probe.read = read;
    table.probe.store = store;
    table.probe.stream = stream;
  }
};

}  // namespace lowbit
