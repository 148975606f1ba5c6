#include "infer/generation_config.h"

#include <algorithm>

#include "checkpoint/model_file.h"
#include "core/json_members.h"

namespace ds::infer {
namespace {

struct Recommendation {
  const char* model_type;
  double temperature, top_p;
};
// From the model cards. Llama and Qwen stand for the R1 distills; V3 for R1 and V3.1, which say 0.6 (V3-0324:
// 0.3 is in its generation_config.json).
constexpr Recommendation kRecommendations[] = {
    {"deepseek", 0.7, 0.9},      {"deepseek_v2", 0.3, 1.0}, {"deepseek_v3", 0.6, 0.95},
    {"deepseek_v32", 1.0, 0.95}, {"deepseek_v4", 1.0, 1.0}, {"llama", 0.6, 0.95},
    {"qwen2", 0.6, 0.95},        {"qwen3", 0.6, 0.95},
};

void add_stop_id(std::vector<int32_t>& ids, const Json& value, const std::string& path) {
  if (!value.is_int() || value.as_int() < 0 || value.as_int() > INT32_MAX)
    throw Error(ErrorKind::kBadModel, "eos_token_id must be a token id or a list of token ids", path);
  const int32_t id = static_cast<int32_t>(value.as_int());
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

// Reads the keys of generation_config.json one by one, so that a bad one spoils nothing but itself.
class ConfigReader {
 public:
  ConfigReader(const Json& json, const std::string& path, GenerationConfig& out)
      : members_(json, path, ErrorKind::kBadModel), out_(out) {}

  void read() {
    SamplingParams& sampling = out_.defaults.sampling;
    const Json* sample = members_.find("do_sample");
    if (sample && sample->is_bool() && !sample->as_bool())
      sampling.temperature = 0;
    else
      number("temperature", "temperature", &SamplingParams::temperature);
    number("top_p", "top_p", &SamplingParams::top_p);
    number("min_p", "min_p", &SamplingParams::min_p);
    number("repetition_penalty", "repeat_penalty", &SamplingParams::repeat_penalty);
    attempt("top_k", [&] {
      // -1 is vLLM's word for "off".
      const auto top_k = members_.integer("top_k");
      if (top_k) set("top_k", &SamplingParams::top_k, *top_k == -1 ? 0 : *top_k);
    });
    attempt("max_tokens", [&] {
      out_.defaults.max_tokens = members_.count("max_new_tokens").value_or(out_.defaults.max_tokens);
    });
    attempt("eos_token_id", [&] {
      const Json* eos = members_.find("eos_token_id");
      if (!eos) return;
      const Json::Array one{*eos};
      for (const Json& id : eos->is_array() ? eos->as_array() : one)
        add_stop_id(out_.stop_ids, id, members_.where());
    });
  }

 private:
  template <class F>
  void attempt(std::string_view setting, F&& read_key) {
    try {
      read_key();
    } catch (const Error& e) {
      out_.defaults.faults.push_back({setting, e});
    }
  }
  void number(const char* key, std::string_view setting, double SamplingParams::*param) {
    attempt(setting, [&] {
      if (const auto value = members_.number(key)) set(key, param, *value);
    });
  }
  template <class T>
  void set(const std::string& key, T SamplingParams::*param, T value) {
    SamplingParams changed;
    changed.*param = value;
    try {
      check_sampling(changed, ErrorKind::kBadModel, members_.where());
    } catch (const Error& e) {
      // "repeat_penalty must be ...", by the key's name.
      const std::string what = e.what();
      throw Error(e.kind(), key + what.substr(what.find(' ')), e.where());
    }
    out_.defaults.sampling.*param = value;
  }

  JsonMembers members_;
  GenerationConfig& out_;
};

// Whether a setting of the file has a say.
bool matters(std::string_view setting, const GenerationOverrides& o, const SamplingParams& sampling) {
  if (setting == "temperature") return !o.temperature;
  if (setting == "max_tokens") return !o.max_tokens;
  if (setting == "repeat_penalty") return !o.repeat_penalty;
  const bool draws = sampling.temperature > 0;
  if (setting == "top_k") return draws && !o.top_k;
  if (setting == "top_p") return draws && !o.top_p;
  if (setting == "min_p") return draws && !o.min_p;
  return true;
}

}  // namespace

SamplingParams recommended_sampling(const std::string& model_type) {
  SamplingParams params;
  for (const Recommendation& r : kRecommendations) {
    if (model_type != r.model_type) continue;
    params.temperature = r.temperature;
    params.top_p = r.top_p;
  }
  return params;
}

GenerationSettings with_overrides(GenerationSettings settings, const GenerationOverrides& o, ErrorKind kind,
                                  const std::string& where) {
  SamplingParams& s = settings.sampling;
  s.temperature = o.temperature.value_or(s.temperature);
  s.top_k = o.top_k.value_or(s.top_k);
  s.top_p = o.top_p.value_or(s.top_p);
  s.min_p = o.min_p.value_or(s.min_p);
  s.repeat_penalty = o.repeat_penalty.value_or(s.repeat_penalty);
  if (o.seed) s.seed = static_cast<uint64_t>(*o.seed);
  settings.max_tokens = o.max_tokens.value_or(settings.max_tokens);
  if (o.stop) settings.stop = *o.stop;
  if (settings.max_tokens < 0)
    throw Error(kind, "max_tokens must be 0 (until the context is full) or more", where);
  check_sampling(s, kind, where);
  for (const SettingFault& fault : settings.faults)
    if (matters(fault.setting, o, s)) throw fault.error;
  settings.faults.clear();
  return settings;
}

GenerationConfig read_generation_config(const std::string& folder, const ModelConfig& config) {
  GenerationConfig out;
  out.defaults.sampling = recommended_sampling(config.model_type);
  out.stop_ids = config.eos_token_ids;
  const std::string path = folder + "/generation_config.json";
  if (!model_file_exists(path)) return out;
  const Json json = read_model_json(path, 1 << 26);
  if (!json.is_object()) throw Error(ErrorKind::kBadModel, "must be a JSON object", path);

  ConfigReader(json, path, out).read();
  return out;
}

}  // namespace ds::infer
