// Opening a model folder: config.json, and the safetensors files that belong to it.
#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "model/model.h"
#include "model/registry.h"

namespace ds::model {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 16 << 20, kMaxIndexBytes = 256 << 20;

// The shards an index names, in order of name. A shard is a plain file name: an index cannot reach outside
// its folder.
std::vector<std::string> indexed_files(const std::string& folder, const std::string& index) {
  const Json json = parse_json(read_file(index, kMaxIndexBytes), index, ErrorKind::kBadModel);
  const Json* weight_map = json.find("weight_map");
  if (!weight_map || !weight_map->is_object()) throw Error(ErrorKind::kBadModel, "has no weight_map", index);
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map->as_object()) {
    if (!file.is_string() || file.as_string().empty() || file.as_string().find('/') != std::string::npos)
      throw Error(ErrorKind::kBadModel, "weight_map names no plain file for tensor " + tensor, index);
    names.insert(file.as_string());
  }
  std::vector<std::string> files;
  for (const std::string& name : names) {
    files.push_back(folder + "/" + name);
    if (!file_exists(files.back()))
      throw Error(ErrorKind::kNoInput, "shard is missing", files.back(),
                  index + " lists it: fetch the rest of the model");
  }
  return files;
}

std::vector<std::string> find_weight_files(const std::string& folder) {
  const std::string index = folder + "/model.safetensors.index.json", single = folder + "/model.safetensors";
  if (file_exists(index)) return indexed_files(folder, index);
  if (file_exists(single)) return {single};
  throw Error(ErrorKind::kNoInput, "neither model.safetensors nor model.safetensors.index.json is there",
              folder, "a model folder in the Hugging Face layout with safetensors weights is needed");
}

}  // namespace

ModelFolder open_model_folder(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    throw Error(ErrorKind::kNoInput, "is no folder", path, "give a model folder in the Hugging Face layout");
  const std::string config_path = path + "/config.json";
  const Json json = parse_json(read_file(config_path, kMaxConfigBytes), config_path, ErrorKind::kBadModel);
  ModelFolder folder;
  folder.path = path;
  // Ask the registry first: a config of an unknown family would only fail for a key it spells differently.
  if (const Json* type = json.find("model_type"); type && type->is_string())
    find_architecture(type->as_string(), config_path);
  folder.config = parse_model_config(json, config_path);
  const bool mla = folder.config.model_type.rfind("deepseek_v", 0) == 0;
  if (mla && !folder.config.kv_lora_rank)
    throw Error(ErrorKind::kBadModel, "kv_lora_rank is missing", config_path);
  if (!mla && folder.config.kv_lora_rank)
    throw Error(ErrorKind::kBadModel,
                "kv_lora_rank does not belong to model_type " + folder.config.model_type, config_path);
  folder.weight_files = find_weight_files(path);
  return folder;
}

}  // namespace ds::model
