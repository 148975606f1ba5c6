#include "kernels/combine_experts.h"

#include <cstring>

#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {

void combine_experts(const Context& context, TensorView sorted, TensorView slots, TensorView weights,
                     bool add, TensorView y) {
  const Op op(context, sorted, slots, weights, y);
  const int64_t T = y.rows, D = y.cols, K = slots.cols;
  DS_CHECK(is_f32(sorted, T * K, D) && is_i32(slots, T, K) && is_f32(weights, T, K) && is_f32(y, T, D));
  if (Tape* tape = context.tape) {
    const TensorView kept_sorted = tape->keep(context, sorted), kept_slots = tape->keep(context, slots),
                     kept_weights = tape->keep(context, weights);
    tape->push([=](const Context& c) {
      combine_experts_backward(c, kept_sorted, kept_slots, kept_weights, add, tape->gradient(c, y),
                               tape->gradient(c, sorted), tape->gradient(c, weights));
    });
  }
  if (op.dry()) return;
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* out = f32(y, t);
      if (!add) std::memset(out, 0, D * sizeof(float));
      for (int64_t k = 0; k < K; ++k) {
        const float* expert_out = f32(sorted, i32(slots, t)[k]);
        const float w = f32(weights, t)[k];
        for (int64_t i = 0; i < D; ++i) out[i] += w * expert_out[i];
      }
    }
  });
}

void combine_experts_backward(const Context& context, TensorView sorted, TensorView slots, TensorView weights,
                              bool add, TensorView dy, TensorView dsorted, TensorView dweights) {
  const Op op(context, sorted, slots, weights, dy, dsorted, dweights);
  const int64_t T = dy.rows, D = dy.cols, K = slots.cols;
  DS_CHECK(is_f32(sorted, T * K, D) && is_i32(slots, T, K) && is_f32(weights, T, K) && is_f32(dy, T, D) &&
           is_f32(dsorted, T * K, D) && is_f32(dweights, T, K));
  if (op.dry()) return;
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float* d = f32(dy, t);
      for (int64_t k = 0; k < K; ++k) {
        const int32_t slot = i32(slots, t)[k];
        const float* out = f32(sorted, slot);
        float* dout = f32(dsorted, slot);
        const float w = f32(weights, t)[k];
        float lanes[8] = {};
        for (int64_t i = 0; i < D; ++i) {
          dout[i] += w * d[i];
          lanes[i % 8] += d[i] * out[i];
        }
        float sum = 0;
        for (const float lane : lanes) sum += lane;
        f32(dweights, t)[k] += sum;
      }
      if (!add) std::memset(f32(dy, t), 0, D * sizeof(float));
    }
  });
}

}  // namespace ds::kernels
