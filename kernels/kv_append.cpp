#include "kernels/kv_append.h"

#include <cstring>

#include "core/numbers.h"
#include "kernels/kv_gradients.h"
#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {
namespace {

void check(const KvRows& rows, int64_t begin, int64_t n) {
  const int64_t room = rows.n_pages * rows.page_rows;
  DS_CHECK(rows.dtype == DType::kF32 || rows.dtype == DType::kBF16);
  DS_CHECK(n <= room && (rows.ring || begin + n <= room));
}

std::vector<OwnKvRows> own_rows(const Context& context, std::span<const KvAppendJob> jobs) {
  std::vector<OwnKvRows> rows;
  for (const KvAppendJob& job : jobs) rows.emplace_back(job.rows, job.position + job.n_rows, context);
  return rows;
}

// to += from, which becomes 0.
void take(float* from, int64_t n, float* to) {
  for (int64_t c = 0; c < n; ++c) to[c] += from[c];
  std::memset(from, 0, n * sizeof(float));
}

}  // namespace

void kv_append(const Context& context, TensorView x, std::span<const KvAppendJob> jobs) {
  const Op op(context, x);
  for (const KvAppendJob& job : jobs) {
    DS_CHECK(is_f32(x, x.rows, job.rows.width) && job.first_row + job.n_rows <= x.rows);
    check(job.rows, job.position, job.n_rows);
  }
  if (Tape* tape = context.tape) {
    std::vector<KvAppendJob> kept(jobs.begin(), jobs.end());
    tape->push([tape, rows = own_rows(context, jobs), kept, x](const Context& c) mutable {
      for (size_t i = 0; i < kept.size(); ++i) kept[i].rows = rows[i].gradients(*tape, c);
      kv_append_backward(c, kept, tape->gradient(c, x));
    });
  }
  if (op.dry()) return;
  for (const KvAppendJob& job : jobs) {
    op.parallel_for(job.n_rows, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const float* from = f32(x, job.first_row + i);
        void* to = job.rows.row(job.position + i);
        if (job.rows.dtype == DType::kF32) {
          std::memcpy(to, from, x.cols * sizeof(float));
        } else {
          for (int64_t c = 0; c < x.cols; ++c) static_cast<uint16_t*>(to)[c] = f32_to_bf16(from[c]);
        }
      }
    });
  }
}

void kv_read(const Context& context, const KvRows& rows, int64_t first_row, TensorView y) {
  const Op op(context, y);
  DS_CHECK(is_f32(y, y.rows, rows.width));
  check(rows, first_row, y.rows);
  if (Tape* tape = context.tape) {
    tape->push(
        [tape, own = OwnKvRows(rows, first_row + y.rows, context), first_row, y](const Context& c) mutable {
          kv_read_backward(c, own.gradients(*tape, c), first_row, tape->gradient(c, y));
        });
  }
  if (op.dry()) return;
  op.parallel_for(y.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const void* from = rows.row(first_row + i);
      if (rows.dtype == DType::kF32) {
        std::memcpy(f32(y, i), from, y.cols * sizeof(float));
      } else {
        for (int64_t c = 0; c < y.cols; ++c)
          f32(y, i)[c] = bf16_to_f32(static_cast<const uint16_t*>(from)[c]);
      }
    }
  });
}

void kv_append_backward(const Context& context, std::span<const KvAppendJob> jobs, TensorView dx) {
  const Op op(context, dx);
  if (op.dry()) return;
  for (const KvAppendJob& job : jobs) {
    DS_CHECK(job.rows.dtype == DType::kF32);
    op.parallel_for(job.n_rows, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        take(static_cast<float*>(job.rows.row(job.position + i)), dx.cols, f32(dx, job.first_row + i));
    });
  }
}

void kv_read_backward(const Context& context, const KvRows& drows, int64_t first_row, TensorView dy) {
  const Op op(context, dy);
  DS_CHECK(drows.dtype == DType::kF32);
  if (op.dry()) return;
  op.parallel_for(dy.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      take(f32(dy, i), dy.cols, static_cast<float*>(drows.row(first_row + i)));
  });
}

void kv_copy_page(const Context& context, const void* from, void* to, int64_t n_bytes) {
  const Op op(context);
  if (op.dry()) return;
  constexpr int64_t kPart = 256 << 10;  // of a page of a large model, as much as is worth a thread
  op.parallel_for(n_bytes, kPart, [&](int64_t begin, int64_t end, int) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, end - begin);
  });
}

}  // namespace ds::kernels
