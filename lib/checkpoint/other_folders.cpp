#include "checkpoint/other_folders.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "checkpoint/model_file.h"
#include "core/error.h"
#include "core/json_value.h"

namespace ds::checkpoint {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void missing(const std::string& folder, const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::kNoInput, what, folder, hint);
}

// The first name in the folder, in order, that ends so; "" when none does.
std::string first_ending(const std::string& folder, const std::string& ending) {
  std::string first;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(ending) && (first.empty() || name < first)) first = name;
  }
  return first;
}

// The first folder in this one, in order, that is a model's; "" when none is.
std::string first_model_below(const std::string& folder) {
  std::string first;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (model_file_exists(folder + "/" + name + "/config.json") && (first.empty() || name < first))
      first = name;
  }
  return first;
}

// What adapter_config.json calls the model that it changes.
std::string base_of_adapter(const std::string& folder) {
  try {
    const Json config = read_model_json(folder + "/adapter_config.json", 1 << 20);
    const Json* base = find(config, "base_model_name_or_path");
    return base && base->is_string() ? as_string(*base) : "";
  } catch (const Error&) {
    return "";
  }
}

void refuse_gguf(const std::string& folder) {
  const std::string gguf = first_ending(folder, ".gguf");
  if (!gguf.empty())
    missing(folder, "holds a GGUF file and no model folder's files", "give the file: " + folder + "/" + gguf);
}

}  // namespace

void require_config(const std::string& folder) {
  if (model_file_exists(folder + "/config.json")) return;
  if (model_file_exists(folder + "/adapter_config.json")) {
    const std::string base = base_of_adapter(folder);
    missing(folder, "holds an adapter (adapter_config.json), not a model",
            "merge it into its base model" + (base.empty() ? "" : " " + base) +
                " first, with merge_and_unload() of peft");
  }
  refuse_gguf(folder);
  if (const std::string below = first_model_below(folder); !below.empty())
    missing(folder, "holds folders of models, and is none itself",
            "give one of them, as " + folder + "/" + below);
  if (model_file_exists(folder + "/params.json"))
    missing(folder, "holds a model in its makers' own layout (params.json), without config.json",
            "take its version in the Hugging Face layout");
  std::error_code ignored;
  const bool is_empty = fs::is_empty(folder, ignored);
  missing(folder,
          is_empty ? "is an empty folder, and no model" : "is no model folder: config.json is missing",
          "a folder with config.json, tokenizer.json and safetensors weights is needed");
}

void refuse_other_weights(const std::string& folder) {
  if (!first_ending(folder, ".safetensors").empty() ||
      !first_ending(folder, ".safetensors.index.json").empty())
    return;
  for (const char* ending : {".bin", ".pth", ".pt"}) {
    const std::string name = first_ending(folder, ending);
    if (!name.empty())
      missing(folder, "holds its weights as " + name + ", which is not read: only safetensors are",
              "take a version with safetensors, or save one: AutoModelForCausalLM.from_pretrained(FOLDER)"
              ".save_pretrained(NEW) of transformers");
  }
  refuse_gguf(folder);
}

void require_tokenizer(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  if (model_file_exists(path)) return;
  for (const char* other : {"tokenizer.model", "tekken.json", "vocab.json"})
    if (model_file_exists(folder + "/" + other))
      missing(path, "missing; " + std::string(other) + " is there, which is not read",
              "make it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers");
  missing(path, "missing",
          "text needs the model's tokenizer.json; without one only input_ids records can be used");
}

}  // namespace ds::checkpoint
