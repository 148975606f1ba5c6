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

std::unique_ptr<const Model> load_model(const ModelFolder& folder) {
  return find_architecture(folder.config.model_type, folder.config.path).load(folder);
}

}  // namespace ds::model
