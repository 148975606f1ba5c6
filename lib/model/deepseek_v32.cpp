// DeepSeek-V3.2 (spec section 4): V3 with an indexer that picks the keys each token attends to.
#include "model/decoder.h"
#include "model/mla.h"
#include "model/moe_layers.h"
#include "model/registry.h"

namespace ds::model {

std::unique_ptr<const Model> load_deepseek_v32(const std::shared_ptr<const ModelFolder>& folder) {
  return std::make_unique<Decoder>(
      folder, folder->config().qk_rope_head_dim, [](const Decoder::Binding& b, int64_t i) {
        const std::string prefix = "model.layers." + std::to_string(i) + ".";
        constexpr bool kSparse = true;
        return Decoder::LayerParts{
            std::make_unique<LatentAttention>(b.config, b.rope, kSparse, prefix + "self_attn.", i, b.weights,
                                              b.streams),
            bind_dense_or_moe(b.config, i, prefix + "mlp.", b.weights)};
      });
}

}  // namespace ds::model
