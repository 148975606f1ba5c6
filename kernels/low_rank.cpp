#include "kernels/low_rank.h"

#include <cstring>

#include "kernels/products.h"

namespace ds::kernels {

void low_rank_inner(const Op& op, const WeightView& w, TensorView x, float* u) {
  const LowRank& low = *w.low_rank;
  const int64_t T = x.rows, in = w.cols, r = low.r;
  if (!op.dry()) std::memset(u, 0, T * r * sizeof(float));
  Product product;
  product.M = T, product.N = r, product.K = in;
  product.a = f32(x), product.a_row = x.ld;
  product.b = low.a, product.b_row = 1, product.b_col = in;
  product.c = u, product.ldc = r;
  run_products(op, {&product, 1});
  if (op.dry()) return;
  for (int64_t i = 0; i < T * r; ++i) u[i] *= low.scale;
}

void add_low_rank(const Op& op, const WeightView& w, TensorView x, TensorView y) {
  const LowRank& low = *w.low_rank;
  if (x.rows == 0) return;
  const Arena::Mark mark = op.context().arena.mark();
  float* u = op.scratch(x.rows * low.r);
  low_rank_inner(op, w, x, u);
  Product product;
  product.M = x.rows, product.N = w.rows, product.K = low.r;
  product.a = u, product.a_row = low.r;
  product.b = low_rank_b(w), product.b_row = 1, product.b_col = low.r;
  product.c = f32(y), product.ldc = y.ld;
  run_products(op, {&product, 1});
  op.context().arena.reset_to(mark);
}

}  // namespace ds::kernels
