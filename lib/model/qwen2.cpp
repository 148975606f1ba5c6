// Qwen2: R1-Distill-Qwen (spec section 1.1). As Llama, with biases on q, k and v.
#include "model/decoder.h"
#include "model/gqa.h"
#include "model/mlp.h"
#include "model/registry.h"

namespace ds::model {

std::unique_ptr<const Model> load_qwen2(const std::shared_ptr<const ModelFolder>& folder) {
  return std::make_unique<Decoder>(
      folder, folder->config().head_dim, [](const Decoder::Binding& b, int64_t i) {
        const std::string prefix = "model.layers." + std::to_string(i) + ".";
        const ModelConfig& c = b.config;
        return Decoder::LayerParts{std::make_unique<GroupedQueryAttention>(
                                       c, b.rope, GroupedQueryAttention::Options{.qkv_bias = true},
                                       prefix + "self_attn.", i, b.weights, b.streams),
                                   std::make_unique<Mlp>(c, prefix + "mlp.", b.weights)};
      });
}

}  // namespace ds::model
