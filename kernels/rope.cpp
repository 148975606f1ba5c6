#include "kernels/rope.h"

#include <cmath>

#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {
namespace {

void rotate(const RopeTable& table, RopePairs pairs, float position, float* x, int64_t H, int64_t head_stride,
            float direction) {
  const auto n_pairs = static_cast<int64_t>(table.theta.size());
  const bool adjacent = pairs == RopePairs::kAdjacent;
  constexpr int64_t kChunk = 64;  // angles of up to 64 pairs on the stack
  float cos_chunk[kChunk], sin_chunk[kChunk];
  for (int64_t j0 = 0; j0 < n_pairs; j0 += kChunk) {
    const int64_t n = n_pairs - j0 < kChunk ? n_pairs - j0 : kChunk;
    for (int64_t j = 0; j < n; ++j) {
      const double angle = position * table.theta[j0 + j];
      cos_chunk[j] = static_cast<float>(std::cos(angle)) * table.magnitude;
      sin_chunk[j] = direction * (static_cast<float>(std::sin(angle)) * table.magnitude);
    }
    for (int64_t h = 0; h < H; ++h) {
      float* head = x + h * head_stride;
      for (int64_t j = 0; j < n; ++j) {
        float& a = adjacent ? head[2 * (j0 + j)] : head[j0 + j];
        float& b = adjacent ? head[2 * (j0 + j) + 1] : head[j0 + j + n_pairs];
        const float u = a, v = b;
        a = u * cos_chunk[j] - v * sin_chunk[j];
        b = v * cos_chunk[j] + u * sin_chunk[j];
      }
    }
  }
}

void rotate_all(const Op& op, const RopeTable& table, RopePairs pairs, std::span<const int32_t> positions,
                TensorView x, int64_t H, int64_t head_stride, float direction) {
  DS_CHECK(x.dtype == DType::kF32 && x.rows == static_cast<int64_t>(positions.size()));
  if (op.dry()) return;
  op.parallel_for(x.rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      rotate(table, pairs, static_cast<float>(positions[t]), f32(x, t), H, head_stride, direction);
  });
}

}  // namespace

void rope(const Context& context, const RopeTable& table, RopePairs pairs, std::span<const int32_t> positions,
          TensorView x, int64_t H, int64_t head_stride) {
  const Op op(context, x);
  if (Tape* tape = context.tape) {
    const std::vector<int32_t> at(positions.begin(), positions.end());
    tape->push([tape, &table, pairs, at, x, H, head_stride](const Context& c) {
      rope_backward(c, table, pairs, at, tape->gradient(c, x), H, head_stride);
    });
  }
  rotate_all(op, table, pairs, positions, x, H, head_stride, 1);
}

void rope_backward(const Context& context, const RopeTable& table, RopePairs pairs,
                   std::span<const int32_t> positions, TensorView dx, int64_t H, int64_t head_stride) {
  const Op op(context, dx);
  rotate_all(op, table, pairs, positions, dx, H, head_stride, -1);
}

}  // namespace ds::kernels
