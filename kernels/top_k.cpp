#include "kernels/top_k.h"

#include <algorithm>
#include <numeric>

#include "kernels/op.h"

namespace ds::kernels {

void top_k(const Context& context, TensorView x, TensorView y) {
  const Op op(context, x, y);
  DS_CHECK(!context.tape);
  const int64_t T = x.rows, n = x.cols, k = std::min(y.cols, n);
  DS_CHECK(is_f32(x, T, n) && is_i32(y, T, y.cols));
  int32_t* scratch = reinterpret_cast<int32_t*>(op.scratch(n * op.context().n_threads()));
  if (op.dry()) return;
  op.parallel_for(T, 1, [&](int64_t begin, int64_t end, int thread_idx) {
    int32_t* order = scratch + thread_idx * n;
    for (int64_t t = begin; t < end; ++t) {
      const float* value = f32(x, t);
      std::iota(order, order + n, 0);
      std::nth_element(order, order + k, order + n, [value](int32_t a, int32_t b) {
        return value[a] != value[b] ? value[a] > value[b] : a < b;
      });
      std::copy(order, order + k, i32(y, t));
      std::sort(i32(y, t), i32(y, t) + k);
    }
  });
}

}  // namespace ds::kernels
