// Normalisations over rows. y may be x. D = 0 or T = 0 is no work.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

// y[t, i] = x[t, i] / sqrt(mean_i(x[t, i]^2) + eps) * weight[i];  x, y: [T, D] f32, weight: [D] f32. Sums in
// float32.
void rms_norm(const Context& context, TensorView x, const float* weight, float eps, TensorView y);

// y[t, i] = (x[t, i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]. Sums in double.
void layer_norm(const Context& context, TensorView x, const float* weight, const float* bias, float eps,
                TensorView y);

}  // namespace ds::kernels
