#include "kernels/kv_append.h"

#include <cstring>

#include "core/numbers.h"
#include "kernels/op.h"

namespace ds::kernels {
namespace {

void check(const KvRows& rows, int64_t begin, int64_t n) {
  const int64_t room = rows.n_pages * rows.page_rows;
  DS_CHECK(rows.dtype == DType::kF32 || rows.dtype == DType::kBF16);
  DS_CHECK(n <= room && (rows.ring || begin + n <= room));
}

}  // namespace

void kv_append(const Context& context, TensorView x, std::span<const KvAppendJob> jobs) {
  const Op op(context, x);
  for (const KvAppendJob& job : jobs) {
    DS_CHECK(is_f32(x, x.rows, job.rows.width) && job.first_row + job.n_rows <= x.rows);
    check(job.rows, job.position, job.n_rows);
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

void kv_copy_page(const Context& context, const void* from, void* to, int64_t n_bytes) {
  const Op op(context);
  if (op.dry()) return;
  constexpr int64_t kPart = 256 << 10;  // of a page of a large model, as much as is worth a thread
  op.parallel_for(n_bytes, kPart, [&](int64_t begin, int64_t end, int) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, end - begin);
  });
}

}  // namespace ds::kernels
