// x[t, i] += y[t, i]: what a sublayer adds to the residual stream. Both [T, D] f32.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

void residual_add(const Context& context, TensorView x, TensorView y);
// dy += dx; dx stays, x's old value counted for as much.
void residual_add_backward(const Context& context, TensorView dx, TensorView dy);

}  // namespace ds::kernels
