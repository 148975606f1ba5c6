// Which experts a token goes to, and with what weights. Spec sections 2.4 (softmax, greedy and group-limited)
// and 3.1 (sigmoid, noaux_tc).
//
//   s = softmax(logits) or sigmoid(logits);  choice = s + bias;  the K best of choice, ties to the lower id
//   group-limited: only experts of the topk_group best groups; a group counts its best choice, for noaux_tc
//   the sum of its two best
//   weight = s of the chosen, divided by their sum if norm_topk_prob, times routed_scaling_factor
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

struct RouterOptions {
  int64_t E = 0, K = 0, n_group = 1, topk_group = 1;
  bool sigmoid = false;  // scores are sigmoid(logits), else softmax
  enum class Method { kGreedy, kGroupLimited, kNoAuxTc } method = Method::kGreedy;
  bool norm_topk_prob = false;
  float routed_scaling_factor = 1;
};

// logits: [T, E] f32; bias: [E], chooses but never weighs, or nullptr; experts: [T, K] i32, ascending by id;
// weights: [T, K] f32.
void route_experts(const Context& context, const RouterOptions& options, TensorView logits, const float* bias,
                   TensorView experts, TensorView weights);

// dlogits += what the weights were made of, the choice being constant: through the normalisation and the
// scores, softmax over all experts included; none through the bias. logits and experts are route_experts()'s;
// dweights [T, K] is taken.
void route_experts_backward(const Context& context, const RouterOptions& options, TensorView logits,
                            TensorView experts, TensorView dweights, TensorView dlogits);

}  // namespace ds::kernels
