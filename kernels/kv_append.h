// Rows into a sequence's cache and out of it, BF16 streams rounded to nearest even, and pages of it copied.
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
// dx += the gradients of the rows, which are taken; jobs name those: F32.
void kv_append_backward(const Context& context, std::span<const KvAppendJob> jobs, TensorView dx);

// y[i] = row first_row + i of the stream. y: [n, width] f32
void kv_read(const Context& context, const KvRows& rows, int64_t first_row, TensorView y);
// drows[first_row + i] += dy[i], F32; dy is taken.
void kv_read_backward(const Context& context, const KvRows& drows, int64_t first_row, TensorView dy);

// The n_bytes at `from` to `to`, both of the context's device: a page, whatever streams and row types it
// holds. They must not overlap.
void kv_copy_page(const Context& context, const void* from, void* to, int64_t n_bytes);

}  // namespace ds::kernels
