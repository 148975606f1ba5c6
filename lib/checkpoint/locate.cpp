#include "checkpoint/locate.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "checkpoint/gguf_file.h"
#include "checkpoint/model_file.h"
#include "core/error.h"

namespace ds::checkpoint {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// "ORG/NAME" of letters, digits, '-', '_' and '.', as the hub allows.
bool is_repository_name(const std::string& name) {
  const size_t slash = name.find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == name.size() || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [&](const char& c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' ||
           &c == &name[slash];
  });
}

std::string cached_repository(const std::string& name) {
  const size_t slash = name.find('/');
  return hub_cache() + "/models--" + name.substr(0, slash) + "--" + name.substr(slash + 1);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// A repository in the cache holds snapshots/COMMIT and refs/BRANCH, a file with the commit.
std::string snapshot_of(const std::string& repository) {
  const std::string snapshots = repository + "/snapshots", main = repository + "/refs/main";
  const std::vector<std::string> names = names_in(snapshots);
  if (model_file_exists(main)) {
    std::string commit = read_model_file(main, 1 << 10);
    while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) commit.pop_back();
    if (std::find(names.begin(), names.end(), commit) != names.end()) return snapshots + "/" + commit;
    throw Error(ErrorKind::kNoInput, "names snapshot " + commit + ", which is not there", main,
                "the download is incomplete: fetch the model again");
  }
  if (names.size() == 1) return snapshots + "/" + names[0];
  throw Error(ErrorKind::kNoInput,
              "holds " + std::to_string(names.size()) + " snapshots and no refs/main that chooses one",
              repository,
              names.empty() ? "fetch the model again" : "give one of them, as " + snapshots + "/" + names[0]);
}

std::string located_folder(const std::string& path) {
  if (model_file_exists(path + "/config.json")) return path;
  if (is_folder(path + "/snapshots")) return snapshot_of(path);
  for (const std::string& name : names_in(path))
    if (name.rfind("models--", 0) == 0)
      throw Error(ErrorKind::kNoInput, "is a Hugging Face cache, not one model", path,
                  "give one of its models, as " + path + "/" + name);
  return path;
}

}  // namespace

// As huggingface_hub resolves it.
std::string hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const std::string value = environment(name); !value.empty()) return value;
  if (const std::string home = environment("HF_HOME"); !home.empty()) return home + "/hub";
  std::string cache = environment("XDG_CACHE_HOME");
  if (cache.empty()) {
    const std::string home = environment("HOME");
    cache = (home.empty() ? "$HOME, which is not set, " : home) + "/.cache";
  }
  return cache + "/huggingface/hub";
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool is_model_name(const std::string& name) {
  return model_file_exists(name) || (is_repository_name(name) && is_folder(cached_repository(name)));
}

std::string locate_model(const std::string& name) {
  if (is_folder(name)) return located_folder(name);
  if (model_file_exists(name)) {
    if (is_gguf_file(name)) return name;
    throw Error(ErrorKind::kNoInput, "is a file, a model folder or a GGUF file was expected", name,
                "give the folder that holds config.json and tokenizer.json");
  }
  if (!is_repository_name(name))
    throw Error(ErrorKind::kNoInput, "no such model folder", name,
                "give the path of a downloaded model folder, or ORG/NAME of the Hugging Face cache");
  const std::string cached = cached_repository(name);
  if (is_folder(cached)) return located_folder(cached);
  throw Error(ErrorKind::kNoInput, "no such folder, nor is it in the Hugging Face cache " + hub_cache(), name,
              "this fetches it: hf download " + name);
}

}  // namespace ds::checkpoint
