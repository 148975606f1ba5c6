// x[t, i] += y[t, i]: what a sublayer adds to the residual stream. Both [T, D] f32.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

void residual_add(const Context& context, TensorView x, TensorView y);

}  // namespace ds::kernels
