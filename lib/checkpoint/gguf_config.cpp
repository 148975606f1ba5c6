#include "checkpoint/gguf_config.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "checkpoint/architecture.h"
#include "checkpoint/families.h"
#include "checkpoint/format.h"
#include "core/error.h"

namespace ds::checkpoint {
namespace {

// llama.cpp's defaults for what a file leaves out.
constexpr double kFreqBase = 10000, kBetaFast = 32, kBetaSlow = 1;

// The metadata of one architecture, its keys without the prefix.
class Keys {
 public:
  explicit Keys(const GgufParts& parts) : parts_(parts), prefix_(parts.architecture() + ".") {}

  const Json* find(const std::string& key) const {
    const Json* value = ds::find(parts_.metadata, prefix_ + key);
    return value && !value->is_null() ? value : nullptr;
  }
  const Json& required(const std::string& key) const {
    if (const Json* value = find(key)) return *value;
    throw Error(ErrorKind::kBadModel, prefix_ + key + " is missing", parts_.path,
                "the GGUF is damaged or made by a converter that is not known here");
  }
  // 0 for what is absent or no number: who reads the config refuses senseless values by name.
  double number(const std::string& key, double absent = 0) const {
    const Json* value = find(key);
    return value && value->is_number() ? value->get<double>() : absent;
  }
  Json or_else(const std::string& key, Json absent) const {
    const Json* value = find(key);
    return value ? *value : absent;
  }

 private:
  const GgufParts& parts_;
  std::string prefix_;
};

class ConfigMaker {
 public:
  explicit ConfigMaker(const GgufParts& parts) : parts_(parts), arch_(parts.architecture()), keys_(parts) {}

  Json make() {
    out_ = Json::object();
    out_["model_type"] = model_type();
    add_sizes();
    add_attention();
    if (keys_.find("expert_count")) add_experts();
    const Json scaling = rope_scaling();
    if (!scaling.is_null()) out_["rope_scaling"] = scaling;
    Json::array_t ends;
    for (const char* id : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
      const Json* value = ds::find(parts_.metadata, std::string("tokenizer.ggml.") + id);
      if (value && std::find(ends.begin(), ends.end(), *value) == ends.end()) ends.push_back(*value);
    }
    if (!ends.empty()) out_["eos_token_id"] = ends;
    return std::move(out_);
  }

 private:
  // Files of V2 and V3 differ by their gate alone.
  std::string model_type() const {
    if (arch_ == "deepseek2" && keys_.number("expert_gating_func") == 2) return "deepseek_v3";
    std::string known;
    for (const auto& family : {llama_family(), deepseek_family()})
      for (const Architecture& a : family) {
        if (!a.gguf_name || known.find(a.gguf_name + std::string(",")) != known.npos) continue;
        if (arch_ == a.gguf_name) return a.model_type;
        known += std::string(a.gguf_name) + ", ";
      }
    throw Error(ErrorKind::kBadModel,
                arch_.empty() ? "general.architecture is missing"
                              : "architecture " + arch_ + " is not read from GGUF; read are " +
                                    known.substr(0, known.size() - 2),
                parts_.path, "give the model folder with safetensors");
  }

  const GgufTensorPlace& embedding() const {
    const GgufTensorPlace* t = parts_.find("token_embd.weight");
    if (t && t->shape.size() == 2) return *t;
    throw Error(ErrorKind::kBadModel, "tensor token_embd.weight is missing or no matrix", parts_.path,
                "is this a vocabulary or an adapter alone? a whole model is needed");
  }

  void add_sizes() {
    const auto n_predict = static_cast<int64_t>(keys_.number("nextn_predict_layers"));
    out_["vocab_size"] = embedding().shape[0];
    out_["hidden_size"] = keys_.required("embedding_length");
    const Json& layers = keys_.required("block_count");
    out_["num_hidden_layers"] = is_int(layers) ? Json(as_int(layers) - n_predict) : layers;
    if (n_predict) out_["num_nextn_predict_layers"] = n_predict;
    out_["intermediate_size"] = keys_.find("feed_forward_length") || !keys_.find("expert_feed_forward_length")
                                    ? keys_.required("feed_forward_length")
                                    : keys_.required("expert_feed_forward_length");
    out_["max_position_embeddings"] = keys_.required("context_length");
    out_["rms_norm_eps"] = keys_.required("attention.layer_norm_rms_epsilon");
    out_["rope_theta"] = keys_.or_else("rope.freq_base", kFreqBase);
    out_["tie_word_embeddings"] = !parts_.find("output.weight");
    out_["hidden_act"] = "silu";
    if (parts_.find("blk.0.attn_output.bias")) out_["attention_bias"] = true;
  }

  void add_attention() {
    const Json& heads = keys_.required("attention.head_count");
    out_["num_attention_heads"] = heads;
    if (!keys_.find("attention.kv_lora_rank")) {
      out_["num_key_value_heads"] = keys_.or_else("attention.head_count_kv", heads);
      if (const Json* dim = keys_.find("attention.key_length")) {
        out_["head_dim"] = *dim;
      } else if (is_int(heads) && as_int(heads) > 0 && is_int(out_["hidden_size"])) {
        out_["head_dim"] = as_int(out_["hidden_size"]) / as_int(heads);
      }
      return;
    }
    out_["num_key_value_heads"] = heads;
    out_["kv_lora_rank"] = keys_.required("attention.kv_lora_rank");
    if (keys_.number("attention.q_lora_rank") > 0)
      out_["q_lora_rank"] = keys_.required("attention.q_lora_rank");
    // Older files give one head's sizes; newer ones those of the cached latent, and heads under other names.
    const bool split = keys_.find("attention.key_length_mla");
    const Json& key = keys_.required(split ? "attention.key_length_mla" : "attention.key_length");
    const Json& rope = keys_.required("rope.dimension_count");
    out_["qk_rope_head_dim"] = rope;
    out_["qk_nope_head_dim"] = is_int(key) && is_int(rope) ? Json(as_int(key) - as_int(rope)) : key;
    out_["v_head_dim"] = keys_.required(split ? "attention.value_length_mla" : "attention.value_length");
  }

  void add_experts() {
    const bool is_qwen = arch_ == "qwen3moe";
    out_[is_qwen ? "num_experts" : "n_routed_experts"] = keys_.required("expert_count");
    out_["num_experts_per_tok"] = keys_.required("expert_used_count");
    out_["moe_intermediate_size"] = keys_.required("expert_feed_forward_length");
    out_["n_shared_experts"] = keys_.or_else("expert_shared_count", 0);
    out_["first_k_dense_replace"] = keys_.or_else("leading_dense_block_count", 0);
    out_["norm_topk_prob"] = keys_.or_else("expert_weights_norm", is_qwen);
    const double scale = keys_.number("expert_weights_scale");
    out_["routed_scaling_factor"] = scale > 0 ? scale : 1.0;
    const double gate = keys_.number("expert_gating_func", 1);
    out_["scoring_func"] = gate == 2 ? "sigmoid" : gate <= 1 ? "softmax" : "unknown";
    const bool has_groups = keys_.number("expert_group_count") > 1;
    const bool has_bias = std::any_of(
        parts_.tensors.begin(), parts_.tensors.end(),
        [](const GgufTensorPlace& t) { return t.name.find(".exp_probs_b") != std::string::npos; });
    out_["topk_method"] = has_bias ? "noaux_tc" : has_groups ? "group_limited_greedy" : "greedy";
    out_["n_group"] = keys_.or_else("expert_group_count", 1);
    out_["topk_group"] = keys_.or_else("expert_group_used_count", 1);
    if (is_qwen) out_["mlp_only_layers"] = dense_layers();
  }

  // No key says which layers of qwen3moe have no experts: their tensors do.
  Json dense_layers() const {
    Json::array_t layers;
    for (const GgufTensorPlace& t : parts_.tensors) {
      if (!t.name.starts_with("blk.") || !t.name.ends_with(".ffn_gate.weight")) continue;
      int64_t layer = -1;
      std::from_chars(t.name.data() + 4, t.name.data() + t.name.size(), layer);
      if (layer >= 0) layers.push_back(layer);
    }
    return layers;
  }

  Json rope_scaling() const {
    if (const GgufTensorPlace* divisors = parts_.find("rope_freqs.weight")) return divided_by(*divisors);
    const double factor = keys_.number("rope.scaling.factor", keys_.number("rope.scale_linear"));
    const Json type = keys_.or_else("rope.scaling.type", "linear");
    if (!type.is_string() || as_string(type) == "none" || (as_string(type) == "linear" && factor == 0))
      return {};
    Json rope = Json::object();
    rope["rope_type"] = type;
    rope["factor"] = factor;
    if (as_string(type) != "yarn") return rope;
    rope["original_max_position_embeddings"] = keys_.required("rope.scaling.original_context_length");
    rope["beta_fast"] = keys_.or_else("rope.scaling.yarn_beta_fast", kBetaFast);
    rope["beta_slow"] = keys_.or_else("rope.scaling.yarn_beta_slow", kBetaSlow);
    // It is 0.1 mscale_all_dim. mscale is not said, and the same in all models there are.
    if (const double multiplier = keys_.number("rope.scaling.yarn_log_multiplier"); multiplier > 0)
      rope["mscale"] = rope["mscale_all_dim"] = 10 * multiplier;
    if (const Json* attention = keys_.find("rope.scaling.yarn_attn_factor")) rope["attn_factor"] = *attention;
    return rope;
  }

  // Llama 3's scaling comes as what it divides each frequency by. "longrope" is what configs call that.
  Json divided_by(const GgufTensorPlace& t) const {
    if (t.shape.size() != 1 || t.dtype != DType::kF32 || t.shape[0] > 1 << 16)
      throw Error(ErrorKind::kBadModel,
                  "has shape " + shape_text(t.shape) + " and type " + t.type_name +
                      ", a short list of F32 was expected",
                  parts_.path + ": tensor " + t.name, "the file is damaged: fetch it again");
    std::vector<float> divisors(static_cast<size_t>(t.shape[0]));
    const WeightFile& file = parts_.files[static_cast<size_t>(t.file)];
    read_at(file.fd.get(), divisors.data(), t.bytes, t.offset, file.path);
    Json rope = Json::object();
    rope["rope_type"] = "longrope";
    rope["factor"] = 1.0;
    rope["attention_factor"] = 1.0;
    rope["original_max_position_embeddings"] = keys_.required("context_length");
    rope["short_factor"] = rope["long_factor"] = Json::array_t(divisors.begin(), divisors.end());
    return rope;
  }

  const GgufParts& parts_;
  std::string arch_;
  Keys keys_;
  Json out_;
};

}  // namespace

Json gguf_config(const GgufParts& parts) { return ConfigMaker(parts).make(); }

std::string gguf_above(const std::string& path) {
  struct stat st {};
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || ::stat(path.c_str(), &st) == 0 || errno != ENOTDIR) return "";
  const std::string above = path.substr(0, slash);
  return is_gguf_file(above) ? above : "";
}

bool gguf_member_exists(const std::string& gguf, const std::string& member) {
  if (member == "config.json") return true;
  if (member != "tokenizer.json" && member != "tokenizer_config.json") return false;
  const Json metadata = read_gguf_metadata(gguf, GgufArrays::kSkipLong);
  const Json* model = find(metadata, "tokenizer.ggml.model");
  return model && !(model->is_string() && as_string(*model) == "none");
}

std::string gguf_member_text(const std::string& gguf, const std::string& member) {
  if (member == "config.json") return dump(gguf_config(open_gguf(gguf, GgufArrays::kSkipLong)));
  const Json metadata = read_gguf_metadata(gguf, GgufArrays::kRead);
  if (member == "tokenizer.json") return gguf_tokenizer_json(metadata, gguf);
  return dump(gguf_tokenizer_config(metadata));
}

}  // namespace ds::checkpoint
