// Work on a tensor row by row, in chunks that threads take.
#pragma once
#include <algorithm>

#include "operator.h"

namespace lowbit {

// Calls body(first row, rows, thread) for chunks of rows of about `elements` elements.
template <class Body>
void forRows(const RunContext& context, const Shape& shape, Body&& body, int64_t elements = 4096) {
  const int64_t rows = shape.rows();
  const int64_t step = std::max<int64_t>(1, elements / shape.channels());
  context.pool.parallelFor(static_cast<size_t>(ceilDiv(rows, step)), [&](size_t chunk, int thread) {
    const int64_t first = static_cast<int64_t>(chunk) * step;
    body(first, std::min(step, rows - first), thread);
  });
}

}  // namespace lowbit
