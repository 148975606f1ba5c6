// The gate of a SwiGLU: y[t, i] = gate[t, i] / (1 + exp(-gate[t, i])) * up[t, i]. All [T, F] f32; y may be
// gate or up.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

void silu_mul(const Context& context, TensorView gate, TensorView up, TensorView y);

}  // namespace ds::kernels
