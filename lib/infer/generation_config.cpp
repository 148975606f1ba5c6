#include "infer/generation_config.h"

#include <algorithm>

#include "checkpoint/architecture.h"
#include "checkpoint/model_file.h"
#include "core/json_value.h"

namespace ds::infer {
namespace {

bool is_told(const GenerationOverrides& told, const std::string& key) {
  return (key == "temperature" && told.temperature) || (key == "top_k" && told.top_k) ||
         (key == "top_p" && told.top_p) || (key == "min_p" && told.min_p) ||
         (key == "repetition_penalty" && told.repeat_penalty) || (key == "max_new_tokens" && told.max_tokens);
}
bool is_of_sampling(const std::string& key) { return key == "top_k" || key == "top_p" || key == "min_p"; }

}  // namespace

SamplingParams recommended_sampling(const std::string& model_type) {
  SamplingParams params;
  if (const Architecture* architecture = find_architecture(model_type)) {
    params.temperature = architecture->temperature;
    params.top_p = architecture->top_p;
  }
  return params;
}

GenerationSettings with_overrides(GenerationSettings settings, const GenerationOverrides& o, ErrorKind kind,
                                  const std::string& where) {
  SamplingParams& s = settings.sampling;
  s.temperature = o.temperature.value_or(s.temperature);
  s.top_k = o.top_k.value_or(s.top_k) == -1 ? 0 : o.top_k.value_or(s.top_k);  // -1: off, as 0
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

GenerationSettings GenerationConfig::settings(const GenerationOverrides& told) const {
  const bool greedy = told.temperature.value_or(defaults.sampling.temperature) == 0;
  for (const auto& [key, error] : unusable)
    if (!is_told(told, key) && !(greedy && is_of_sampling(key))) throw error;
  return defaults;
}

GenerationConfig read_generation_config(const std::string& folder, const ModelConfig& config) {
  GenerationConfig out;
  out.defaults.sampling = recommended_sampling(config.model_type);
  out.stop_ids = config.eos_token_ids;
  const std::string path = folder + "/generation_config.json";
  if (!model_file_exists(path)) return out;
  const Json json = read_model_json(path, 1 << 26);
  if (!json.is_object()) throw Error(ErrorKind::kBadModel, "must be a JSON object", path);

  const auto unusable = [&](const char* key, const Json& value, const std::string& expected) {
    out.unusable.push_back(
        {key, Error(ErrorKind::kBadModel,
                    std::string(key) + " is " + dump(value) + ", " + expected + " was expected", path)});
  };
  const auto number = [&](const char* key, double& value, double low, double high) {
    const Json* v = find(json, key);
    if (!v || v->is_null()) return;
    if (v->is_number() && v->get<double>() >= low && v->get<double>() <= high) {
      value = v->get<double>();
    } else {
      unusable(key, *v, "a number up to " + dump(Json(high)));
    }
  };
  // "Off" is written as 0 or as -1.
  const auto count = [&](const char* key, int64_t& value) {
    const Json* v = find(json, key);
    if (!v || v->is_null()) return;
    if (is_int(*v) && as_int(*v) >= -1) {
      value = std::max<int64_t>(as_int(*v), 0);
    } else {
      unusable(key, *v, "a whole number, 0 or more");
    }
  };
  constexpr double kLeast = 1e-9;  // above 0
  SamplingParams& sampling = out.defaults.sampling;
  number("temperature", sampling.temperature, 0, 1000);
  number("top_p", sampling.top_p, kLeast, 1);
  number("min_p", sampling.min_p, 0, 1);
  number("repetition_penalty", sampling.repeat_penalty, kLeast, 1000);
  count("top_k", sampling.top_k);
  count("max_new_tokens", out.defaults.max_tokens);
  if (const Json* sample = find(json, "do_sample"); sample && sample->is_boolean() && !sample->get<bool>())
    sampling.temperature = 0;
  const Json* eos = find(json, "eos_token_id");
  if (!eos || eos->is_null()) return out;
  for (const Json& id : eos->is_array() ? eos->get_ref<const Json::array_t&>() : Json::array_t{*eos}) {
    if (!is_int(id) || as_int(id) < 0 || as_int(id) > INT32_MAX) {
      unusable("eos_token_id", *eos, "a token id or a list of them");
      break;
    }
    if (std::find(out.stop_ids.begin(), out.stop_ids.end(), as_int(id)) == out.stop_ids.end())
      out.stop_ids.push_back(static_cast<int32_t>(as_int(id)));
  }
  return out;
}

}  // namespace ds::infer
