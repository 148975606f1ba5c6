// Rows brought together. x and y must not overlap; both f32.
#pragma once
#include <span>

#include "kernels/context.h"

namespace ds::kernels {

// y[i] = x[rows[i]]. y: [rows.size(), D]
void gather_rows(const Context& context, TensorView x, std::span<const int32_t> rows, TensorView y);

// y[i] = x[i / n]: every row of x n times. x: [R, D], y: [R * n, D]
void repeat_rows(const Context& context, TensorView x, int64_t n, TensorView y);

// dx[rows[i]] += dy[i], in the order of i; dy is taken.
void gather_rows_backward(const Context& context, std::span<const int32_t> rows, TensorView dy,
                          TensorView dx);
// dx[i / n] += dy[i]; dy is taken.
void repeat_rows_backward(const Context& context, int64_t n, TensorView dy, TensorView dx);

}  // namespace ds::kernels
