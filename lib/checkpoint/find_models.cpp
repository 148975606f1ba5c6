#include "checkpoint/find_models.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "checkpoint/locate.h"
#include "checkpoint/model_file.h"

namespace ds::checkpoint {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxDepth = 3;

// "-00002-of-00005.gguf": the first part brings it along.
bool is_later_part(const std::string& name) {
  constexpr std::string_view kForm = "-#####-of-#####.gguf";
  if (name.size() < kForm.size()) return false;
  const std::string end = name.substr(name.size() - kForm.size());
  for (size_t i = 0; i < kForm.size(); ++i)
    if (kForm[i] == '#' ? end[i] < '0' || end[i] > '9' : end[i] != kForm[i]) return false;
  return end.substr(1, 5) != "00001";
}

class Finder {
 public:
  std::vector<ModelPlace> found;

  void walk(const std::string& folder, int depth) {
    const std::string name = fs::path(folder).filename();
    std::error_code ignored;
    if (!seen_.insert(fs::canonical(folder, ignored)).second) return;  // links may lead in circles
    if (name.starts_with("datasets--") || name.starts_with("spaces--")) return;
    if (name.starts_with("models--")) return walk_repository(folder, name);
    if (model_file_exists(folder + "/config.json")) add(folder, folder);
    walk_files(folder, depth, !model_file_exists(folder + "/config.json"));
  }

 private:
  std::set<std::string> seen_;
  void add(const std::string& name, const std::string& path) { found.push_back({name, path, std::nullopt}); }

  void walk_files(const std::string& folder, int depth, bool into_folders) {
    for (const std::string& name : names_in(folder)) {
      const std::string path = folder + "/" + name;
      std::error_code ignored;
      if (name.empty() || name[0] == '.') continue;
      if (fs::is_directory(path, ignored)) {
        if (into_folders && depth < kMaxDepth) walk(path, depth + 1);
      } else if (name.ends_with(".gguf") && !is_later_part(name)) {
        add(path, path);
      }
    }
  }

  // models--ORG--NAME with its snapshots.
  void walk_repository(const std::string& folder, const std::string& folder_name) {
    std::string name = folder;
    if (fs::path(folder).parent_path() == fs::path(hub_cache())) {
      name = folder_name.substr(std::string("models--").size());
      if (const size_t dashes = name.find("--"); dashes != std::string::npos) name.replace(dashes, 2, "/");
    }
    const size_t n_before = found.size();
    try {
      const std::string snapshot = locate_model(folder);
      if (model_file_exists(snapshot + "/config.json")) add(name, snapshot);
      walk_files(snapshot, 1, true);
      if (found.size() == n_before)
        throw Error(ErrorKind::kNoInput, "holds neither config.json nor a GGUF file", snapshot,
                    "fetch the model again: hf download " + name);
    } catch (const Error& error) {
      found.push_back({name, folder, error});
    }
  }
};

}  // namespace

std::vector<ModelPlace> find_models(const std::string& folder) {
  std::error_code ignored;
  if (fs::is_regular_file(folder, ignored)) return {{folder, folder, std::nullopt}};
  if (!fs::is_directory(folder, ignored))
    throw Error(ErrorKind::kNoInput, "no such folder", folder, "give a folder that holds models");
  Finder finder;
  std::string path = folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  finder.walk(path, 0);
  return std::move(finder.found);
}

}  // namespace ds::checkpoint
