#include "kernels/gather_rows.h"

#include <cstring>

#include "kernels/op.h"

namespace ds::kernels {

void gather_rows(const Context& context, TensorView x, std::span<const int32_t> rows, TensorView y) {
  const Op op(context, x, y);
  const auto n = static_cast<int64_t>(rows.size());
  DS_CHECK(is_f32(x, x.rows, y.cols) && is_f32(y, n, y.cols));
  for (const int32_t row : rows) DS_CHECK(row >= 0 && row < x.rows);
  if (op.dry()) return;
  op.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) std::memcpy(f32(y, i), f32(x, rows[i]), y.cols * sizeof(float));
  });
}

void repeat_rows(const Context& context, TensorView x, int64_t n, TensorView y) {
  const Op op(context, x, y);
  DS_CHECK(n > 0 && is_f32(x, x.rows, y.cols) && is_f32(y, x.rows * n, y.cols));
  if (op.dry()) return;
  op.parallel_for(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t i = 0; i < n; ++i) std::memcpy(f32(y, r * n + i), f32(x, r), y.cols * sizeof(float));
  });
}

}  // namespace ds::kernels
