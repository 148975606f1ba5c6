// Tokens sorted by the expert they go to, so that one expert's tokens are one matrix product.
#pragma once
#include <span>

#include "kernels/context.h"

namespace ds::kernels {

// experts: [T, K] i32, what each token chose; segment_tokens: how the T tokens share out to sequences.
// sorted[slots[t, k]] = x[t] for each choice. slots: [T, K] i32, sorted: [T * K, D] f32.
// starts: [1, 2 * E + 1] i32: expert e has the rows [starts[2e], starts[2e + 2]), in the order of tokens; up
// to starts[2e + 1] stand those of sequences that bring the expert few tokens (kFewTokens at most), then
// those of sequences that bring many. So how a token is multiplied does not depend on other sequences.
void permute_tokens(const Context& context, TensorView x, TensorView experts,
                    std::span<const int64_t> segment_tokens, TensorView slots, TensorView starts,
                    TensorView sorted);

// dx[t] += sum_k dsorted[slots[t, k]], in the order of k; dsorted is taken.
void permute_tokens_backward(const Context& context, TensorView slots, TensorView dsorted, TensorView dx);

}  // namespace ds::kernels
