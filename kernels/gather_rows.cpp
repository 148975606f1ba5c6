#include "kernels/gather_rows.h"

#include <cstring>
#include <vector>

#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {

void gather_rows(const Context& context, TensorView x, std::span<const int32_t> rows, TensorView y) {
  const Op op(context, x, y);
  const auto n = static_cast<int64_t>(rows.size());
  DS_CHECK(is_f32(x, x.rows, y.cols) && is_f32(y, n, y.cols));
  for (const int32_t row : rows) DS_CHECK(row >= 0 && row < x.rows);
  if (Tape* tape = context.tape) {
    const std::vector<int32_t> from(rows.begin(), rows.end());
    tape->push([tape, from, x, y](const Context& c) {
      gather_rows_backward(c, from, tape->gradient(c, y), tape->gradient(c, x));
    });
  }
  if (op.dry()) return;
  op.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) std::memcpy(f32(y, i), f32(x, rows[i]), y.cols * sizeof(float));
  });
}

void repeat_rows(const Context& context, TensorView x, int64_t n, TensorView y) {
  const Op op(context, x, y);
  DS_CHECK(n > 0 && is_f32(x, x.rows, y.cols) && is_f32(y, x.rows * n, y.cols));
  if (Tape* tape = context.tape) {
    tape->push([tape, n, x, y](const Context& c) {
      repeat_rows_backward(c, n, tape->gradient(c, y), tape->gradient(c, x));
    });
  }
  if (op.dry()) return;
  op.parallel_for(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t i = 0; i < n; ++i) std::memcpy(f32(y, r * n + i), f32(x, r), y.cols * sizeof(float));
  });
}

namespace {

void take_row(float* dy, int64_t D, float* dx) {
  for (int64_t c = 0; c < D; ++c) dx[c] += dy[c];
  std::memset(dy, 0, D * sizeof(float));
}

}  // namespace

void gather_rows_backward(const Context& context, std::span<const int32_t> rows, TensorView dy,
                          TensorView dx) {
  const Op op(context, dy, dx);
  const auto n = static_cast<int64_t>(rows.size());
  DS_CHECK(is_f32(dy, n, dx.cols) && is_f32(dx, dx.rows, dx.cols));
  if (op.dry()) return;
  constexpr int64_t kColumns = 64;  // a row may be gathered more than once: threads share columns, not rows
  op.parallel_for(dx.cols, kColumns, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = 0; i < n; ++i) take_row(f32(dy, i) + begin, end - begin, f32(dx, rows[i]) + begin);
  });
}

void repeat_rows_backward(const Context& context, int64_t n, TensorView dy, TensorView dx) {
  const Op op(context, dy, dx);
  DS_CHECK(n > 0 && is_f32(dx, dx.rows, dy.cols) && is_f32(dy, dx.rows * n, dy.cols));
  if (op.dry()) return;
  op.parallel_for(dx.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t i = 0; i < n; ++i) take_row(f32(dy, r * n + i), dy.cols, f32(dx, r));
  });
}

}  // namespace ds::kernels
