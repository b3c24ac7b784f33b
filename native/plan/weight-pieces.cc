// WeightRegion where memory cannot be given back to a system, in WebAssembly: what a step asks for lies in
// blocks of its own, which the next step may have again.
#include "weight-region.h"

#include <algorithm>
#include <vector>

#include "../base/error.h"
#include "../base/packed-bytes.h"

namespace lowbit {

struct WeightRegion::State {
  struct Piece {
    size_t offset;
    PackedBytes bytes;
  };
  std::vector<Piece> pieces;  // of the step
};

WeightRegion::WeightRegion(size_t bytes, lowbit_read_weights read, void* context)
    : bytes_(bytes), read_(read), context_(context), state_(new State) {}

WeightRegion::~WeightRegion() = default;

void WeightRegion::read(size_t offset, size_t bytes, uint8_t* into) {
  if (bytes == 0 || read_(context_, offset, bytes, into) == 0) return;
  fail(LOWBIT_INVALID_ARGUMENT, "%zu bytes of weights at %zu could not be read.", bytes, offset);
}

const uint8_t* WeightRegion::load(size_t offset, size_t bytes) {
  std::vector<State::Piece>& pieces = state_->pieces;
  for (const State::Piece& piece : pieces) {
    if (piece.offset == offset && piece.bytes.bytes() == bytes) return piece.bytes.data();
  }
  pieces.push_back({offset, PackedBytes(bytes)});
  PackedBytes& place = pieces.back().bytes;
  read(offset, bytes, place.data());
  return place.data();
}

void WeightRegion::endStep() { state_->pieces.clear(); }

}  // namespace lowbit
