#include "model/registry.h"

#include "core/error.h"

namespace ds::model {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", load_llama},
    {"qwen2", load_qwen2},
    {"qwen3", load_qwen3},
    {"deepseek", load_deepseek_v1},
    {"deepseek_v2", load_deepseek_v2},
    {"deepseek_v3", load_deepseek_v3},
    {"deepseek_v32", load_deepseek_v32},
    {"deepseek_v4", nullptr},
    {"deepseek_v41", nullptr},
};

}  // namespace

const Architecture& find_architecture(const std::string& model_type, const std::string& where) {
  std::string known;
  for (const Architecture& a : kArchitectures) {
    if (a.load) known += (known.empty() ? "" : ", ") + std::string(a.model_type);
    if (model_type != a.model_type) continue;
    if (!a.load)
      throw Error(ErrorKind::kBadModel, "model_type " + model_type + " is not supported yet", where,
                  "a later version of dstools will run it");
    return a;
  }
  throw Error(ErrorKind::kBadModel, "model_type '" + model_type + "' is unknown", where,
              "supported are: " + known);
}

std::unique_ptr<const Model> load_model(const std::shared_ptr<const ModelFolder>& folder) {
  // The registry first: a config of an unknown family would only fail for a key it spells differently.
  if (folder->model_type().empty()) folder->config();  // says what is wrong
  const Architecture& architecture = find_architecture(folder->model_type(), folder->config_path());
  folder->require_readable();
  const ModelConfig& config = folder->config();
  for (int64_t i = 0; i < config.num_hidden_layers; ++i)
    if (config.window_of(i))
      throw Error(ErrorKind::kBadModel,
                  "layer " + std::to_string(i) + " has a sliding window, which is not supported",
                  folder->config_path());
  return architecture.load(folder);
}

}  // namespace ds::model
