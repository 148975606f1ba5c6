// DeepSeekMoE-16B (spec section 2): Llama's attention over a mixture of experts, softmax scores, greedy
// choice.
#include "model/decoder.h"
#include "model/gqa.h"
#include "model/moe_layers.h"
#include "model/registry.h"

namespace ds::model {

std::unique_ptr<const Model> load_deepseek_v1(const std::shared_ptr<const ModelFolder>& folder) {
  return std::make_unique<Decoder>(
      folder, folder->config().head_dim, [](const Decoder::Binding& b, int64_t i) {
        const std::string prefix = "model.layers." + std::to_string(i) + ".";
        return Decoder::LayerParts{
            std::make_unique<GroupedQueryAttention>(b.config, b.rope, GroupedQueryAttention::Options{},
                                                    prefix + "self_attn.", i, b.weights, b.streams),
            bind_dense_or_moe(b.config, i, prefix + "mlp.", b.weights)};
      });
}

}  // namespace ds::model
