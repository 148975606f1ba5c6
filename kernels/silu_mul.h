// The gate of a SwiGLU: y[t, i] = gate[t, i] / (1 + exp(-gate[t, i])) * up[t, i]. All [T, F] f32; y may be
// gate or up.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

void silu_mul(const Context& context, TensorView gate, TensorView up, TensorView y);

// With s = sigmoid(gate): dgate += dy up s (1 + gate (1 - s)), dup += dy gate s. dy is taken and may be dgate
// or dup; gate and up are what silu_mul() read.
void silu_mul_backward(const Context& context, TensorView gate, TensorView up, TensorView dy,
                       TensorView dgate, TensorView dup);

}  // namespace ds::kernels
