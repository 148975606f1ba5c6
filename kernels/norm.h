// Normalisations over rows. y may be x. D = 0 or T = 0 is no work.
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

// y[t, i] = x[t, i] / sqrt(mean_i(x[t, i]^2) + eps) * weight[i];  x, y: [T, D] f32, weight: [D] f32. Sums in
// float32.
void rms_norm(const Context& context, TensorView x, const float* weight, float eps, TensorView y);

// With g = dy * weight and r = 1 / sqrt(mean(x^2) + eps):
//   dx[t, i] += r g[t, i] - r^3 / D x[t, i] sum_i(g x)        dweight[i] += sum_t dy[t, i] x[t, i] r
// dy is taken and may be dx; x is what rms_norm() read. dweight [D] or nullptr: not wanted.
void rms_norm_backward(const Context& context, TensorView x, const float* weight, float eps, TensorView dy,
                       TensorView dx, float* dweight);

// y[t, i] = (x[t, i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]. Sums in double.
void layer_norm(const Context& context, TensorView x, const float* weight, const float* bias, float eps,
                TensorView y);

}  // namespace ds::kernels
