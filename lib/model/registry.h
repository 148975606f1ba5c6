// Which architectures there are: one row each.
#pragma once
#include <memory>
#include <string>

#include "model/model.h"

namespace ds::model {

struct Architecture {
  const char* model_type;  // config.json's
  std::unique_ptr<const Model> (*load)(
      const std::shared_ptr<const ModelFolder>& folder);  // nullptr: known, not supported yet
};
// Throws Error{kBadModel} for a model_type without a row, listing those there are, or whose row says "not
// yet".
const Architecture& find_architecture(const std::string& model_type, const std::string& where);

std::unique_ptr<const Model> load_llama(const std::shared_ptr<const ModelFolder>& folder);
std::unique_ptr<const Model> load_qwen2(const std::shared_ptr<const ModelFolder>& folder);
std::unique_ptr<const Model> load_qwen3(const std::shared_ptr<const ModelFolder>& folder);
std::unique_ptr<const Model> load_deepseek_v1(const std::shared_ptr<const ModelFolder>& folder);
std::unique_ptr<const Model> load_deepseek_v2(const std::shared_ptr<const ModelFolder>& folder);
std::unique_ptr<const Model> load_deepseek_v3(const std::shared_ptr<const ModelFolder>& folder);
std::unique_ptr<const Model> load_deepseek_v32(const std::shared_ptr<const ModelFolder>& folder);

}  // namespace ds::model
