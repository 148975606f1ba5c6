#include "quant/gguf_names.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <regex>
#include <set>

#include "checkpoint/architecture.h"
#include "core/error.h"
#include "io/json.h"

namespace ds::quant {
namespace {

using Order = GgufSource::Order;

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

class Config {
 public:
  Config(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}
  const Json* find(const char* key) const {
    const Json* v = json_.find(key);
    return v && !v->is_null() ? v : nullptr;
  }
  int64_t integer(const char* key, int64_t fallback) const {
    const Json* v = find(key);
    return v && v->is_int() ? v->as_int() : fallback;
  }
  int64_t integer(const char* key) const {
    const Json* v = find(key);
    if (!v || !v->is_int() || v->as_int() < 1 || v->as_int() > 1 << 30)
      bad(where_, std::string(key) + " is missing or no size");
    return v->as_int();
  }
  double number(const char* key, double fallback) const {
    const Json* v = find(key);
    return v && v->is_number() ? v->as_double() : fallback;
  }
  std::string text(const char* key) const {
    const Json* v = find(key);
    return v && v->is_string() ? v->as_string() : "";
  }
  bool flag(const char* key) const {
    const Json* v = find(key);
    return v && v->is_bool() && v->as_bool();
  }

 private:
  const Json& json_;
  std::string where_;
};

const std::map<std::string, std::string>& layer_names() {
  static const std::map<std::string, std::string> names = {
      {"input_layernorm", "attn_norm"},
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
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
      {"mlp.gate", "ffn_gate_inp"},
      {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
      {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
      {"mlp.shared_experts.down_proj", "ffn_down_shexp"}};
  return names;
}

// Rotary embeddings as the config tells them: transformers 5 has rope_parameters for rope_theta and
// rope_scaling.
class Rope {
 public:
  Rope(const Config& c, const std::string& where)
      : parameters_(object(c.find("rope_parameters")), where),
        scaling_(object(c.find("rope_scaling") ? c.find("rope_scaling") : c.find("rope_parameters")), where),
        theta_(parameters_.number("rope_theta", c.number("rope_theta", 10000))) {}
  double theta() const { return theta_; }
  std::string type() const {
    return scaling_.text("rope_type").empty() ? scaling_.text("type") : scaling_.text("rope_type");
  }
  const Config& scaling() const { return scaling_; }

 private:
  static const Json& object(const Json* json) {
    static const Json none = Json::Object{};
    return json && json->is_object() ? *json : none;
  }
  Config parameters_, scaling_;
  double theta_;
};

void set_model_metadata(GgufMetadata& m, const Config& c, const std::string& arch, GgufType wide,
                        const std::string& where) {
  const bool mla = arch == "deepseek2";
  const Rope rope_config(c, where);
  const std::string a = arch + ".";
  const int64_t heads = c.integer("num_attention_heads"), hidden = c.integer("hidden_size");
  m.set_string("general.architecture", arch);
  m.set_string("general.name", c.text("model_type"));
  m.set_u32("general.file_type", wide == GgufType::kQ8_0 ? 7 : 32);
  m.set_u32("general.quantization_version", 2);
  m.set_u32(a + "block_count", c.integer("num_hidden_layers"));
  m.set_u32(a + "context_length", c.integer("max_position_embeddings"));
  m.set_u32(a + "embedding_length", hidden);
  m.set_u32(a + "feed_forward_length", c.integer("intermediate_size"));
  m.set_u32(a + "vocab_size", c.integer("vocab_size"));
  m.set_u32(a + "attention.head_count", heads);
  m.set_u32(a + "attention.head_count_kv", mla ? 1 : c.integer("num_key_value_heads", heads));
  m.set_f32(a + "attention.layer_norm_rms_epsilon", c.number("rms_norm_eps", 1e-6));
  m.set_f32(a + "rope.freq_base", rope_config.theta());
  if (mla) {
    const int64_t rope = c.integer("qk_rope_head_dim"), nope = c.integer("qk_nope_head_dim");
    const int64_t latent = c.integer("kv_lora_rank"), value = c.integer("v_head_dim");
    if (c.integer("q_lora_rank", 0)) m.set_u32(a + "attention.q_lora_rank", c.integer("q_lora_rank"));
    m.set_u32(a + "attention.kv_lora_rank", latent);
    // The cache holds latents: one key of latent + rope, one value of latent; _mla are the true head sizes.
    m.set_u32(a + "attention.key_length", latent + rope);
    m.set_u32(a + "attention.value_length", latent);
    m.set_u32(a + "attention.key_length_mla", nope + rope);
    m.set_u32(a + "attention.value_length_mla", value);
    m.set_u32(a + "rope.dimension_count", rope);
  } else {
    const int64_t head_dim = c.integer("head_dim", hidden / heads);
    m.set_u32(a + "attention.key_length", head_dim);
    m.set_u32(a + "attention.value_length", head_dim);
    m.set_u32(a + "rope.dimension_count", head_dim);
  }
  if (c.integer("n_routed_experts", 0)) {
    // transformers' own class knows no scoring_func: V3 is sigmoid.
    const std::string scoring = c.text("scoring_func");
    const bool sigmoid = scoring.empty() ? c.text("model_type") == "deepseek_v3" : scoring == "sigmoid";
    m.set_u32(a + "leading_dense_block_count", c.integer("first_k_dense_replace", 0));
    m.set_u32(a + "expert_count", c.integer("n_routed_experts"));
    m.set_u32(a + "expert_used_count", c.integer("num_experts_per_tok"));
    m.set_u32(a + "expert_shared_count", c.integer("n_shared_experts", 0));
    m.set_u32(a + "expert_feed_forward_length", c.integer("moe_intermediate_size"));
    m.set_f32(a + "expert_weights_scale", c.number("routed_scaling_factor", 1));
    m.set_bool(a + "expert_weights_norm", c.flag("norm_topk_prob"));
    if (mla) {
      m.set_u32(a + "expert_gating_func", sigmoid ? 2 : 1);
      if (c.integer("n_group", 1) > 1) {
        m.set_u32(a + "expert_group_count", c.integer("n_group"));
        m.set_u32(a + "expert_group_used_count", c.integer("topk_group"));
      }
    }
  }
  const std::string type = rope_config.type();
  if (type.empty() || type == "default") return;
  const Config& s = rope_config.scaling();
  const double factor = s.number("factor", 1);
  if (type != "yarn" && type != "linear" && !(type == "llama3" && arch == "llama"))
    bad(where, "rope scaling of type " + type + " is not written to GGUF for architecture " + arch);
  if (!(factor > 0)) bad(where, "the factor of rope scaling is not positive");
  if (type == "llama3") return;  // a tensor says it: rope_freqs
  m.set_string(a + "rope.scaling.type", type);
  m.set_f32(a + "rope.scaling.factor", factor);
  if (type == "linear") return;
  m.set_u32(a + "rope.scaling.original_context_length", s.integer("original_max_position_embeddings"));
  m.set_f32(a + "rope.scaling.yarn_beta_fast", s.number("beta_fast", 32));
  m.set_f32(a + "rope.scaling.yarn_beta_slow", s.number("beta_slow", 1));
  if (s.find("mscale_all_dim"))
    m.set_f32(a + "rope.scaling.yarn_log_multiplier", 0.1 * s.number("mscale_all_dim", 1));
  // llama.cpp multiplies by 1 + 0.1 ln(factor) itself: attention_factor is the product, attn_factor is not.
  if (s.find("attn_factor")) {
    m.set_f32(a + "rope.scaling.yarn_attn_factor", s.number("attn_factor", 1));
  } else if (s.find("attention_factor")) {
    m.set_f32(a + "rope.scaling.yarn_attn_factor",
              s.number("attention_factor", 1) / (1 + 0.1 * std::log(std::max(factor, 1.0))));
  }
}

// What llama3 scaling divides each pair's frequency by: [dim / 2].
std::vector<float> llama3_divisors(const Rope& rope, int64_t dim) {
  const Config& s = rope.scaling();
  const double factor = s.number("factor", 8), low = s.number("low_freq_factor", 1),
               high = s.number("high_freq_factor", 4),
               original = s.number("original_max_position_embeddings", 8192);
  std::vector<float> divisors(dim / 2);
  for (int64_t j = 0; j < dim / 2; ++j) {
    const double frequency = std::pow(rope.theta(), -2.0 * static_cast<double>(j) / static_cast<double>(dim));
    const double wavelength = 2 * std::numbers::pi / frequency;
    // 0 where the wavelength is too long for the context the model was made for, 1 where it fits many times.
    const double keep = std::clamp((original / wavelength - low) / std::max(high - low, 1e-9), 0.0, 1.0);
    divisors[j] = static_cast<float>(1 / ((1 - keep) / factor + keep));
  }
  return divisors;
}

// Which of llama.cpp's pre-tokenizers splits as this one does.
std::string pre_tokenizer_name(const std::string& model_type, const Json& tokenizer) {
  const Json* pre = tokenizer.find("pre_tokenizer");
  const std::string text = pre ? pre->dump() : "";
  if (text.find("individual_digits\":true") != std::string::npos) return "smollm";
  if (text.find("\xE4\xB8\x80-") != std::string::npos && text.find("{1,3}") != std::string::npos)
    return "deepseek-v3";
  if (model_type.rfind("deepseek", 0) == 0) return "deepseek-llm";
  if (text.find("{1,3}") != std::string::npos) {
    // One regular expression, two names: only the first takes whole words of the vocabulary before it merges.
    const Json* bpe = tokenizer.find("model");
    const Json* whole_words = bpe ? bpe->find("ignore_merges") : nullptr;
    return whole_words && whole_words->is_bool() && whole_words->as_bool() ? "llama-bpe" : "smaug-bpe";
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

void set_tokenizer(GgufMetadata& m, const ModelFolder& model, const Config& c,
                   std::vector<std::string>& notes) {
  const std::string path = model.path() + "/tokenizer.json";
  if (!file_exists(path)) {
    notes.push_back("no tokenizer.json: the GGUF has no vocabulary");
    return;
  }
  const Json json = parse_json(read_file(path, int64_t{1} << 30), path, ErrorKind::kBadModel);
  const Json* bpe = json.find("model");
  const Json* vocab = bpe ? bpe->find("vocab") : nullptr;
  const Json* merges = bpe ? bpe->find("merges") : nullptr;
  if (!vocab || !vocab->is_object() || !merges || !merges->is_array())
    bad(path, "is no byte-level BPE tokenizer (model.vocab and model.merges)");
  const int64_t n = c.integer("vocab_size");
  std::vector<std::string> tokens(n);
  std::vector<int32_t> types(n, 5);  // unused, until named
  for (int64_t i = 0; i < n; ++i) tokens[i] = "[PAD" + std::to_string(i) + "]";
  const auto place = [&](const Json* id, const std::string& text, int32_t type) {
    if (!id || !id->is_int() || id->as_int() < 0 || id->as_int() >= n) return;
    tokens[id->as_int()] = text;
    types[id->as_int()] = type;
  };
  for (const auto& [text, id] : vocab->as_object()) place(&id, text, 1);
  std::string special_ids;
  if (const Json* added = json.find("added_tokens"); added && added->is_array())
    for (const Json& t : added->as_array()) {
      const Json* content = t.find("content");
      const Json* special = t.find("special");
      if (content && content->is_string())
        place(
            t.find("id"), content->as_string(),
            (special && special->is_bool() && special->as_bool()) || looks_like_control(content->as_string())
                ? 3
                : 4);
    }
  std::vector<std::string> pairs;
  for (const Json& merge : merges->as_array()) {
    if (merge.is_string()) {
      pairs.push_back(merge.as_string());
    } else if (merge.is_array() && merge.as_array().size() == 2 && merge.as_array()[0].is_string() &&
               merge.as_array()[1].is_string()) {
      pairs.push_back(merge.as_array()[0].as_string() + " " + merge.as_array()[1].as_string());
    } else {
      bad(path, "model.merges holds something else than pairs");
    }
  }
  m.set_string("tokenizer.ggml.model", "gpt2");
  m.set_string("tokenizer.ggml.pre", pre_tokenizer_name(c.text("model_type"), json));
  m.set_strings("tokenizer.ggml.tokens", tokens);
  m.set_i32s("tokenizer.ggml.token_type", types);
  m.set_strings("tokenizer.ggml.merges", pairs);
  const std::string config_path = model.path() + "/tokenizer_config.json";
  bool add_bos = false;
  Json config = Json::Object{};
  if (file_exists(config_path)) {
    config = parse_json(read_file(config_path, 64 << 20), config_path, ErrorKind::kBadModel);
    const Json* flag = config.find("add_bos_token");
    add_bos = flag && flag->is_bool() && flag->as_bool();
    const Json* chat = config.find("chat_template");
    if (chat && chat->is_string()) m.set_string("tokenizer.chat_template", chat->as_string());
  }
  // The tokenizer's own word first: config.json of a fine-tuned model often still has the old ids.
  const auto set_id = [&](const std::string& token, const char* name) {
    const Json* text = config.find(token);
    if (text && text->is_object()) text = text->find("content");
    if (text && text->is_string()) {
      const auto at = std::find(tokens.begin(), tokens.end(), text->as_string());
      if (at != tokens.end()) return m.set_u32(name, at - tokens.begin());
    }
    const Json* id = c.find((token + "_id").c_str());
    if (id && id->is_array() && !id->as_array().empty()) id = &id->as_array()[0];
    if (id && id->is_int() && id->as_int() >= 0) m.set_u32(name, id->as_int());
  };
  set_id("bos_token", "tokenizer.ggml.bos_token_id");
  set_id("eos_token", "tokenizer.ggml.eos_token_id");
  set_id("pad_token", "tokenizer.ggml.padding_token_id");
  m.set_bool("tokenizer.ggml.add_bos_token", add_bos);
  m.set_bool("tokenizer.ggml.add_eos_token", false);
}

class Naming {
 public:
  Naming(const ModelFolder& model, const Config& config, std::string arch, GgufType wide, GgufModel& out)
      : model_(model), config_(config), arch_(std::move(arch)), wide_(wide), out_(out) {}

  void run() {
    const int64_t n_layers = config_.integer("num_hidden_layers");
    const bool tied = config_.flag("tie_word_embeddings");
    static const std::regex layer(
        "model\\.layers\\.(\\d{1,6})\\.(.+)\\.(weight|bias|e_score_correction_bias)");
    static const std::regex expert("mlp\\.experts\\.(\\d{1,6})\\.(gate|up|down)_proj");
    for (const StoredTensor& t : model_.tensors()) {
      if (model_.is_companion(t)) continue;
      const std::string& name = t.info.name;
      std::smatch m, e;
      if (name == "model.embed_tokens.weight") {
        add("token_embd.weight", t);
      } else if (name == "model.norm.weight") {
        add("output_norm.weight", t);
      } else if (name == "lm_head.weight") {
        if (!tied) add("output.weight", t);
      } else if (!std::regex_match(name, m, layer)) {
        unknown(t);
      } else if (std::stoll(m[1]) >= n_layers) {
        ++n_mtp_;
      } else {
        const std::string prefix = "blk." + m[1].str() + ".", part = m[2], kind = m[3];
        const auto known = layer_names().find(part);
        if (part == "self_attn.kv_b_proj") {
          add_kv_b(prefix, t);
        } else if (std::regex_match(part, e, expert)) {
          experts_[prefix + "ffn_" + e[2].str() + "_exps.weight"][std::stoll(e[1])] = &t;
        } else if (kind == "e_score_correction_bias") {
          add(prefix + "exp_probs_b.bias", t);
        } else if (known == layer_names().end()) {
          if (part != "self_attn.rotary_emb") unknown(t);
        } else {
          add(prefix + known->second + "." + kind, t, order_of(part));
        }
      }
    }
    for (const auto& [name, parts] : experts_) add_experts(name, parts);
    if (const Rope rope(config_, model_.path() + "/config.json"); rope.type() == "llama3") {
      const int64_t hidden = config_.integer("hidden_size"), heads = config_.integer("num_attention_heads");
      GgufSource source;
      source.made = llama3_divisors(rope, config_.integer("head_dim", hidden / heads));
      const auto n = static_cast<int64_t>(source.made.size());
      push("rope_freqs.weight", {n}, std::move(source));
    }
    if (n_mtp_) out_.notes.push_back("left out: " + std::to_string(n_mtp_) + " tensors of the MTP layer");
  }

 private:
  [[noreturn]] void unknown(const StoredTensor& t) const {
    bad(model_.where(t), "has no name in GGUF for architecture " + arch_);
  }
  Order order_of(const std::string& part) const {
    const bool qk = part == "self_attn.q_proj" || part == "self_attn.k_proj";
    return qk && (arch_ == "llama" || arch_ == "deepseek") ? Order::kRotaryPairs : Order::kAsIs;
  }
  // Vectors and the router stay F32, as llama.cpp has them.
  GgufType type_of(const std::string& name, const std::vector<int64_t>& shape) const {
    if (shape.size() < 2 || name.find("ffn_gate_inp") != std::string::npos) return GgufType::kF32;
    return wide_ == GgufType::kQ8_0 && shape.back() % 32 != 0 ? GgufType::kBF16 : wide_;
  }
  void push(const std::string& name, std::vector<int64_t> shape, GgufSource source) {
    for (const StoredTensor* part : source.parts)
      if (const WeightCoding c = model_.coding(*part); !c.problem.empty())
        bad(model_.where(*part), c.problem);
    GgufTensor t;
    t.name = name;
    t.type = type_of(name, shape);
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
      const int64_t heads = config_.integer("num_attention_heads");
      const bool is_key = name.find("attn_k") != std::string::npos;
      source.n_heads = is_key ? config_.integer("num_key_value_heads", heads) : heads;
      const int64_t rows = shape.size() == 2 ? shape[0] : c.cols;
      if (rows % (2 * source.n_heads) != 0) bad(model_.where(t), "does not divide into heads of pairs");
    }
    push(name, std::move(shape), std::move(source));
  }
  void add_kv_b(const std::string& prefix, const StoredTensor& t) {
    GgufSource source;
    source.parts = {&t};
    source.n_heads = config_.integer("num_attention_heads");
    source.key_dim = config_.integer("qk_nope_head_dim");
    source.value_dim = config_.integer("v_head_dim");
    const int64_t latent = config_.integer("kv_lora_rank");
    if (t.info.shape != std::vector<int64_t>{source.n_heads * (source.key_dim + source.value_dim), latent})
      bad(model_.where(t), "has shape " + shape_text(t.info.shape) + ", which config.json does not explain");
    source.order = Order::kKeyB;
    push(prefix + "attn_k_b.weight", {source.n_heads, latent, source.key_dim}, source);
    source.order = Order::kValueB;
    push(prefix + "attn_v_b.weight", {source.n_heads, source.value_dim, latent}, source);
  }
  void add_experts(const std::string& name, const std::map<int64_t, const StoredTensor*>& parts) {
    GgufSource source;
    const int64_t n = config_.integer("n_routed_experts");
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
  const Config& config_;
  std::string arch_;
  GgufType wide_;
  GgufModel& out_;
  std::map<std::string, std::map<int64_t, const StoredTensor*>> experts_;
  int64_t n_mtp_ = 0;
};

}  // namespace

GgufModel name_for_gguf(const ModelFolder& model, GgufType wide) {
  const std::string where = model.path() + "/config.json";
  const Config config(model.config_json(), where);
  const Architecture* architecture = find_architecture(config.text("model_type"));
  if (!architecture || !architecture->gguf_name)
    bad(where, "model_type " + config.text("model_type") + " has no GGUF architecture here",
        "llama, qwen2, qwen3, deepseek, deepseek_v2 and deepseek_v3 have");
  GgufModel out;
  set_model_metadata(out.metadata, config, architecture->gguf_name, wide, where);
  set_tokenizer(out.metadata, model, config, out.notes);
  Naming(model, config, architecture->gguf_name, wide, out).run();
  return out;
}

}  // namespace ds::quant
