// Rows brought together. x and y must not overlap; both f32.
#pragma once
#include <span>

#include "kernels/context.h"

namespace ds::kernels {

// y[i] = x[rows[i]]. y: [rows.size(), D]
void gather_rows(const Context& context, TensorView x, std::span<const int32_t> rows, TensorView y);

// y[i] = x[i / n]: every row of x n times. x: [R, D], y: [R * n, D]
void repeat_rows(const Context& context, TensorView x, int64_t n, TensorView y);

}  // namespace ds::kernels
