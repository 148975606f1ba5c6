#include "infer/generation_config.h"

#include <algorithm>

#include "checkpoint/model_file.h"

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

  const auto number = [&](const char* key, double& value) {
    const Json* v = json.find(key);
    if (!v || v->is_null()) return;
    if (!v->is_number()) throw Error(ErrorKind::kBadModel, std::string(key) + " must be a number", path);
    value = v->as_double();
  };
  const auto integer = [&](const char* key, int64_t& value) {
    const Json* v = json.find(key);
    if (!v || v->is_null()) return;
    if (!v->is_int() || v->as_int() < 0)
      throw Error(ErrorKind::kBadModel, std::string(key) + " must be a whole number, 0 or more", path);
    value = v->as_int();
  };
  SamplingParams& sampling = out.defaults.sampling;
  number("temperature", sampling.temperature);
  number("top_p", sampling.top_p);
  number("min_p", sampling.min_p);
  number("repetition_penalty", sampling.repeat_penalty);
  integer("top_k", sampling.top_k);
  integer("max_new_tokens", out.defaults.max_tokens);
  if (const Json* sample = json.find("do_sample"); sample && sample->is_bool() && !sample->as_bool())
    sampling.temperature = 0;
  check_sampling(sampling, ErrorKind::kBadModel, path);
  if (const Json* eos = json.find("eos_token_id"); eos && !eos->is_null()) {
    if (eos->is_array()) {
      for (const Json& id : eos->as_array()) add_stop_id(out.stop_ids, id, path);
    } else {
      add_stop_id(out.stop_ids, *eos, path);
    }
  }
  return out;
}

}  // namespace ds::infer
