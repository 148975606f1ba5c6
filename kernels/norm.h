// Normalisations over rows. Sums in float32. y may be x. D = 0 or T = 0 is no work.
#pragma once
#include <cstdint>

#include "kernels/exec.h"

namespace ds::kernels {

// y[t, i] = x[t, i] / sqrt(mean_i(x[t, i]^2) + eps) * weight[i];  x: [T, D] rows ldx apart, weight: [D] f32
void rms_norm(const Exec& exec, const float* x, int64_t ldx, const float* weight, float eps, int64_t T,
              int64_t D, float* y, int64_t ldy);

// y[t, i] = (x[t, i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]
void layer_norm(const float* x, int64_t ldx, const float* weight, const float* bias, float eps, int64_t T,
                int64_t D, float* y, int64_t ldy);

}  // namespace ds::kernels
