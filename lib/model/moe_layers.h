// Which layers of a DeepSeek model are mixtures of experts.
#pragma once
#include <memory>
#include <string>

#include "model/mlp.h"
#include "model/moe.h"

namespace ds {

// Layer i is MoE when i >= first_k_dense_replace and i mod moe_layer_freq = 0, a dense SwiGLU otherwise (spec
// section 2.1). prefix: "model.layers.N.mlp."
inline std::unique_ptr<Ffn> bind_dense_or_moe(const ModelConfig& c, int64_t layer, const std::string& prefix,
                                              Weights& weights) {
  const bool moe =
      c.n_routed_experts > 0 && layer >= c.first_k_dense_replace && layer % c.moe_layer_freq == 0;
  if (moe) return std::make_unique<MixtureOfExperts>(c, prefix, weights);
  return std::make_unique<Mlp>(c.hidden_size, c.intermediate_size, prefix, weights);
}

}  // namespace ds
