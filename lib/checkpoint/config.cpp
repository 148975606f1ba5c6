#include "checkpoint/config.h"

#include <algorithm>
#include <cmath>

#include "checkpoint/architecture.h"
#include "core/error.h"
#include "core/json_value.h"

namespace ds::checkpoint {
namespace {

// Reads keys of one JSON object, with messages that name the key and the file.
class ConfigReader {
 public:
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  [[noreturn]] void bad(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::kBadModel, key + " " + what, where_, "this config.json cannot be used");
  }
  // nullptr when absent or null.
  const Json* find(const std::string& key) const {
    const Json* value = ds::find(object_, key);
    return value && !value->is_null() ? value : nullptr;
  }
  bool has(const std::string& key) const { return ds::find(object_, key) != nullptr; }  // null counts
  int64_t integer(const std::string& key, int64_t fallback, int64_t low,
                  int64_t high = int64_t{1} << 31) const {
    const Json* value = find(key);
    if (!value) return fallback;
    // Some vendors write 4096.0.
    const bool whole =
        is_int(*value) || (value->is_number() && value->get<double>() == std::floor(value->get<double>()));
    if (!whole || value->get<double>() < static_cast<double>(low) ||
        value->get<double>() > static_cast<double>(high))
      bad(key, "is " + dump(*value) + ", a whole number from " + std::to_string(low) + " to " +
                   std::to_string(high) + " was expected");
    return static_cast<int64_t>(value->get<double>());
  }
  int64_t required(const std::string& key, int64_t high = int64_t{1} << 31) const {
    if (!find(key)) bad(key, "is missing");
    return integer(key, 0, 1, high);
  }
  double number(const std::string& key, double fallback, double low, double high) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_number() || !(value->get<double>() >= low) || !(value->get<double>() <= high))
      bad(key, "is " + dump(*value) + ", a number from " + dump(Json(low)) + " to " + dump(Json(high)) +
                   " was expected");
    return value->get<double>();
  }
  bool boolean(const std::string& key, bool fallback) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) bad(key, "is " + dump(*value) + ", true or false was expected");
    return value->get<bool>();
  }
  std::string text(const std::string& key, const std::string& fallback) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_string()) bad(key, "is " + dump(*value) + ", a string was expected");
    return as_string(*value);
  }
  std::string one_of(const std::string& key, const std::string& fallback,
                     std::initializer_list<const char*> known) const {
    const std::string value = text(key, fallback);
    std::string list;
    for (const char* k : known) {
      if (value == k) return value;
      list += (list.empty() ? "" : ", ") + std::string(k);
    }
    bad(key, "is '" + value + "', known are: " + list);
  }

 private:
  const Json& object_;
  std::string where_;
};

// An unknown family is refused by name elsewhere.
const ConfigDefaults& family_defaults(const std::string& model_type) {
  static constexpr ConfigDefaults kNone;
  const Architecture* architecture = find_architecture(model_type);
  return architecture ? architecture->defaults : kNone;
}

// A frequency divided by a number of its own each: what "longrope" is when it is the same at every length.
void parse_divisors(const ConfigReader& keys, RopeScaling& rs) {
  rs.type = RopeScaling::Type::kDivisors;
  const Json *near = keys.find("short_factor"), *far = keys.find("long_factor");
  if (!near || !near->is_array())
    keys.bad("short_factor", "is missing or no list, and rope type longrope needs it");
  if (!far || *near != *far)
    keys.bad("long_factor",
             "differs from short_factor, and frequencies that depend on the length are not supported");
  for (const Json& divisor : *near) {
    if (!divisor.is_number() || !(divisor.get<double>() >= 1e-6) || !(divisor.get<double>() <= 1e12))
      keys.bad("short_factor", "has " + dump(divisor) + ", a number above 0 was expected");
    rs.divisors.push_back(divisor.get<float>());
  }
  const double longer = std::max(rs.factor, 1.0),
               original = std::max(rs.original_max_position_embeddings, 2.0);
  rs.attention_factor =
      keys.number("attention_factor", std::sqrt(1 + std::log(longer) / std::log(original)), 1e-3, 1e3);
}

RopeScaling parse_rope_scaling(const ConfigReader& keys, int64_t max_position_embeddings) {
  RopeScaling rs;
  const std::string type = keys.text("rope_type", keys.text("type", "default"));
  if (type == "default") return rs;
  if (type != "linear" && type != "llama3" && type != "yarn" && type != "longrope")
    keys.bad("rope_scaling", "has type '" + type + "', known are: default, linear, llama3, yarn, longrope");
  // Without it the context given is the one that was trained, as transformers assumes too.
  const auto longest = static_cast<double>(max_position_embeddings);
  rs.original_max_position_embeddings = keys.number("original_max_position_embeddings", longest, 1, 1e12);
  if (!keys.find("factor") &&
      !(type != "linear" && type != "llama3" && keys.find("original_max_position_embeddings")))
    keys.bad("factor", "is missing");
  rs.factor = keys.number("factor", longest / rs.original_max_position_embeddings, 1e-3, 1e6);
  if (type == "longrope") {
    parse_divisors(keys, rs);
    return rs;
  }
  if (type == "linear") {
    rs.type = RopeScaling::Type::kLinear;
    return rs;
  }
  if (type == "llama3") {
    rs.type = RopeScaling::Type::kLlama3;
    for (const char* key : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
      if (!keys.find(key)) keys.bad(key, "is missing, and rope type llama3 has no default for it");
    rs.low_freq_factor = keys.number("low_freq_factor", 1, 1e-3, 1e6);
    rs.high_freq_factor = keys.number("high_freq_factor", 4, 1e-3, 1e6);
    if (rs.low_freq_factor == rs.high_freq_factor) keys.bad("high_freq_factor", "equals low_freq_factor");
    return rs;
  }
  rs.type = RopeScaling::Type::kYarn;
  rs.beta_fast = keys.number("beta_fast", 32, 1e-3, 1e6);
  rs.beta_slow = keys.number("beta_slow", 1, 1e-3, 1e6);
  rs.truncate = keys.boolean("truncate", true);
  rs.mscale = keys.number("mscale", 0, 0, 1e3);
  rs.mscale_all_dim = keys.number("mscale_all_dim", 0, 0, 1e3);
  rs.attention_factor = keys.number("attention_factor", 0, 0, 1e3);
  rs.attn_factor = keys.number("attn_factor", 0, 0, 1e3);
  return rs;
}

// A list of a string for each layer, as transformers 5 writes them; empty when there is none.
std::vector<std::string> layer_list(const ConfigReader& keys, const char* key, int64_t n_layers) {
  std::vector<std::string> out;
  const Json* list = keys.find(key);
  if (!list) return out;
  bool ok = list->is_array() && static_cast<int64_t>(list->size()) >= n_layers;
  for (int64_t i = 0; ok && i < n_layers; ++i) {
    ok = (*list)[i].is_string();
    if (ok) out.push_back(as_string((*list)[i]));
  }
  if (!ok) keys.bad(key, "is no list of a string for each of " + std::to_string(n_layers) + " layers");
  return out;
}

// Which layers see the last sliding_window tokens only.
void parse_windows(const ConfigReader& keys, ModelConfig& c) {
  using Windows = ConfigDefaults::Windows;
  const ConfigDefaults& defaults = family_defaults(c.model_type);
  const int64_t absent = defaults.sliding_window;
  c.sliding_window =
      keys.integer("sliding_window", keys.has("sliding_window") ? 0 : absent, 1, int64_t{1} << 40);
  std::vector<bool> windowed(c.num_hidden_layers, false);
  const std::vector<std::string> types = layer_list(keys, "layer_types", c.num_hidden_layers);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    if (!types.empty()) {
      const std::string& type = types[i];
      windowed[i] = type == "sliding_attention";
      if (windowed[i] && !c.sliding_window)
        keys.bad("sliding_window", "is missing, and layer_types asks for it");
      if (!windowed[i] && type != "full_attention" &&
          !(type == "indexed_attention" && defaults.indexed_attention))
        keys.bad("layer_types", "has '" + type + "', which is not supported");
    } else if (defaults.windows == Windows::kSwitched) {  // a switch, and the first layers that see all
      windowed[i] = c.sliding_window && keys.boolean("use_sliding_window", false) &&
                    i >= keys.integer("max_window_layers", 28, 0);
    } else {
      windowed[i] = defaults.windows == Windows::kAll && c.sliding_window;
    }
  }
  const bool any = std::find(windowed.begin(), windowed.end(), true) != windowed.end();
  if (any && c.sliding_window < c.max_position_embeddings) c.windowed_layers = std::move(windowed);
}

// Which layers are mixtures of experts, where the config says it layer by layer.
void parse_mlp_layers(const ConfigReader& keys, ModelConfig& c) {
  for (const std::string& type : layer_list(keys, "mlp_layer_types", c.num_hidden_layers)) {
    if (type != "dense" && type != "sparse")
      keys.bad("mlp_layer_types", "has '" + type + "', dense or sparse was expected");
    c.mlp_layer_types.push_back(type == "sparse");
  }
  if (!family_defaults(c.model_type).sparse_step || !c.mlp_layer_types.empty()) return;
  // Every decoder_sparse_step-th layer, but for those listed.
  const int64_t step = keys.integer("decoder_sparse_step", 1, 1);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) c.mlp_layer_types.push_back((i + 1) % step == 0);
  const Json* dense = keys.find("mlp_only_layers");
  if (!dense) return;
  if (!dense->is_array()) keys.bad("mlp_only_layers", "is no list");
  for (const Json& i : *dense) {
    if (!is_int(i) || as_int(i) < 0) keys.bad("mlp_only_layers", "is " + dump(*dense));
    if (as_int(i) < c.num_hidden_layers) c.mlp_layer_types[as_int(i)] = false;
  }
}

void parse_rope(const ConfigReader& keys, const std::string& where, ModelConfig& c) {
  // transformers 5 moves rope_theta and rope_scaling into rope_parameters.
  const Json* rope_parameters = keys.find("rope_parameters");
  const Json* rope_scaling = keys.find("rope_scaling");
  c.rope_theta = keys.number("rope_theta", 10000, 1, 1e12);
  const auto check = [](const ConfigReader& rope) {
    if (rope.number("partial_rotary_factor", 1, 0, 1) != 1)
      rope.bad("partial_rotary_factor", "is not 1, which is not supported");
  };
  check(keys);
  for (const auto& [name, json] :
       {std::pair("rope_parameters", rope_parameters), std::pair("rope_scaling", rope_scaling)}) {
    if (!json) continue;
    if (!json->is_object()) keys.bad(name, "is no object");
    const ConfigReader rope(*json, where + ": " + name);
    for (const auto& [key, value] : json->items())
      if (value.is_object())
        rope.bad(key, "is an object: different RoPE for different layers is not supported");
    check(rope);
    c.rope_theta = rope.number("rope_theta", c.rope_theta, 1, 1e12);
    c.rope_scaling = parse_rope_scaling(rope, c.max_position_embeddings);
    // Model cards tell users to add YaRN to a config that still has the shorter context.
    const RopeScaling& rs = c.rope_scaling;
    if (rs.type == RopeScaling::Type::kYarn && rope.find("original_max_position_embeddings"))
      c.max_position_embeddings =
          std::max(c.max_position_embeddings,
                   static_cast<int64_t>(std::min(rs.factor * rs.original_max_position_embeddings, 0x1p31)));
  }
}

void parse_experts(const ConfigReader& keys, ModelConfig& c) {
  const ConfigDefaults& defaults = family_defaults(c.model_type);
  c.n_routed_experts = keys.integer(defaults.n_experts_key, 0, 1, 1 << 16);
  if (!c.n_routed_experts) return;
  // A key that says null says none; a key that is absent says nothing.
  const auto integer = [&](const char* key, int64_t absent, int64_t null, int64_t low, int64_t high) {
    return keys.integer(key, keys.has(key) ? null : absent, low, high);
  };
  constexpr int64_t kManyLayers = int64_t{1} << 31;
  c.n_shared_experts = integer("n_shared_experts", defaults.n_shared_experts, 0, 0, 1 << 10);
  c.num_experts_per_tok = keys.required("num_experts_per_tok", c.n_routed_experts);
  c.moe_intermediate_size = keys.required("moe_intermediate_size", 1 << 24);
  c.first_k_dense_replace =
      integer("first_k_dense_replace", defaults.first_k_dense_replace, 0, 0, kManyLayers);
  c.moe_layer_freq = keys.integer("moe_layer_freq", 1, 1);
  c.scoring_func = keys.one_of("scoring_func", defaults.scoring_func, {"softmax", "sigmoid"});
  c.topk_method =
      keys.one_of("topk_method", defaults.topk_method, {"greedy", "group_limited_greedy", "noaux_tc"});
  c.norm_topk_prob = keys.boolean("norm_topk_prob", defaults.norm_topk_prob);
  c.routed_scaling_factor = keys.number("routed_scaling_factor", defaults.routed_scaling_factor, 0, 1e6);
  if (c.mlp_bias) keys.bad("mlp_bias", "is true, which is not supported for experts");
  if (c.topk_method == "greedy") return;
  c.n_group = integer("n_group", defaults.n_group, 1, 1, c.n_routed_experts);
  c.topk_group = integer("topk_group", std::min(defaults.topk_group, c.n_group), 1, 1, c.n_group);
  if (c.n_routed_experts % c.n_group) keys.bad("n_routed_experts", "is no multiple of n_group");
  if (c.num_experts_per_tok > c.topk_group * (c.n_routed_experts / c.n_group))
    keys.bad("num_experts_per_tok", "is more than the experts of topk_group groups");
}

// compressed-tensors says it once a group of layers; what differs between them only the scales' shapes tell.
const Json* block_structure(const Json& quantization) {
  const Json* groups = find(quantization, "config_groups");
  const Json* found = nullptr;
  if (!groups || !groups->is_object()) return nullptr;
  for (const auto& [name, group] : groups->items()) {
    const Json* weights = find(group, "weights");
    const Json* block = weights ? find(*weights, "block_structure") : nullptr;
    if (!block || block->is_null()) continue;
    if (found && dump(*found) != dump(*block)) return nullptr;
    found = block;
  }
  return found;
}

}  // namespace

QuantizationConfig parse_quantization_config(const Json& json, const std::string& where) {
  QuantizationConfig q;
  const Json* quantization = find(json, "quantization_config");
  if (!quantization) quantization = find(json, "compression_config");  // compressed-tensors once called it so
  if (!quantization || !quantization->is_object()) return q;
  if (const Json* method = find(*quantization, "quant_method"); method && method->is_string())
    q.method = as_string(*method);
  const Json* block = find(*quantization, "weight_block_size");
  const char* key = "weight_block_size";
  if (!block || block->is_null()) block = block_structure(*quantization), key = "block_structure";
  if (!block) return q;
  const auto positive = [](const Json& v) { return is_int(v) && as_int(v) > 0 && as_int(v) <= (1 << 20); };
  if (!block->is_array() || block->size() != 2 || !positive((*block)[0]) || !positive((*block)[1]))
    ConfigReader(json, where).bad(key, "is " + dump(*block) + ", two positive whole numbers were expected");
  q.block_rows = as_int((*block)[0]);
  q.block_cols = as_int((*block)[1]);
  return q;
}

ModelConfig parse_model_config(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(ErrorKind::kBadModel, "is no JSON object", where);
  const ConfigReader keys(json, where);
  ModelConfig c;
  c.path = where;
  c.model_type = keys.text("model_type", "");
  if (c.model_type.empty()) keys.bad("model_type", "is missing");
  // A family that is not run yet spells its keys its own way: its name comes first.
  if (const Architecture* family = find_architecture(c.model_type); family && !family->block)
    require_architecture(c.model_type, where);

  c.vocab_size = keys.required("vocab_size", 1 << 24);
  c.hidden_size = keys.required("hidden_size", 1 << 20);
  c.num_hidden_layers = keys.required("num_hidden_layers", 1 << 12);
  c.intermediate_size = keys.required("intermediate_size", 1 << 24);
  c.num_attention_heads = keys.required("num_attention_heads", 1 << 14);
  const ConfigDefaults& defaults = family_defaults(c.model_type);
  c.num_key_value_heads = keys.integer(
      "num_key_value_heads",
      defaults.num_key_value_heads ? defaults.num_key_value_heads : c.num_attention_heads, 1, 1 << 14);
  c.num_nextn_predict_layers = keys.integer("num_nextn_predict_layers", 0, 0, 1 << 12);
  c.max_position_embeddings = keys.integer("max_position_embeddings", defaults.max_position_embeddings, 1);
  c.rms_norm_eps = keys.number("rms_norm_eps", 1e-6, 0, 1);
  c.tie_word_embeddings = keys.boolean("tie_word_embeddings", false);
  keys.one_of("hidden_act", "silu", {"silu", "swish"});
  c.attention_bias = keys.boolean("attention_bias", false);
  c.mlp_bias = keys.boolean("mlp_bias", false);
  parse_rope(keys, where, c);
  parse_windows(keys, c);
  parse_mlp_layers(keys, c);

  c.kv_lora_rank = keys.integer("kv_lora_rank", 0, 1, 1 << 20);
  const bool mla = defaults.latent_attention;
  if (mla && !c.kv_lora_rank) keys.bad("kv_lora_rank", "is missing");
  if (!mla && c.kv_lora_rank) keys.bad("kv_lora_rank", "does not belong to model_type " + c.model_type);
  if (c.kv_lora_rank) {
    c.q_lora_rank = keys.integer("q_lora_rank", 0, 1, 1 << 20);
    c.qk_nope_head_dim = keys.required("qk_nope_head_dim", 1 << 16);
    c.qk_rope_head_dim = keys.required("qk_rope_head_dim", 1 << 16);
    c.v_head_dim = keys.required("v_head_dim", 1 << 16);
    c.rope_interleave = keys.boolean("rope_interleave", true);
    if (c.qk_rope_head_dim % 2) keys.bad("qk_rope_head_dim", "is odd");
    c.index_n_heads = keys.integer("index_n_heads", 0, 1, 1 << 14);
    c.index_head_dim = keys.integer("index_head_dim", 0, 1, 1 << 16);
    c.index_topk = keys.integer("index_topk", 0, 1);
  } else {
    c.head_dim = keys.integer("head_dim", defaults.head_dim, 1, 1 << 16);
    if (!c.head_dim) {
      if (c.hidden_size % c.num_attention_heads)
        keys.bad("hidden_size", "is no multiple of num_attention_heads, and head_dim is missing");
      c.head_dim = c.hidden_size / c.num_attention_heads;
    }
    if (c.head_dim % 2) keys.bad("head_dim", "is odd");
    if (c.num_attention_heads % c.num_key_value_heads)
      keys.bad("num_attention_heads", "is no multiple of num_key_value_heads");
  }

  const int64_t rotated = c.kv_lora_rank ? c.qk_rope_head_dim : c.head_dim;
  if (const auto n = static_cast<int64_t>(c.rope_scaling.divisors.size()); n != 0 && n != rotated / 2)
    keys.bad("rope_scaling", "has " + std::to_string(n) + " factors for " + std::to_string(rotated) +
                                 " rotated dimensions, half as many were expected");

  parse_experts(keys, c);

  if (const Json* eos = keys.find("eos_token_id")) {
    const auto add = [&](const Json& id) {
      if (!is_int(id) || as_int(id) < 0 || as_int(id) >= int64_t{1} << 31)
        keys.bad("eos_token_id", "is " + dump(*eos));
      c.eos_token_ids.push_back(static_cast<int32_t>(as_int(id)));
    };
    if (eos->is_array()) {
      for (const Json& id : *eos) add(id);
    } else {
      add(*eos);
    }
  }
  return c;
}

}  // namespace ds::checkpoint
