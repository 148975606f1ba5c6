#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/op.h"

namespace ds::kernels {

void cross_entropy(const Context& context, TensorView logits, std::span<const int32_t> targets, double scale,
                   TensorView dlogits, std::span<double> losses) {
  const Op op(context, logits, dlogits);
  const int64_t n = logits.rows, V = logits.cols;
  DS_CHECK(is_f32(logits, n, V) && (!dlogits || is_f32(dlogits, n, V)));
  DS_CHECK(static_cast<int64_t>(targets.size()) == n && static_cast<int64_t>(losses.size()) == n);
  for (const int32_t target : targets) DS_CHECK(target >= 0 && target < V);
  if (op.dry()) return;
  op.parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* z = f32(logits, i);
      const float top = *std::max_element(z, z + V);
      double sum = 0;
      for (int64_t v = 0; v < V; ++v) sum += std::exp(z[v] - top);
      losses[i] = std::log(sum) + top - z[targets[i]];
      if (!dlogits) continue;
      float* d = f32(dlogits, i);
      const auto factor = static_cast<float>(scale / sum);
      for (int64_t v = 0; v < V; ++v) d[v] += factor * std::exp(z[v] - top);
      d[targets[i]] -= static_cast<float>(scale);
    }
  });
}

}  // namespace ds::kernels
