// Work on a tensor row by row, in chunks that threads take; rows of tensors that broadcast.
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

// The shape of two tensors of an op that broadcasts them as NumPy does.
inline Shape broadcastShape(const std::string& label, const Shape& a, const Shape& b) {
  Shape out;
  out.rank = std::max(a.rank, b.rank);
  for (int i = 1; i <= out.rank; ++i) {
    const int32_t da = i <= a.rank ? a.dims[a.rank - i] : 1;
    const int32_t db = i <= b.rank ? b.dims[b.rank - i] : 1;
    if (da != db && da != 1 && db != 1) {
      fail(LOWBIT_INVALID_SHAPE, "%s: shapes %s and %s do not broadcast.", label.c_str(), a.toString().c_str(),
           b.toString().c_str());
    }
    out.dims[out.rank - i] = std::max(da, db);
  }
  return out;
}

// The row of an input that lines up with row `row` of the output.
inline int64_t broadcastRow(const Shape& input, const Shape& out, int64_t row) {
  int64_t index = 0;
  int64_t stride = 1;
  for (int i = 2; i <= out.rank; ++i) {
    const int32_t extent = out.dims[out.rank - i];
    const int32_t own = i <= input.rank ? input.dims[input.rank - i] : 1;
    if (own != 1) index += row % extent * stride;
    row /= extent;
    stride *= own;
  }
  return index;
}

// From row `row` of the output on: for how many rows `step` rows of an input, one or none, go with one of the output's.
struct RowRun {
  int64_t rows;
  int64_t step;
};

inline RowRun rowRun(const Shape& input, const Shape& out, int64_t row) {
  RowRun run{1, 1};
  bool known = false;
  for (int i = 2; i <= out.rank; ++i) {
    const int64_t extent = out.dims[out.rank - i];
    if (extent == 1) continue;
    const int64_t step = i <= input.rank && input.dims[input.rank - i] != 1 ? 1 : 0;
    if (known && step != run.step) break;
    known = true;
    run = {run.rows * extent, step};
  }
  return {run.rows - row % run.rows, run.step};
}

}  // namespace lowbit
