#include "checkpoint/architecture.h"

#include "checkpoint/families.h"
#include "core/error.h"

namespace ds::checkpoint {

const Architecture* find_architecture(const std::string& model_type) {
  for (const auto& family : {llama_family(), deepseek_family()})
    for (const Architecture& a : family)
      if (model_type == a.model_type) return &a;
  return nullptr;
}

const Architecture& require_architecture(const std::string& model_type, const std::string& where) {
  const Architecture* found = find_architecture(model_type);
  if (found && found->block) return *found;
  if (found)
    throw Error(ErrorKind::kBadModel, "model_type " + model_type + " is not supported yet", where,
                "a later version of dstools will run it");
  std::string known;
  for (const auto& family : {llama_family(), deepseek_family()})
    for (const Architecture& a : family)
      if (a.block) known += (known.empty() ? "" : ", ") + std::string(a.model_type);
  throw Error(ErrorKind::kBadModel, "model_type '" + model_type + "' is unknown", where,
              "supported are: " + known);
}

}  // namespace ds::checkpoint
