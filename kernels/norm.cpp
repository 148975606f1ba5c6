#include "kernels/norm.h"

#include <cmath>

namespace ds::kernels {

void rms_norm(const Exec& exec, const float* x, int64_t ldx, const float* weight, float eps, int64_t T,
              int64_t D, float* y, int64_t ldy) {
  exec.pool.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float* in = x + t * ldx;
      float* out = y + t * ldy;
      float lanes[8] = {};  // independent sums: the compiler may use vectors without reordering anything
      int64_t i = 0;
      for (; i + 8 <= D; i += 8)
        for (int l = 0; l < 8; ++l) lanes[l] += in[i + l] * in[i + l];
      for (; i < D; ++i) lanes[0] += in[i] * in[i];
      float sum = 0;
      for (const float lane : lanes) sum += lane;
      const float r = 1.0f / std::sqrt(sum / static_cast<float>(D) + eps);
      for (i = 0; i < D; ++i) out[i] = in[i] * r * weight[i];
    }
  });
}

void layer_norm(const float* x, int64_t ldx, const float* weight, const float* bias, float eps, int64_t T,
                int64_t D, float* y, int64_t ldy) {
  for (int64_t t = 0; t < T; ++t) {
    const float* in = x + t * ldx;
    float* out = y + t * ldy;
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < D; ++i) mean += in[i];
    mean /= static_cast<double>(D);
    for (int64_t i = 0; i < D; ++i) variance += (in[i] - mean) * (in[i] - mean);
    const auto r = static_cast<float>(1.0 / std::sqrt(variance / static_cast<double>(D) + eps));
    for (int64_t i = 0; i < D; ++i) out[i] = (in[i] - static_cast<float>(mean)) * r * weight[i] + bias[i];
  }
}

}  // namespace ds::kernels
