// Embedding look-up: y[t, c] = W[tokens[t], c], decoded. W: [V, D] as stored, y: [T, D] f32.
#pragma once
#include <span>

#include "kernels/context.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

// Every id must be a row of w.
void embed(const Context& context, const WeightView& w, std::span<const int32_t> tokens, TensorView y);

// dw[tokens[t], c] += dy[t, c], in the order of tokens; dw: [V, D] f32. dy is taken.
void embed_backward(const Context& context, std::span<const int32_t> tokens, TensorView dy, float* dw);

}  // namespace ds::kernels
