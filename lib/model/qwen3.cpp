// Qwen3: R1-0528-Qwen3-8B (spec section 1.1). As Llama, with RMSNorm over each head of q and k before RoPE.
#include "model/decoder.h"
#include "model/gqa.h"
#include "model/mlp.h"
#include "model/registry.h"

namespace ds::model {

std::unique_ptr<const Model> load_qwen3(const std::shared_ptr<const ModelFolder>& folder) {
  return std::make_unique<Decoder>(
      folder, folder->config().head_dim, [](const Decoder::Binding& b, int64_t i) {
        const std::string prefix = "model.layers." + std::to_string(i) + ".";
        const ModelConfig& c = b.config;
        return Decoder::LayerParts{std::make_unique<GroupedQueryAttention>(
                                       c, b.rope, GroupedQueryAttention::Options{.qk_norm = true},
                                       prefix + "self_attn.", i, b.weights, b.streams),
                                   std::make_unique<Mlp>(c, prefix + "mlp.", b.weights)};
      });
}

}  // namespace ds::model
