// What an adapter adds to a product: y[t, o] += scale * sum_j B[o, j] * sum_i A[j, i] * x[t, i]. Private to
// kernels/: matmul.h's entries call it for weights that have one.
#pragma once
#include "kernels/op.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

// x: [T, in] f32, y: [T, out] f32; w.low_rank is set.
void add_low_rank(const Op& op, const WeightView& w, TensorView x, TensorView y);

// u [T, r] = scale * A x, which the products with B and its gradient both are made of.
void low_rank_inner(const Op& op, const WeightView& w, TensorView x, float* u);
// Rows of B that belong to the rows of w.
inline const float* low_rank_b(const WeightView& w) { return w.low_rank->b + w.first_row * w.low_rank->r; }

}  // namespace ds::kernels
