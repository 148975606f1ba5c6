#include "checkpoint/gguf_names.h"

#include <span>

namespace ds::checkpoint {
namespace {

struct Pair {
  const char *published, *gguf;
};
constexpr Pair kParts[] = {{"input_layernorm", "attn_norm"},
                           {"post_attention_layernorm", "ffn_norm"},
                           {"self_attn.q_proj", "attn_q"},
                           {"self_attn.k_proj", "attn_k"},
                           {"self_attn.v_proj", "attn_v"},
                           {"self_attn.o_proj", "attn_output"},
                           {"self_attn.q_norm", "attn_q_norm"},
                           {"self_attn.k_norm", "attn_k_norm"},
                           {"self_attn.q_a_proj", "attn_q_a"},
                           {"self_attn.q_a_layernorm", "attn_q_a_norm"},
                           {"self_attn.q_b_proj", "attn_q_b"},
                           {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
                           {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
                           {"self_attn.kv_b_proj", "attn_kv_b"},  // of files older than attn_k_b, attn_v_b
                           {"mlp.gate_proj", "ffn_gate"},
                           {"mlp.up_proj", "ffn_up"},
                           {"mlp.down_proj", "ffn_down"},
                           {"mlp.gate", "ffn_gate_inp"},
                           {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
                           {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
                           {"mlp.shared_experts.down_proj", "ffn_down_shexp"}};
constexpr Pair kTops[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                          {"model.norm.weight", "output_norm.weight"},
                          {"lm_head.weight", "output.weight"}};

std::optional<std::string> find(std::span<const Pair> pairs, std::string_view name, const char* Pair::*from,
                                const char* Pair::*to) {
  for (const Pair& pair : pairs)
    if (name == pair.*from) return pair.*to;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> gguf_part(std::string_view name) {
  return find(kParts, name, &Pair::published, &Pair::gguf);
}
std::optional<std::string> published_part(std::string_view name) {
  return find(kParts, name, &Pair::gguf, &Pair::published);
}
std::optional<std::string> gguf_top(std::string_view name) {
  return find(kTops, name, &Pair::published, &Pair::gguf);
}
std::optional<std::string> published_top(std::string_view name) {
  return find(kTops, name, &Pair::gguf, &Pair::published);
}

bool gguf_pairs_rows(std::string_view architecture) {
  return architecture == "llama" || architecture == "deepseek";
}

}  // namespace ds::checkpoint
