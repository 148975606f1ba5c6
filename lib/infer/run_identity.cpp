#include "infer/run_identity.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <vector>

#include "checkpoint/gguf_file.h"
#include "checkpoint/locate.h"
#include "core/hash.h"

namespace ds::infer {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1 << 16, kPieces = 16;

// A file by its size and, where it is long, by pieces from its begin to its end.
uint64_t file_hash(const std::string& path, uint64_t hash) {
  const io::MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  hash = fnv1a(":" + std::to_string(bytes.size()) + "\n", hash);
  if (bytes.size() <= kPieces * kPieceBytes) return fnv1a(bytes, hash);
  for (size_t i = 0; i < kPieces; ++i)
    hash = fnv1a(bytes.substr((bytes.size() - kPieceBytes) / (kPieces - 1) * i, kPieceBytes), hash);
  return fnv1a(bytes.substr(bytes.size() - kPieceBytes), hash);
}

std::string hash_text(uint64_t hash) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::string model_hash(const std::string& model) {
  const std::string folder = checkpoint::locate_model(model);
  std::vector<std::string> files;
  std::error_code error;
  if (checkpoint::is_gguf_file(folder)) {
    uint64_t hash = fnv1a("");
    for (const checkpoint::WeightFile& part : checkpoint::open_gguf(folder, io::GgufArrays::kSkipLong).files)
      hash = file_hash(part.path, fnv1a(part.name, hash));
    return hash_text(hash);
  }
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename(), ending = it->path().extension();
    if (name.starts_with('.')) it.disable_recursion_pending();
    const bool counts = ending == ".json" || ending == ".safetensors" || ending == ".jinja";
    if (counts && !name.starts_with('.') && it->is_regular_file(error))
      files.push_back(it->path().lexically_relative(folder));
  }
  std::sort(files.begin(), files.end());
  uint64_t hash = fnv1a("");
  for (const std::string& file : files) hash = file_hash(folder + "/" + file, fnv1a(file, hash));
  return hash_text(hash);
}

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
  out["model"] = model_hash(job.model);
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
    out["chat-template"] = hash_text(file_hash(e.text.chat_template, fnv1a("")));
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
