// Which layers of a DeepSeek model are mixtures of experts.
#pragma once
#include <memory>
#include <string>

#include "model/mlp.h"
#include "model/moe.h"

namespace ds::model {

// A mixture of experts or a dense SwiGLU, as the config says. prefix: "model.layers.N.mlp."
inline std::unique_ptr<Ffn> bind_dense_or_moe(const ModelConfig& c, int64_t layer, const std::string& prefix,
                                              Weights& weights) {
  if (c.is_moe_layer(layer)) return std::make_unique<MixtureOfExperts>(c, prefix, weights);
  return std::make_unique<Mlp>(c, prefix, weights);
}

}  // namespace ds::model
