// Llama and what descends from it (spec section 1): grouped-query attention, SwiGLU.
//
//   q, k, v = W x (+ b);  q, k = norm(q), norm(k) by head where qk_norm;  q, k = rope(q), rope(k)
//   o = softmax(q . k / sqrt(head_dim)) v over the tokens before, the last `window` of them where there is
//   one
#include <cmath>

#include "checkpoint/families.h"

namespace ds::checkpoint {
namespace {

using Windows = ConfigDefaults::Windows;

// Llama, Mistral: nothing else.
BlockSpec llama_block(const ModelConfig& c, int64_t layer) {
  BlockSpec block;
  block.qkv_bias = block.o_bias = c.attention_bias;
  block.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  block.window = c.window_of(layer);
  block.ffn = c.is_moe_layer(layer) ? BlockSpec::Ffn::kExperts : BlockSpec::Ffn::kMlp;
  return block;
}
// R1-Distill-Qwen: q, k and v have biases whatever the config says, o has none.
BlockSpec qwen2_block(const ModelConfig& c, int64_t layer) {
  BlockSpec block = llama_block(c, layer);
  block.qkv_bias = true, block.o_bias = false;
  return block;
}
// R1-0528-Qwen3-8B and its sparse sisters.
BlockSpec qwen3_block(const ModelConfig& c, int64_t layer) {
  BlockSpec block = llama_block(c, layer);
  block.qk_norm = true;
  return block;
}

// Llama and Qwen stand for the R1 distills, whose card says 0.6 and 0.95.
constexpr Architecture kRows[] = {
    {"llama", "llama", 0.6, 0.95, {.max_position_embeddings = 2048}, llama_block},
    {"mistral",
     "llama",
     1,
     1,
     {.max_position_embeddings = 131072,
      .num_key_value_heads = 8,
      .windows = Windows::kAll,
      .sliding_window = 4096},
     llama_block},
    {"qwen2",
     "qwen2",
     0.6,
     0.95,
     {.max_position_embeddings = 32768, .windows = Windows::kSwitched, .sliding_window = 4096},
     qwen2_block},
    {"qwen3",
     "qwen3",
     0.6,
     0.95,
     {.max_position_embeddings = 32768,
      .head_dim = 128,
      .windows = Windows::kSwitched,
      .sliding_window = 4096},
     qwen3_block},
    {"qwen3_moe",
     "qwen3moe",
     0.6,
     0.95,
     {.max_position_embeddings = 32768,
      .num_key_value_heads = 4,
      .windows = Windows::kSwitched,
      .sliding_window = 4096,
      .n_experts_key = "num_experts",
      .sparse_step = true},
     qwen3_block},
};

}  // namespace

std::span<const Architecture> llama_family() { return kRows; }

}  // namespace ds::checkpoint
