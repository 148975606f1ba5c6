// Rows into a sequence's cache and out of it. BF16 streams are rounded to nearest even.
#pragma once
#include <span>

#include "kernels/context.h"
#include "kernels/kv_rows.h"

namespace ds::kernels {

// Rows x[first_row, + n_rows) become rows `position`... of a stream.
struct KvAppendJob {
  int64_t first_row = 0, n_rows = 0;
  int64_t position = 0;
  KvRows rows;
};
// x: [T, width] f32. A ring must hold all rows of one call.
void kv_append(const Context& context, TensorView x, std::span<const KvAppendJob> jobs);

// y[i] = row first_row + i of the stream. y: [n, width] f32
void kv_read(const Context& context, const KvRows& rows, int64_t first_row, TensorView y);

}  // namespace ds::kernels
