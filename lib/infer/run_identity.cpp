#include "infer/run_identity.h"

#include <set>

#include "checkpoint/digest.h"
#include "core/sha256.h"
#include "io/files.h"

namespace ds::infer {
namespace {

constexpr int64_t kMaxTemplateBytes = int64_t{1} << 28;

const char* job_name(RunJob::Kind kind) {
  switch (kind) {
    case RunJob::Kind::kScore:
      return "--score";
    case RunJob::Kind::kTokenize:
      return "--tokenize";
    case RunJob::Kind::kDetokenize:
      return "--detokenize";
    case RunJob::Kind::kRender:
      return "--render";
    default:
      return "--jsonl";
  }
}

}  // namespace

Json run_identity(const RunJob& job) {
  Json out;
  out["job"] = job_name(job.kind);
  out["model"] = checkpoint::model_digest(job.model);
  const auto add = [&](const char* name, const auto& value) {
    if (value) out[name] = *value;
  };
  const GenerationOverrides& g = job.generation;
  add("max-tokens", g.max_tokens);
  add("temperature", g.temperature);
  add("top-k", g.top_k);
  add("top-p", g.top_p);
  add("min-p", g.min_p);
  add("repeat-penalty", g.repeat_penalty);
  add("seed", g.seed);
  if (g.stop) out["stop"] = Json(Json::array_t(g.stop->begin(), g.stop->end()));
  const RequestDefaults& d = job.defaults;
  add("think", d.thinking);
  if (!d.system.empty()) out["system"] = d.system;
  if (d.raw) out["raw"] = true;
  if (d.return_ids) out["ids"] = true;
  if (job.add_special) out["add-special"] = true;
  const EngineOptions& e = job.engine;
  if (e.ctx) out["ctx"] = e.ctx;
  if (e.activations != Activations::kF32) out["activations"] = "bf16";
  if (e.cache_type != DType::kF32) out["cache-type"] = dtype_name(e.cache_type);
  if (!e.text.chat_template.empty())
    out["chat-template"] = sha256_hex(io::read_file(e.text.chat_template, kMaxTemplateBytes));
  return out;
}

std::string identity_difference(const Json& before, const Json& now) {
  std::set<std::string> names;
  for (const Json* side : {&before, &now})
    for (const auto& [name, value] : side->items()) names.insert(name);
  std::string out;
  for (const std::string& name : names) {
    const Json *a = find(before, name), *b = find(now, name);
    if (a && b && dump(*a) == dump(*b)) continue;
    if (!out.empty()) out += "; ";
    if (name == "model") {
      out += "another model, or its files have changed";
      continue;
    }
    constexpr size_t kMostBytes = 60;
    const auto shown = [](const Json* value) {
      const std::string text = value ? dump(*value) : "not given";
      return text.size() > kMostBytes ? "another text" : text;
    };
    out += name + " " + shown(a) + ", now " + shown(b);
  }
  return out;
}

}  // namespace ds::infer
