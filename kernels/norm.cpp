#include "kernels/norm.h"

#include <cmath>
#include <cstring>

#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {
namespace {

// 1 / sqrt(mean(x^2) + eps)
float inverse_rms(const float* x, int64_t D, float eps) {
  float lanes[8] = {};  // independent sums: the compiler may use vectors without reordering anything
  int64_t i = 0;
  for (; i + 8 <= D; i += 8)
    for (int l = 0; l < 8; ++l) lanes[l] += x[i + l] * x[i + l];
  for (; i < D; ++i) lanes[0] += x[i] * x[i];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return 1.0f / std::sqrt(sum / static_cast<float>(D) + eps);
}

}  // namespace

void rms_norm(const Context& context, TensorView x, const float* weight, float eps, TensorView y) {
  const Op op(context, x, y);
  const int64_t D = x.cols;
  DS_CHECK(is_f32(x, x.rows, D) && is_f32(y, x.rows, D));
  if (Tape* tape = context.tape) {
    tape->push([tape, kept = tape->keep(context, x), x, weight, eps, y](const Context& c) {
      rms_norm_backward(c, kept, weight, eps, tape->gradient(c, y), tape->gradient(c, x),
                        tape->trained(weight));
    });
  }
  if (op.dry()) return;
  op.parallel_for(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float* in = f32(x, t);
      float* out = f32(y, t);
      const float r = inverse_rms(in, D, eps);
      for (int64_t i = 0; i < D; ++i) out[i] = in[i] * r * weight[i];
    }
  });
}

void rms_norm_backward(const Context& context, TensorView x, const float* weight, float eps, TensorView dy,
                       TensorView dx, float* dweight) {
  const Op op(context, x, dy, dx);
  const int64_t T = x.rows, D = x.cols;
  DS_CHECK(is_f32(x, T, D) && is_f32(dy, T, D) && is_f32(dx, T, D));
  float* r = op.scratch(T);
  float* row_scratch = op.scratch(D * context.n_threads());
  if (op.dry()) return;
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) r[t] = inverse_rms(f32(x, t), D, eps);
  });
  if (dweight) {
    op.parallel_for(D, 64, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = 0; t < T; ++t)
        for (int64_t i = begin; i < end; ++i) dweight[i] += f32(dy, t)[i] * f32(x, t)[i] * r[t];
    });
  }
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int thread_idx) {
    float* g = row_scratch + thread_idx * D;
    for (int64_t t = begin; t < end; ++t) {
      const float* in = f32(x, t);
      for (int64_t i = 0; i < D; ++i) g[i] = f32(dy, t)[i] * weight[i];
      std::memset(f32(dy, t), 0, D * sizeof(float));
      float lanes[8] = {};
      int64_t i = 0;
      for (; i + 8 <= D; i += 8)
        for (int l = 0; l < 8; ++l) lanes[l] += g[i + l] * in[i + l];
      for (; i < D; ++i) lanes[0] += g[i] * in[i];
      float sum = 0;
      for (const float lane : lanes) sum += lane;
      const float back = r[t] * r[t] * r[t] / static_cast<float>(D) * sum;
      float* out = f32(dx, t);
      for (i = 0; i < D; ++i) out[i] += r[t] * g[i] - back * in[i];
    }
  });
}

void layer_norm(const Context& context, TensorView x, const float* weight, const float* bias, float eps,
                TensorView y) {
  const Op op(context, x, y);
  DS_CHECK(!context.tape);
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
