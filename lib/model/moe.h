// Mixture of experts: a router, K of E routed SwiGLU experts per token, shared experts as one SwiGLU added
// ungated. Spec sections 2.4 (softmax, greedy and group-limited) and 3.1 (sigmoid, noaux_tc).
#pragma once
#include "kernels/route_experts.h"
#include "model/layer.h"

namespace ds::model {

class MixtureOfExperts : public Ffn {
 public:
  // prefix: "model.layers.N.mlp."
  MixtureOfExperts(const ModelConfig& config, const std::string& prefix, Weights& weights);
  void forward(const Step& step, TensorView x, TensorView y) const override;
  int64_t idle_bytes_per_token() const override;

 private:
  RouterOptions router_;
  int64_t D_, F_, F_shared_;
  WeightView gate_;                              // [E, D]
  const float* bias_ = nullptr;                  // e_score_correction_bias [E]
  std::vector<WeightView> gate_proj_, up_proj_;  // [E], each [F, D]
  std::vector<WeightView> down_proj_;            // [E], each [D, F]
  // All shared experts as one; F_shared_ 0: none.
  WeightView shared_gate_proj_, shared_up_proj_;  // [F_shared, D]
  WeightView shared_down_proj_;                   // [D, F_shared]
};

}  // namespace ds::model
