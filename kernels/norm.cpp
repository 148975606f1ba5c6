#include "kernels/norm.h"

#include <cmath>

#include "kernels/op.h"

namespace ds::kernels {

void rms_norm(const Context& context, TensorView x, const float* weight, float eps, TensorView y) {
  const Op op(context, x, y);
  const int64_t D = x.cols;
  DS_CHECK(is_f32(x, x.rows, D) && is_f32(y, x.rows, D));
  if (op.dry()) return;
  op.parallel_for(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float* in = f32(x, t);
      float* out = f32(y, t);
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

void layer_norm(const Context& context, TensorView x, const float* weight, const float* bias, float eps,
                TensorView y) {
  const Op op(context, x, y);
  const int64_t D = x.cols;
  DS_CHECK(is_f32(x, x.rows, D) && is_f32(y, x.rows, D));
  if (op.dry()) return;
  op.parallel_for(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float* in = f32(x, t);
      float* out = f32(y, t);
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < D; ++i) mean += in[i];
      mean /= static_cast<double>(D);
      for (int64_t i = 0; i < D; ++i) variance += (in[i] - mean) * (in[i] - mean);
      const auto r = static_cast<float>(1.0 / std::sqrt(variance / static_cast<double>(D) + eps));
      for (int64_t i = 0; i < D; ++i) out[i] = (in[i] - static_cast<float>(mean)) * r * weight[i] + bias[i];
    }
  });
}

}  // namespace ds::kernels
