// config.json, parsed once. Field names are config.json's keys; what a folder does not say has the value its
// vendor's code assumes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"

namespace ds::checkpoint {

struct RopeScaling {
  enum class Type { kNone, kLinear, kLlama3, kYarn, kDivisors } type = Type::kNone;
  double factor = 1;
  bool truncate = true;                              // yarn: the ramp begins and ends at whole dimensions
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double original_max_position_embeddings = 0;       // llama3, yarn
  double beta_fast = 32, beta_slow = 1;              // yarn
  double mscale = 0, mscale_all_dim = 0;             // yarn; 0: not given
  double attention_factor = 0;                       // yarn, kDivisors: the magnitude itself; 0: not given
  double attn_factor = 0;                            // yarn, multiplies 0.1 ln(factor) + 1; 0: not given
  std::vector<float> divisors;                       // kDivisors ("longrope"): of every frequency, [D / 2]
};

struct ModelConfig {
  std::string path;        // the config.json this came from, for messages
  std::string model_type;  // selects the architecture

  int64_t vocab_size = 0, hidden_size = 0, num_hidden_layers = 0, intermediate_size = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t max_position_embeddings = 0;
  int64_t num_nextn_predict_layers = 0;  // MTP layers after the last, not run
  double rms_norm_eps = 1e-6, rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k, v and o; with latent attention q_a, kv_a and o
  bool mlp_bias = false;

  // Multi-head latent attention (V2 and later).
  int64_t q_lora_rank = 0;  // 0: q_proj instead of q_a_proj and q_b_proj
  int64_t kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  bool rope_interleave = true;  // rotated pairs are neighbours; false: a head's halves
  // Sparse attention (V3.2).
  int64_t index_n_heads = 0, index_head_dim = 0, index_topk = 0;

  // A token of layer i sees itself and window_of(i) - 1 before it; 0: all.
  int64_t window_of(int64_t i) const {
    return windowed_layers.empty() || !windowed_layers[i] ? 0 : sliding_window;
  }
  int64_t sliding_window = 0;
  std::vector<bool> windowed_layers;  // empty: none

  // Mixture of experts.
  int64_t n_routed_experts = 0, n_shared_experts = 0, num_experts_per_tok = 0, moe_intermediate_size = 0;
  int64_t first_k_dense_replace = 0, moe_layer_freq = 1, n_group = 1, topk_group = 1;
  std::vector<bool> mlp_layer_types;     // true where "sparse"; empty: first_k_dense_replace says it
  std::string topk_method = "greedy";    // greedy, group_limited_greedy, noaux_tc
  std::string scoring_func = "softmax";  // softmax, sigmoid
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1;

  // Whether layer i is a mixture of experts: as mlp_layer_types says, else from first_k_dense_replace on
  // every moe_layer_freq-th (spec section 2.1).
  bool is_moe_layer(int64_t i) const {
    if (n_routed_experts == 0) return false;
    if (!mlp_layer_types.empty()) return mlp_layer_types[i];
    return i >= first_k_dense_replace && i % moe_layer_freq == 0;
  }

  std::vector<int32_t> eos_token_ids;  // from config.json; generation_config.json may say more
};

// How config.json says the weights were quantised.
struct QuantizationConfig {
  std::string method;                      // "" when it names none
  int64_t block_rows = 0, block_cols = 0;  // values that one scale covers; 0: not given
};
QuantizationConfig parse_quantization_config(const Json& json, const std::string& where);

// `where` names the file. Throws Error{kBadModel} naming the key for missing, mistyped or senseless values.
ModelConfig parse_model_config(const Json& json, const std::string& where);

}  // namespace ds::checkpoint
