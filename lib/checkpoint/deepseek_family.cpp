// DeepSeek V1 to V4 (spec sections 2 to 5). What the papers differ by, row by row:
//
//   deepseek      DeepSeekMoE: Llama's attention.
//                 y = sum_{k in top K of softmax(G x)} s_k FFN_k(x) + FFN_shared(x)
//   deepseek_v2   latent attention: c = norm(W_a x), [k_nope; v] = W_b c, k = [k_nope; rope(W_r x)],
//                 all heads sharing the rope key; q through a latent, too, unless q_lora_rank is absent.
//                 Experts of the topk_group best of n_group groups, where topk_method says so
//   deepseek_v3   s = sigmoid(G x); the choice, not the weight, adds a bias learnt to balance load, and ranks
//                 groups by their two best (noaux_tc); chosen s divided by their sum, times 2.5
//   deepseek_v32  a token sees only the index_topk earlier tokens with the largest
//                 I(t, s) = sum_h w_h relu(q_h . k_s)  (the indexer)
#include <cmath>

#include "checkpoint/families.h"
#include "checkpoint/rope_scaling.h"

namespace ds::checkpoint {
namespace {

BlockSpec v1_block(const ModelConfig& c, int64_t layer) {
  BlockSpec block;
  block.qkv_bias = block.o_bias = c.attention_bias;
  block.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  block.ffn = c.is_moe_layer(layer) ? BlockSpec::Ffn::kExperts : BlockSpec::Ffn::kMlp;
  return block;
}
// V2 and V3: their routers differ by config alone.
BlockSpec latent_block(const ModelConfig& c, int64_t layer) {
  BlockSpec block = v1_block(c, layer);
  block.attention = BlockSpec::Attention::kLatent;
  block.scale = mla_softmax_factor(c.rope_scaling) /
                std::sqrt(static_cast<double>(c.qk_nope_head_dim + c.qk_rope_head_dim));
  return block;
}
BlockSpec sparse_block(const ModelConfig& c, int64_t layer) {
  BlockSpec block = latent_block(c, layer);
  block.attention = BlockSpec::Attention::kSparseLatent;
  return block;
}

constexpr ConfigDefaults kV3 = {.latent_attention = true,
                                .scoring_func = "sigmoid",
                                .topk_method = "noaux_tc",
                                .norm_topk_prob = true,
                                .routed_scaling_factor = 2.5,
                                .n_group = 8,
                                .topk_group = 4,
                                .first_k_dense_replace = 3,
                                .n_shared_experts = 1};
constexpr ConfigDefaults indexed(ConfigDefaults defaults) {
  defaults.indexed_attention = true;
  return defaults;
}

// Sampling from the model cards; V3 stands for R1 and V3.1, which say 0.6 (V3-0324: 0.3 is in its
// generation_config.json).
constexpr Architecture kRows[] = {
    {"deepseek", "deepseek", 0.7, 0.9, {}, v1_block},
    {"deepseek_v2", "deepseek2", 0.3, 1, {.latent_attention = true}, latent_block},
    {"deepseek_v3", "deepseek2", 0.6, 0.95, kV3, latent_block},
    {"deepseek_v32", nullptr, 1, 0.95, indexed(kV3), sparse_block},
    {"deepseek_v4", nullptr, 1, 1, {}, nullptr},
    {"deepseek_v41", nullptr, 1, 1, {}, nullptr},
};

}  // namespace

std::span<const Architecture> deepseek_family() { return kRows; }

}  // namespace ds::checkpoint
