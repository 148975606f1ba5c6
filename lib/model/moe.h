// Mixture of experts: a router, K of E routed SwiGLU experts per token, shared experts as one SwiGLU added
// ungated. Spec sections 2.4 (softmax, greedy and group-limited) and 3.1 (sigmoid, noaux_tc).
#pragma once
#include "model/layer.h"

namespace ds::model {

struct RouterOptions {
  int64_t E = 0, K = 0, n_group = 1, topk_group = 1;
  bool sigmoid = false;  // scores are sigmoid(logits), else softmax
  enum class Method { kGreedy, kGroupLimited, kNoAuxTc } method = Method::kGreedy;
  bool norm_topk_prob = false;
  float routed_scaling_factor = 1;
};

// One token's choice from its router logits [E]: K experts, ascending by id, with their weights. bias: the
// selection bias of noaux_tc [E] or nullptr; it chooses but never weighs. Ties go to the lower id. scratch: 2
// * E + n_group floats.
void route(const RouterOptions& options, const float* logits, const float* bias, float* scratch,
           int32_t* experts, float* expert_weights);

class MixtureOfExperts : public Ffn {
 public:
  // prefix: "model.layers.N.mlp."
  MixtureOfExperts(const ModelConfig& config, const std::string& prefix, Weights& weights);
  void forward(const Step& step, const float* x, float* y) const override;
  int64_t workspace_floats(int64_t max_tokens, int n_threads) const override;
  int64_t idle_bytes_per_token() const override;

 private:
  struct Expert {
    WeightView gate_proj, up_proj;  // [F, D]
    WeightView down_proj;           // [D, F]
  };
  Expert bind_expert(const std::string& prefix, int64_t F, Weights& weights) const;

  RouterOptions router_;
  int64_t D_, F_, F_shared_;
  WeightView gate_;              // [E, D]
  const float* bias_ = nullptr;  // e_score_correction_bias [E]
  std::vector<Expert> experts_;  // [E]
  Expert shared_;                // F_shared_ 0: none
};

}  // namespace ds::model
