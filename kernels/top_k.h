// The columns of the k largest values of each row, ascending by column; ties go to the lower column.
// x: [T, n] f32 without NaN, y: [T, k] i32, of which min(k, n) are set.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

void top_k(const Context& context, TensorView x, TensorView y);

}  // namespace ds::kernels
