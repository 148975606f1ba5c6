// y = x W^T + b, the product every projection, expert and head is made of.
//
//   y[t, o] = sum_i x[t, i] * W[o, i] + b[o]      x: [T, in] f32, W: [out, in] as stored, y: [T, out] f32
//
// Sums are float32. Few tokens (decode): each weight row is read once, decoded in registers, activations stay
// float32. Many tokens (prefill): activations are packed, weights are the tile operand in their file layout;
// where the CPU multiplies bfloat16, activations go in as two bfloat16 terms, or as one if the policy says
// kBF16. No result depends on the number of threads, and none on what other tokens are multiplied with it.
// x and y must not overlap. T = 0 or out = 0 is no work, in = 0 gives b.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/context.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

// Up to this many tokens, decoding each weight once per four tokens beats packing.
constexpr int64_t kFewTokens = 6;

// Tokens that follow each other and are multiplied the same way. What is chosen for a token must not depend
// on its companions in the step, so a step says it: few where the token's own sequence brings few.
struct TokenRun {
  enum class Kind : uint8_t { kFew, kMany, kSkip };
  int64_t n_tokens = 0;
  Kind kind = Kind::kFew;
};
constexpr TokenRun::Kind few_or_many(int64_t n_tokens) {
  return n_tokens <= kFewTokens ? TokenRun::Kind::kFew : TokenRun::Kind::kMany;
}

struct MatmulJob {
  WeightView w;  // [out, in]
  TensorView x;  // [T, in]
  TensorView y;  // [T, out]
};

// All jobs in as few parallel loops as possible: q, k and v are one call. Neighbouring jobs with the same x
// share its packed form. runs: how the T tokens of each job are multiplied; none: as many as they are.
void matmul(const Context& context, std::span<const MatmulJob> jobs, std::span<const TokenRun> runs = {});

//   dx += dy W    dw += dy^T x    dbias += sum_t dy        where wanted; an adapter of w included:
//   da += scale (dy B)^T x    db += scale dy^T (x A^T)
// dy is taken. Sums are float32, over tokens in their order. No job may write what another reads.
struct MatmulBackwardJob {
  WeightView w;                        // [out, in]
  TensorView x;                        // [T, in]; none where neither dw nor da is wanted
  TensorView dy;                       // [T, out]
  TensorView dx;                       // [T, in] or none
  float* dw = nullptr;                 // [out, in] or none
  float* dbias = nullptr;              // [out] or none
  float *da = nullptr, *db = nullptr;  // [r, in] and [out of the whole matrix, r] or none
};
void matmul_backward(const Context& context, std::span<const MatmulBackwardJob> jobs);

// One matrix per head, all cut out of `w`: head h has the rows [h * head_rows + first_row, + n_rows).
//   y[t, h, o] = sum_i x[t, h, i] * W_h[o, i]                      transposed: sum_o x[t, h, o] * W_h[o, i]
struct HeadsMatmulJob {
  WeightView w;  // [H * head_rows, in]; its bias is ignored
  int64_t H = 0, head_rows = 0, first_row = 0, n_rows = 0;
  TensorView x;  // [T, ...], head h from column h * x_head on
  int64_t x_head = 0;
  TensorView y;
  int64_t y_head = 0;
};
void matmul_heads(const Context& context, const HeadsMatmulJob& job, std::span<const TokenRun> runs);
void matmul_heads_transposed(const Context& context, const HeadsMatmulJob& job,
                             std::span<const TokenRun> runs);

// One matrix per expert, over rows that permute_tokens() has sorted by expert.
struct RoutedMatmulJob {
  std::span<const WeightView> w;  // [E]
  TensorView x;                   // [T * K, in]
  TensorView y;                   // [T * K, out]
};
// starts: [1, 2 * E + 1] i32, permute_tokens()'s. T: the tokens of the step, the most that one expert gets.
// `dense` jobs over the step's tokens run in the same parallel loops.
void matmul_routed(const Context& context, std::span<const RoutedMatmulJob> routed, TensorView starts,
                   int64_t T, std::span<const MatmulJob> dense, std::span<const TokenRun> runs);

}  // namespace ds::kernels
