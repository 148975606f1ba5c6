#include "kernels/permute_tokens.h"

#include <algorithm>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {

namespace {

void sort_tokens(const Op& op, TensorView x, TensorView experts, std::span<const int64_t> segment_tokens,
                 std::span<int32_t> counts, TensorView slots, TensorView starts, TensorView sorted) {
  const int64_t T = x.rows, D = x.cols, K = experts.cols, n_parts = starts.cols - 1;
  // Counting sort. First each slot's part: expert 2e or 2e + 1.
  int32_t* start = i32(starts);
  std::fill(start, start + n_parts + 1, 0);
  int64_t t0 = 0;
  for (const int64_t n : segment_tokens) {
    const int32_t* chosen = i32(experts, t0);
    int32_t* part = i32(slots, t0);
    std::fill(counts.begin(), counts.end(), 0);
    for (int64_t i = 0; i < n * K; ++i) ++counts[chosen[i]];
    for (int64_t i = 0; i < n * K; ++i) {
      part[i] = 2 * chosen[i] + (few_or_many(counts[chosen[i]]) == TokenRun::Kind::kMany);
      ++start[part[i] + 1];
    }
    t0 += n;
  }
  DS_CHECK(t0 == T);
  for (int64_t p = 0; p < n_parts; ++p) start[p + 1] += start[p];
  std::copy(start, start + n_parts, counts.begin());
  int32_t* slot = i32(slots);
  for (int64_t i = 0; i < T * K; ++i) slot[i] = counts[slot[i]]++;

  op.parallel_for(T * K, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) std::memcpy(f32(sorted, slot[i]), f32(x, i / K), D * sizeof(float));
  });
}

}  // namespace

void permute_tokens(const Context& context, TensorView x, TensorView experts,
                    std::span<const int64_t> segment_tokens, TensorView slots, TensorView starts,
                    TensorView sorted) {
  const Op op(context, x, experts, slots, starts, sorted);
  const int64_t T = x.rows, D = x.cols, K = experts.cols, n_parts = starts.cols - 1, E = n_parts / 2;
  DS_CHECK(is_f32(x, T, D) && is_i32(experts, T, K) && is_i32(slots, T, K) && is_i32(starts, 1, 2 * E + 1) &&
           is_f32(sorted, T * K, D));
  const auto counts = op.list<int32_t>(std::max(E, n_parts));
  if (!op.dry()) sort_tokens(op, x, experts, segment_tokens, counts, slots, starts, sorted);
  if (Tape* tape = context.tape) {
    tape->push([tape, kept_slots = tape->keep(context, slots), x, sorted](const Context& c) {
      permute_tokens_backward(c, kept_slots, tape->gradient(c, sorted), tape->gradient(c, x));
    });
  }
}

void permute_tokens_backward(const Context& context, TensorView slots, TensorView dsorted, TensorView dx) {
  const Op op(context, slots, dsorted, dx);
  const int64_t T = dx.rows, D = dx.cols, K = slots.cols;
  DS_CHECK(is_i32(slots, T, K) && is_f32(dsorted, T * K, D) && is_f32(dx, T, D));
  if (op.dry()) return;
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t k = 0; k < K; ++k) {
        float* from = f32(dsorted, i32(slots, t)[k]);
        for (int64_t i = 0; i < D; ++i) f32(dx, t)[i] += from[i];
        std::memset(from, 0, D * sizeof(float));
      }
    }
  });
}

}  // namespace ds::kernels
