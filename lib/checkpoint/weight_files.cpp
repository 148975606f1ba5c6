#include "checkpoint/weight_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <unordered_map>

#include "checkpoint/gguf_weights.h"
#include "checkpoint/model_file.h"
#include "core/error.h"
#include "core/json_value.h"

namespace ds::checkpoint {

const char* const kIndexName = "model.safetensors.index.json";

namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr int64_t kMaxIndexBytes = 256 << 20;
constexpr size_t kMaxNameBytes = 1000;  // matching a regular expression takes stack for every byte

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

// A file's path below the folder, each file's written one way; "" when it may lead out of the folder.
std::string path_inside(const std::string& name) {
  const std::filesystem::path path(name);
  for (const auto& part : path)
    if (path.is_absolute() || part == "..") return "";
  const std::filesystem::path plain = path.lexically_normal();
  return plain.has_filename() && plain != "." ? plain.string() : "";
}

}  // namespace

WeightFile open_weight_file(const std::string& path, const std::string& name) {
  WeightFile file;
  file.name = name;
  file.path = path;
  file.fd = open_model_file(file.path);
  struct stat st {};
  if (::fstat(file.fd.get(), &st) != 0) throw Error(ErrorKind::kIo, "cannot stat: " + os_error(), file.path);
  file.bytes = st.st_size;
  file.mtime_ns = mtime_ns(st);
  return file;
}

namespace {

// weight_map of an index: tensor -> file. An index cannot reach outside its folder.
using Index = std::unordered_map<std::string, std::string>;
Index read_index(const std::string& path) {
  const Json json = read_model_json(path, kMaxIndexBytes);
  const Json* weight_map = find(json, "weight_map");
  if (!weight_map || !weight_map->is_object()) bad(path, "has no weight_map");
  Index index;
  for (const auto& [tensor, file] : weight_map->items()) {
    const std::string inside = file.is_string() ? path_inside(as_string(file)) : "";
    if (inside.empty())
      bad(path, "weight_map has " + dump(file) + " for tensor " + tensor +
                    ", which is the name of no file inside the folder");
    index[tensor] = inside;
  }
  return index;
}

// The header of an open file, and where its data section begins.
std::pair<SafetensorsHeader, uint64_t> read_header(const WeightFile& file) {
  constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit
  uint64_t length = 0;
  if (file.bytes < 8) bad(file.path, "only " + std::to_string(file.bytes) + " bytes long");
  read_at(file.fd.get(), &length, 8, 0, file.path);
  if (length > kMaxHeaderBytes || length > static_cast<uint64_t>(file.bytes) - 8)
    bad(file.path,
        "header length " + std::to_string(length) + " does not fit the file of " +
            std::to_string(file.bytes) + " bytes",
        "the file is damaged or no safetensors file: fetch it again");
  std::string json(length, '\0');
  read_at(file.fd.get(), json.data(), length, 8, file.path);
  return {parse_safetensors_header(json, file.bytes - 8 - length, file.path), 8 + length};
}

// One file with the tensors of its header; their `file` is not set yet.
struct OpenedFile {
  WeightFile file;
  std::vector<StoredTensor> tensors;
};
OpenedFile open_file(const std::string& folder, const std::string& name) {
  OpenedFile opened;
  WeightFile& file = opened.file;
  file = open_weight_file(folder + "/" + name, name);
  auto [header, data_begin] = read_header(file);
  for (TensorInfo& info : header.tensors) {
    if (info.name.size() > kMaxNameBytes)
      bad(file.path, "has a tensor name of " + std::to_string(info.name.size()) + " bytes, at most " +
                         std::to_string(kMaxNameBytes) + " are read");
    StoredTensor t;
    t.offset = data_begin + info.begin;
    t.info = std::move(info);
    opened.tensors.push_back(std::move(t));
  }
  return opened;
}

// "a", "a and 1 more": what a message names of a list.
std::string some_of(const std::string& first, int64_t n) {
  return n > 1 ? first + " and " + std::to_string(n - 1) + " more" : first;
}

class IndexedFiles {
 public:
  IndexedFiles(const std::string& folder, const Index& index)
      : path_(folder + "/" + kIndexName), index_(index) {
    std::map<std::string, std::string> names;  // file -> a tensor of it
    for (const auto& [tensor, file] : index) names.emplace(file, tensor);
    for (const auto& [name, tensor] : names) opened_.push_back(open_file(folder, name));
    for (size_t f = 0; f < opened_.size(); ++f)
      for (const StoredTensor& t : opened_[f].tensors) holders_[t.info.name].push_back(f);
  }

  WeightFiles take() {
    WeightFiles out;
    out.has_index = true;
    int64_t n_twice = 0;
    std::string twice;
    for (size_t f = 0; f < opened_.size(); ++f) {
      for (StoredTensor& t : opened_[f].tensors) {
        const std::vector<size_t>& holders = holders_.at(t.info.name);
        if (holders.size() > 1 && f == holders[0] && n_twice++ == 0) twice = t.info.name;
        if (holder_of(t.info.name, holders) != f) continue;
        t.file = static_cast<int>(f);
        out.tensors.push_back(std::move(t));
      }
    }
    if (n_twice)
      out.warnings.push_back("tensor " + some_of(twice, n_twice) +
                             " lies in more than one file: read from the one that the index names");
    name_ghosts(out.warnings);
    for (OpenedFile& o : opened_) out.files.push_back(std::move(o.file));
    return out;
  }

 private:
  size_t holder_of(const std::string& tensor, const std::vector<size_t>& holders) const {
    if (holders.size() == 1) return holders[0];
    const auto listed = index_.find(tensor);
    for (const size_t f : holders)
      if (listed != index_.end() && opened_[f].file.name == listed->second) return f;
    bad(opened_[holders[1]].file.path + ": tensor " + tensor, "is also in " + opened_[holders[0]].file.path,
        "the index does not say which counts: remove the file that does not belong to the model");
  }

  void name_ghosts(std::vector<std::string>& warnings) const {
    std::vector<std::string> ghosts;
    for (const auto& entry : index_) {  // tensor, file
      const auto it = holders_.find(entry.first);
      const auto is_listed = [&](size_t f) { return opened_[f].file.name == entry.second; };
      if (it == holders_.end() || std::none_of(it->second.begin(), it->second.end(), is_listed))
        ghosts.push_back(entry.first);
    }
    if (ghosts.empty()) return;
    const std::string& first = *std::min_element(ghosts.begin(), ghosts.end());
    warnings.push_back(path_ + " lists tensor " + some_of(first, static_cast<int64_t>(ghosts.size())) +
                       " in " + index_.at(first) + ", which does not hold it: the index is stale");
  }

  std::string path_;
  const Index& index_;
  std::vector<OpenedFile> opened_;
  std::unordered_map<std::string, std::vector<size_t>> holders_;
};

WeightFiles single_file(const std::string& folder) {
  OpenedFile opened = open_file(folder, kSingleName);
  WeightFiles out;
  out.files.push_back(std::move(opened.file));
  out.tensors = std::move(opened.tensors);
  return out;
}

}  // namespace

WeightFiles find_weights(const std::string& folder) {
  if (is_gguf_file(folder)) return gguf_weights(folder);
  const bool has_single = model_file_exists(folder + "/" + kSingleName);
  const std::string index_path = folder + "/" + kIndexName;
  if (!model_file_exists(index_path)) {
    if (has_single) return single_file(folder);
    throw Error(ErrorKind::kNoInput, "neither model.safetensors nor model.safetensors.index.json is there",
                folder, "a model folder in the Hugging Face layout with safetensors weights is needed");
  }
  const Index index = read_index(index_path);
  std::string missing;
  bool names_single = false;
  for (const auto& [tensor, file] : index) {
    names_single |= file == kSingleName;
    if ((missing.empty() || file < missing) && !model_file_exists(folder + "/" + file)) missing = file;
  }
  if (missing.empty()) {
    WeightFiles out = IndexedFiles(folder, index).take();
    if (has_single && !names_single)
      out.warnings.push_back("model.safetensors is not read: the index names other files, and all are there");
    return out;
  }
  if (has_single && !names_single) {
    WeightFiles out = single_file(folder);
    size_t n_held = 0;
    for (const StoredTensor& t : out.tensors) n_held += index.count(t.info.name);
    if (n_held == index.size()) {
      out.warnings.push_back("model.safetensors is read: " + std::string(kIndexName) +
                             " is stale, it names " + missing + ", which is not there");
      return out;
    }
  }
  throw Error(ErrorKind::kNoInput, "shard is missing", folder + "/" + missing,
              index_path + " lists it: fetch the rest of the model");
}

}  // namespace ds::checkpoint
