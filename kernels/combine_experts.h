// The experts' outputs back to their tokens:
//   y[t] = (add ? y[t] : 0) + sum_k weights[t, k] * sorted[slots[t, k]], in the order of k
// weights: [T, K] f32, slots: [T, K] i32, sorted: [T * K, D] f32, y: [T, D] f32.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

void combine_experts(const Context& context, TensorView sorted, TensorView slots, TensorView weights,
                     bool add, TensorView y);

// dsorted[slots[t, k]] += weights[t, k] dy[t], dweights[t, k] += dy[t] . sorted[slots[t, k]]; dy is taken
// unless `add`, y's old value having counted for as much. sorted and weights are what combine_experts() read.
void combine_experts_backward(const Context& context, TensorView sorted, TensorView slots, TensorView weights,
                              bool add, TensorView dy, TensorView dsorted, TensorView dweights);

}  // namespace ds::kernels
