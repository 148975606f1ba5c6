#include "model/moe.h"

#include "kernels/combine_experts.h"
#include "kernels/permute_tokens.h"
#include "kernels/silu_mul.h"

namespace ds::model {
MixtureOfExperts::MixtureOfExperts(const ModelConfig& c, const std::string& prefix, Weights& weights)
    : D_(c.hidden_size),
      F_(c.moe_intermediate_size),
      F_shared_(c.n_shared_experts * c.moe_intermediate_size) {
  router_.E = c.n_routed_experts;
  router_.K = c.num_experts_per_tok;
  router_.n_group = c.n_group;
  router_.topk_group = c.topk_group;
  router_.sigmoid = c.scoring_func == "sigmoid";
  router_.method = c.topk_method == "noaux_tc"               ? RouterOptions::Method::kNoAuxTc
                   : c.topk_method == "group_limited_greedy" ? RouterOptions::Method::kGroupLimited
                                                             : RouterOptions::Method::kGreedy;
  router_.norm_topk_prob = c.norm_topk_prob;
  router_.routed_scaling_factor = static_cast<float>(c.routed_scaling_factor);
  gate_ = weights.matrix(prefix + "gate", router_.E, D_);
  if (router_.method == RouterOptions::Method::kNoAuxTc)
    bias_ = weights.vector(prefix + "gate.e_score_correction_bias", router_.E);
  for (int64_t e = 0; e < router_.E; ++e) {
    const std::string expert = prefix + "experts." + std::to_string(e) + ".";
    gate_proj_.push_back(weights.matrix(expert + "gate_proj", F_, D_));
    up_proj_.push_back(weights.matrix(expert + "up_proj", F_, D_));
    down_proj_.push_back(weights.matrix(expert + "down_proj", D_, F_));
  }
  if (F_shared_) {
    shared_gate_proj_ = weights.matrix(prefix + "shared_experts.gate_proj", F_shared_, D_);
    shared_up_proj_ = weights.matrix(prefix + "shared_experts.up_proj", F_shared_, D_);
    shared_down_proj_ = weights.matrix(prefix + "shared_experts.down_proj", D_, F_shared_);
  } else if (weights.has(prefix + "shared_experts.gate_proj.weight")) {
    throw Error(ErrorKind::kBadModel,
                "n_shared_experts is missing or 0, but " + prefix + "shared_experts is there", c.path,
                "config.json and weights do not belong together");
  }
}

void MixtureOfExperts::forward(const Step& step, TensorView x, TensorView y) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const int64_t T = step.T(), E = router_.E, K = router_.K;
  const auto take = [&](int64_t rows, int64_t cols, DType dtype = DType::kF32) {
    return context.arena.take(rows, cols, dtype);
  };
  const TensorView logits = take(T, E), weights = take(T, K), experts = take(T, K, DType::kI32);

  // The router works in float32 whatever the activations are rounded to elsewhere.
  const MatmulJob router_job[] = {{gate_, x, logits}};
  matmul(context.exact(), router_job, step.runs);
  route_experts(context, router_, logits, bias_, experts, weights);

  const TensorView slots = take(T, K, DType::kI32), starts = take(1, 2 * E + 1, DType::kI32);
  const TensorView sorted = take(T * K, D_);  // by expert: inputs, then outputs
  const TensorView gate = take(T * K, F_), up = take(T * K, F_);
  permute_tokens(context, x, experts, step.segment_tokens, slots, starts, sorted);

  const TensorView shared_gate = take(T, F_shared_), shared_up = take(T, F_shared_);
  const MatmulJob shared_in[] = {{shared_gate_proj_, x, shared_gate}, {shared_up_proj_, x, shared_up}};
  const MatmulJob shared_out[] = {{shared_down_proj_, shared_gate, y}};
  const auto if_shared = [&](std::span<const MatmulJob> jobs) {
    return F_shared_ ? jobs : std::span<const MatmulJob>();
  };
  const RoutedMatmulJob in[] = {{gate_proj_, sorted, gate}, {up_proj_, sorted, up}};
  matmul_routed(context, in, starts, T, if_shared(shared_in), step.runs);
  silu_mul(context, gate, up, gate);
  if (F_shared_) silu_mul(context, shared_gate, shared_up, shared_gate);
  const RoutedMatmulJob out[] = {{down_proj_, gate, sorted}};
  matmul_routed(context, out, starts, T, if_shared(shared_out), step.runs);
  combine_experts(context, sorted, slots, weights, F_shared_ > 0, y);
}

int64_t MixtureOfExperts::idle_bytes_per_token() const {
  int64_t bytes = 0;
  for (const auto* matrices : {&gate_proj_, &up_proj_, &down_proj_})
    for (const WeightView& w : *matrices) bytes += w.rows * w.row_bytes();
  return bytes / router_.E * (router_.E - router_.K);
}

}  // namespace ds::model
