#include "kernels/combine_experts.h"

#include <cstring>

#include "kernels/op.h"

namespace ds::kernels {

void combine_experts(const Context& context, TensorView sorted, TensorView slots, TensorView weights,
                     bool add, TensorView y) {
  const Op op(context, sorted, slots, weights, y);
  const int64_t T = y.rows, D = y.cols, K = slots.cols;
  DS_CHECK(is_f32(sorted, T * K, D) && is_i32(slots, T, K) && is_f32(weights, T, K) && is_f32(y, T, D));
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

}  // namespace ds::kernels
