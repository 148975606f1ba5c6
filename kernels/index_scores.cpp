#include "kernels/index_scores.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul_tasks.h"

namespace ds::kernels {

void index_scores(const Context& context, TensorView q, TensorView weights, float factor, const KvRows& keys,
                  TensorView scores) {
  const Op op(context, q, weights, scores);
  DS_CHECK(!context.tape);
  const int64_t H = weights.cols, Di = keys.width, n_keys = scores.cols;
  DS_CHECK(is_f32(q, 1, H * Di) && is_f32(weights, 1, H) && is_f32(scores, 1, n_keys));
  float* head_scores = op.scratch(H * n_keys);  // [H, n_keys]
  // The cached keys as matrices, one a page; the heads are the tokens that are multiplied with them.
  for (int64_t s = 0; s < n_keys;) {
    const int64_t n = std::min(n_keys - s, keys.page_rows - s % keys.page_rows);
    MatmulTask task[1];
    task[0].w.data = op.dry() ? nullptr : keys.row(s);
    task[0].w.dtype = keys.dtype;
    task[0].w.rows = n, task[0].w.cols = Di;
    task[0].x = f32(q), task[0].ldx = Di, task[0].T = H;
    task[0].y = head_scores + s, task[0].ldy = n_keys;
    few_or_many(H) == TokenRun::Kind::kFew ? run_few(op, task) : run_many(op, task);
    s += n;
  }
  if (op.dry()) return;
  op.parallel_for(n_keys, 4096, [&](int64_t begin, int64_t end, int) {
    float* out = f32(scores);
    std::fill(out + begin, out + end, 0.0f);
    for (int64_t h = 0; h < H; ++h) {
      const float head_weight = f32(weights)[h] * factor;
      for (int64_t s = begin; s < end; ++s)
        out[s] += head_weight * std::max(head_scores[h * n_keys + s], 0.0f);
    }
    for (int64_t s = begin; s < end; ++s)
      if (std::isnan(out[s])) out[s] = -INFINITY;
  });
}

}  // namespace ds::kernels
