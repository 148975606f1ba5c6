#include "quant/gguf_names.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "checkpoint/architecture.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/model_file.h"
#include "checkpoint/rope_scaling.h"
#include "core/error.h"
#include "core/json_value.h"
#include "quant/gguf_mixture.h"

namespace ds::quant {
namespace {

using Order = GgufSource::Order;

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

void set_expert_metadata(GgufMetadata& m, const ModelConfig& c, const std::string& a) {
  m.set_u32(a + "leading_dense_block_count", c.first_k_dense_replace);
  m.set_u32(a + "expert_count", c.n_routed_experts);
  m.set_u32(a + "expert_used_count", c.num_experts_per_tok);
  m.set_u32(a + "expert_shared_count", c.n_shared_experts);
  m.set_u32(a + "expert_feed_forward_length", c.moe_intermediate_size);
  m.set_f32(a + "expert_weights_scale", c.routed_scaling_factor);
  m.set_bool(a + "expert_weights_norm", c.norm_topk_prob);
  if (!c.kv_lora_rank) return;
  m.set_u32(a + "expert_gating_func", c.scoring_func == "sigmoid" ? 2 : 1);
  if (c.n_group > 1) {
    m.set_u32(a + "expert_group_count", c.n_group);
    m.set_u32(a + "expert_group_used_count", c.topk_group);
  }
}

void set_rope_scaling(GgufMetadata& m, const ModelConfig& c, const std::string& arch) {
  using Type = RopeScaling::Type;
  const RopeScaling& rs = c.rope_scaling;
  const std::string a = arch + ".rope.scaling.";
  const bool is_tensor = rs.type == Type::kLlama3 || rs.type == Type::kDivisors;
  if (is_tensor && arch != "llama")
    bad(c.path, "rope scaling of type llama3 is not written to GGUF for architecture " + arch);
  if (rs.type == Type::kDivisors && rs.attention_factor != 1)
    bad(c.path, "rope scaling of type longrope with an attention_factor is not written to GGUF");
  if (rs.type == Type::kNone || is_tensor) return;  // the tensor rope_freqs says it
  m.set_string(a + "type", rs.type == Type::kYarn ? "yarn" : "linear");
  m.set_f32(a + "factor", rs.factor);
  if (rs.type == Type::kLinear) return;
  m.set_u32(a + "original_context_length", static_cast<int64_t>(rs.original_max_position_embeddings));
  m.set_f32(a + "yarn_beta_fast", rs.beta_fast);
  m.set_f32(a + "yarn_beta_slow", rs.beta_slow);
  if (rs.mscale_all_dim > 0) m.set_f32(a + "yarn_log_multiplier", 0.1 * rs.mscale_all_dim);
  // llama.cpp multiplies by 1 + 0.1 ln(factor) itself: attention_factor is the product, attn_factor is not.
  if (rs.attn_factor > 0) {
    m.set_f32(a + "yarn_attn_factor", rs.attn_factor);
  } else if (rs.attention_factor > 0) {
    m.set_f32(a + "yarn_attn_factor", rs.attention_factor / (1 + 0.1 * std::log(std::max(rs.factor, 1.0))));
  }
}

void set_model_metadata(GgufMetadata& m, const ModelConfig& c, const std::string& arch, GgufType wide) {
  const std::string a = arch + ".";
  const bool mla = c.kv_lora_rank > 0;
  m.set_string("general.architecture", arch);
  m.set_string("general.name", c.model_type);
  m.set_u32("general.file_type", gguf_file_type(wide));
  m.set_u32("general.quantization_version", 2);
  m.set_u32(a + "block_count", c.num_hidden_layers);
  m.set_u32(a + "context_length", c.max_position_embeddings);
  m.set_u32(a + "embedding_length", c.hidden_size);
  m.set_u32(a + "feed_forward_length", c.intermediate_size);
  m.set_u32(a + "vocab_size", c.vocab_size);
  m.set_u32(a + "attention.head_count", c.num_attention_heads);
  m.set_u32(a + "attention.head_count_kv", mla ? 1 : c.num_key_value_heads);
  m.set_f32(a + "attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  m.set_f32(a + "rope.freq_base", c.rope_theta);
  if (mla) {
    if (c.q_lora_rank) m.set_u32(a + "attention.q_lora_rank", c.q_lora_rank);
    m.set_u32(a + "attention.kv_lora_rank", c.kv_lora_rank);
    // The cache holds latents: one key of latent + rope, one value of latent; _mla are the true head sizes.
    m.set_u32(a + "attention.key_length", c.kv_lora_rank + c.qk_rope_head_dim);
    m.set_u32(a + "attention.value_length", c.kv_lora_rank);
    m.set_u32(a + "attention.key_length_mla", c.qk_nope_head_dim + c.qk_rope_head_dim);
    m.set_u32(a + "attention.value_length_mla", c.v_head_dim);
    m.set_u32(a + "rope.dimension_count", c.qk_rope_head_dim);
  } else {
    m.set_u32(a + "attention.key_length", c.head_dim);
    m.set_u32(a + "attention.value_length", c.head_dim);
    m.set_u32(a + "rope.dimension_count", c.head_dim);
  }
  if (c.n_routed_experts) set_expert_metadata(m, c, a);
  set_rope_scaling(m, c, arch);
}

// What each pair's frequency is divided by: [dim / 2].
std::vector<float> rope_divisors(const ModelConfig& c) {
  ModelConfig plain = c;
  plain.rope_scaling = {};
  std::vector<float> divisors = make_rope_table(plain, c.head_dim).theta;
  const RopeTable scaled = make_rope_table(c, c.head_dim);
  for (size_t j = 0; j < divisors.size(); ++j) divisors[j] /= scaled.theta[j];
  return divisors;
}

// Which of llama.cpp's pre-tokenizers splits as this one does.
std::string pre_tokenizer_name(const std::string& model_type, const Json& tokenizer) {
  const Json* pre = find(tokenizer, "pre_tokenizer");
  const std::string text = pre ? dump(*pre) : "";
  if (text.find("individual_digits\":true") != std::string::npos) return "smollm";
  if (text.find("\xE4\xB8\x80-") != std::string::npos && text.find("{1,3}") != std::string::npos)
    return "deepseek-v3";
  if (model_type.rfind("deepseek", 0) == 0) return "deepseek-llm";
  if (text.find("{1,3}") != std::string::npos) {
    // One regular expression, two names: only the first takes whole words of the vocabulary before it merges.
    const Json* bpe = find(tokenizer, "model");
    const Json* whole_words = bpe ? find(*bpe, "ignore_merges") : nullptr;
    return whole_words && whole_words->is_boolean() && whole_words->get<bool>() ? "llama-bpe" : "smaug-bpe";
  }
  if (text.find("\\\\p{N}|") != std::string::npos) return "qwen2";  // digits one by one
  return "gpt-2";
}

// Turn markers count as control tokens whatever tokenizer.json says of them, as in llama.cpp's converter.
bool looks_like_control(const std::string& token) {
  const auto between = [&](std::string_view head, std::string_view tail) {
    return token.size() > head.size() + tail.size() && token.starts_with(head) && token.ends_with(tail);
  };
  return between("<|", "|>") || between("<\uFF5C", "\uFF5C>");
}

void set_tokenizer(GgufMetadata& m, const ModelFolder& model, std::vector<std::string>& notes) {
  const std::string path = model.path() + "/tokenizer.json";
  if (!model_file_exists(path)) {
    notes.push_back("no tokenizer.json: the GGUF has no vocabulary");
    return;
  }
  const Json json = read_model_json(path);
  const Json* bpe = find(json, "model");
  const Json* vocab = bpe ? find(*bpe, "vocab") : nullptr;
  const Json* merges = bpe ? find(*bpe, "merges") : nullptr;
  if (!vocab || !vocab->is_object() || !merges || !merges->is_array())
    bad(path, "is no byte-level BPE tokenizer (model.vocab and model.merges)");
  const int64_t n = model.config().vocab_size;
  std::vector<std::string> tokens(n);
  std::vector<int32_t> types(n, 5);  // unused, until named
  for (int64_t i = 0; i < n; ++i) tokens[i] = "[PAD" + std::to_string(i) + "]";
  const auto place = [&](const Json* id, const std::string& text, int32_t type) {
    if (!id || !is_int(*id) || as_int(*id) < 0 || as_int(*id) >= n) return;
    tokens[as_int(*id)] = text;
    types[as_int(*id)] = type;
  };
  for (const auto& [text, id] : vocab->items()) place(&id, text, 1);
  std::string special_ids;
  if (const Json* added = find(json, "added_tokens"); added && added->is_array())
    for (const Json& t : *added) {
      const Json* content = find(t, "content");
      const Json* special = find(t, "special");
      if (content && content->is_string())
        place(find(t, "id"), as_string(*content),
              (special && special->is_boolean() && special->get<bool>()) ||
                      looks_like_control(as_string(*content))
                  ? 3
                  : 4);
    }
  std::vector<std::string> pairs;
  for (const Json& merge : *merges) {
    if (merge.is_string()) {
      pairs.push_back(as_string(merge));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      pairs.push_back(as_string(merge[0]) + " " + as_string(merge[1]));
    } else {
      bad(path, "model.merges holds something else than pairs");
    }
  }
  m.set_string("tokenizer.ggml.model", "gpt2");
  m.set_string("tokenizer.ggml.pre", pre_tokenizer_name(model.model_type(), json));
  m.set_strings("tokenizer.ggml.tokens", tokens);
  m.set_i32s("tokenizer.ggml.token_type", types);
  m.set_strings("tokenizer.ggml.merges", pairs);
  const std::string config_path = model.path() + "/tokenizer_config.json";
  bool add_bos = false;
  Json config = Json::object();
  if (model_file_exists(config_path)) {
    config = read_model_json(config_path);
    const Json* flag = find(config, "add_bos_token");
    add_bos = flag && flag->is_boolean() && flag->get<bool>();
    const Json* chat = find(config, "chat_template");
    if (chat && chat->is_string()) m.set_string("tokenizer.chat_template", as_string(*chat));
  }
  // The tokenizer's own word first: config.json of a fine-tuned model often still has the old ids.
  const auto set_id = [&](const std::string& token, const char* name) {
    const Json* text = find(config, token);
    if (text && text->is_object()) text = find(*text, "content");
    if (text && text->is_string()) {
      const auto at = std::find(tokens.begin(), tokens.end(), as_string(*text));
      if (at != tokens.end()) return m.set_u32(name, at - tokens.begin());
    }
    const Json* id = find(model.config_json(), token + "_id");
    if (id && id->is_array() && !id->empty()) id = &(*id)[0];
    if (id && is_int(*id) && as_int(*id) >= 0) m.set_u32(name, as_int(*id));
  };
  set_id("bos_token", "tokenizer.ggml.bos_token_id");
  set_id("eos_token", "tokenizer.ggml.eos_token_id");
  set_id("pad_token", "tokenizer.ggml.padding_token_id");
  m.set_bool("tokenizer.ggml.add_bos_token", add_bos);
  m.set_bool("tokenizer.ggml.add_eos_token", false);
}

// "model.layers.3.mlp.experts.12.up_proj.weight" in its parts.
struct LayerName {
  int64_t layer = 0;
  std::string part;          // "mlp.experts.12.up_proj"
  std::string kind;          // "weight", "bias", "e_score_correction_bias"
  int64_t expert = -1;       // 12, where the part is one expert's projection
  std::string expert_which;  // "up"
};

// Takes `word` from the front of `rest`.
bool take(std::string_view& rest, std::string_view word) {
  if (!rest.starts_with(word)) return false;
  rest.remove_prefix(word.size());
  return true;
}
// Takes a number of at most six digits; -1 when there is none.
int64_t take_number(std::string_view& rest) {
  int64_t n = -1;
  for (int i = 0; i < 6 && !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; ++i, rest.remove_prefix(1))
    n = std::max<int64_t>(n, 0) * 10 + (rest[0] - '0');
  return n;
}

std::optional<LayerName> layer_name(std::string_view name) {
  LayerName out;
  if (!take(name, "model.layers.") || (out.layer = take_number(name)) < 0 || !take(name, "."))
    return std::nullopt;
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return std::nullopt;
  out.part = name.substr(0, dot);
  out.kind = name.substr(dot + 1);
  if (out.kind != "weight" && out.kind != "bias" && out.kind != "e_score_correction_bias")
    return std::nullopt;
  std::string_view rest = out.part;
  if (!take(rest, "mlp.experts.")) return out;
  const int64_t expert = take_number(rest);
  if (expert >= 0 && take(rest, ".") && (rest == "gate_proj" || rest == "up_proj" || rest == "down_proj")) {
    out.expert = expert;
    out.expert_which = rest.substr(0, rest.find('_'));
  }
  return out;
}

class Naming {
 public:
  Naming(const ModelFolder& model, std::string arch, GgufType wide, GgufModel& out)
      : model_(model), config_(model.config()), arch_(std::move(arch)), out_(out) {
    mixture_ = {wide, config_.num_hidden_layers, model.find("lm_head.weight") == nullptr};
  }

  void run() {
    for (const StoredTensor& t : model_.tensors()) {
      if (model_.is_companion(t)) continue;
      const std::string name = model_.canonical_name(t);
      const std::optional<LayerName> n = layer_name(name);
      if (const auto top = gguf_top(name)) {
        add(*top, t);
      } else if (!n) {
        unknown(t);
      } else if (n->layer >= config_.num_hidden_layers) {
        ++n_mtp_;
      } else {
        const std::string prefix = "blk." + std::to_string(n->layer) + ".";
        const std::optional<std::string> known = gguf_part(n->part);
        if (n->part == "self_attn.kv_b_proj") {
          add_kv_b(prefix, t);
        } else if (n->expert >= 0) {
          experts_[prefix + "ffn_" + n->expert_which + "_exps.weight"][n->expert] = &t;
        } else if (n->kind == "e_score_correction_bias") {
          add(prefix + "exp_probs_b.bias", t);
        } else if (!known) {
          if (n->part != "self_attn.rotary_emb") unknown(t);
        } else {
          add(prefix + *known + "." + n->kind, t, order_of(n->part));
        }
      }
    }
    for (const auto& [name, parts] : experts_) add_experts(name, parts);
    const RopeScaling::Type scaling = config_.rope_scaling.type;
    if (scaling == RopeScaling::Type::kLlama3 || scaling == RopeScaling::Type::kDivisors) {
      GgufSource source;
      source.made = rope_divisors(config_);
      const auto n = static_cast<int64_t>(source.made.size());
      push("rope_freqs.weight", {n}, std::move(source));
    }
    for (const auto& [types, n] : n_stand_ins_)
      out_.notes.push_back(std::to_string(n) + " tensors are " + gguf_type_name(types.second) +
                           " in place of " + gguf_type_name(types.first) +
                           ": their rows are no multiple of its blocks");
    if (n_mtp_) out_.notes.push_back("left out: " + std::to_string(n_mtp_) + " tensors of the MTP layer");
  }

 private:
  [[noreturn]] void unknown(const StoredTensor& t) const {
    bad(model_.where(t), "has no name in GGUF for architecture " + arch_);
  }
  Order order_of(const std::string& part) const {
    const bool qk = part == "self_attn.q_proj" || part == "self_attn.k_proj";
    return qk && gguf_pairs_rows(arch_) ? Order::kRotaryPairs : Order::kAsIs;
  }
  void push(const std::string& name, std::vector<int64_t> shape, GgufSource source) {
    for (const StoredTensor* part : source.parts)
      if (const WeightCoding c = model_.coding(*part); !c.problem.empty())
        bad(model_.where(*part), c.problem);
    GgufTensor t;
    t.name = name;
    const GgufType wanted = mixture_.wanted(name, shape);
    t.type = fitting(wanted, shape.empty() ? 1 : shape.back());
    if (t.type != wanted) ++n_stand_ins_[{wanted, t.type}];
    t.shape = std::move(shape);
    out_.tensors.push_back(std::move(t));
    out_.sources.push_back(std::move(source));
  }
  void add(const std::string& name, const StoredTensor& t, Order order = Order::kAsIs) {
    GgufSource source;
    source.parts = {&t};
    source.order = order;
    const WeightCoding c = model_.coding(t);
    std::vector<int64_t> shape = t.info.shape;
    if (shape.size() > 2) unknown(t);
    if (shape.size() == 2) shape.back() = c.cols;
    if (order == Order::kRotaryPairs) {
      const bool is_key = name.find("attn_k") != std::string::npos;
      source.n_heads = is_key ? config_.num_key_value_heads : config_.num_attention_heads;
      const int64_t rows = shape.size() == 2 ? shape[0] : c.cols;
      if (rows % (2 * source.n_heads) != 0) bad(model_.where(t), "does not divide into heads of pairs");
    }
    push(name, std::move(shape), std::move(source));
  }
  void add_kv_b(const std::string& prefix, const StoredTensor& t) {
    GgufSource source;
    source.parts = {&t};
    source.n_heads = config_.num_attention_heads;
    source.key_dim = config_.qk_nope_head_dim;
    source.value_dim = config_.v_head_dim;
    const int64_t latent = config_.kv_lora_rank;
    if (t.info.shape != std::vector<int64_t>{source.n_heads * (source.key_dim + source.value_dim), latent})
      bad(model_.where(t), "has shape " + shape_text(t.info.shape) + ", which config.json does not explain");
    source.order = Order::kKeyB;
    push(prefix + "attn_k_b.weight", {source.n_heads, latent, source.key_dim}, source);
    source.order = Order::kValueB;
    push(prefix + "attn_v_b.weight", {source.n_heads, source.value_dim, latent}, source);
  }
  void add_experts(const std::string& name, const std::map<int64_t, const StoredTensor*>& parts) {
    GgufSource source;
    const int64_t n = config_.n_routed_experts;
    for (int64_t i = 0; i < n; ++i) {
      const auto it = parts.find(i);
      if (it == parts.end())
        bad(model_.path(), "expert " + std::to_string(i) + " of " + name + " is missing");
      if (it->second->info.shape != parts.begin()->second->info.shape)
        bad(model_.where(*it->second), "has another shape than its fellow experts");
      source.parts.push_back(it->second);
    }
    const WeightCoding c = model_.coding(*source.parts[0]);
    push(name, {n, c.rows, c.cols}, std::move(source));
  }

  const ModelFolder& model_;
  const ModelConfig& config_;
  std::string arch_;
  GgufMixture mixture_;
  GgufModel& out_;
  std::map<std::pair<GgufType, GgufType>, int64_t> n_stand_ins_;  // wanted, taken
  std::map<std::string, std::map<int64_t, const StoredTensor*>> experts_;
  int64_t n_mtp_ = 0;
};

}  // namespace

GgufModel name_for_gguf(const ModelFolder& model, GgufType wide) {
  const Architecture* architecture = find_architecture(model.model_type());
  if (!architecture || !architecture->gguf_name)
    bad(model.config_path(), "model_type " + model.model_type() + " has no GGUF architecture here",
        "llama, mistral, qwen2, qwen3, qwen3_moe, deepseek, deepseek_v2 and deepseek_v3 have");
  model.require_readable();
  const ModelConfig& config = model.config();
  GgufModel out;
  out.notes = model.warnings();
  if (config.window_of(config.num_hidden_layers - 1))
    out.notes.push_back("the GGUF says nothing of the sliding window: llama.cpp attends to all tokens");
  set_model_metadata(out.metadata, config, architecture->gguf_name, wide);
  set_tokenizer(out.metadata, model, out.notes);
  Naming(model, architecture->gguf_name, wide, out).run();
  return out;
}

}  // namespace ds::quant
