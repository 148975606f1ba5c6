#include "quant/checkpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/error.h"
#include "core/numbers.h"
#include "io/json.h"

namespace ds::quant {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 16 << 20, kMaxIndexBytes = 256 << 20;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxNameBytes = 1000;  // matching a regular expression takes stack for every byte
constexpr const char* kIndexName = "model.safetensors.index.json";

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

bool ends_with(const std::string& text, const std::string& tail) {
  return text.size() >= tail.size() && text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
}

// "a.b.weight" -> "a.b"; a name without ".weight" is its own stem.
std::string stem_of(const std::string& name) {
  return ends_with(name, ".weight") ? name.substr(0, name.size() - 7) : name;
}

// Weights in formats other than safetensors: carried over they would double the folder and contradict it.
bool is_other_weights(const std::string& name) {
  for (const char* tail : {".bin", ".pth", ".pt", ".h5", ".msgpack", ".gguf", ".onnx", ".onnx_data", ".ckpt"})
    if (ends_with(name, tail)) return true;
  return ends_with(name, ".safetensors.index.json") || ends_with(name, ".bin.index.json") ||
         name.rfind("consolidated", 0) == 0 ||
         (name.rfind("model", 0) == 0 && ends_with(name, ".safetensors"));  // not in the index: stale
}

// weight_map of an index: shard -> tensors. A shard is a plain file name: an index cannot reach outside.
std::map<std::string, std::vector<std::string>> read_index(const std::string& path) {
  const Json json = parse_json(read_file(path, kMaxIndexBytes), path, ErrorKind::kBadModel);
  const Json* weight_map = json.find("weight_map");
  if (!weight_map || !weight_map->is_object()) bad(path, "has no weight_map");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, file] : weight_map->as_object()) {
    if (!file.is_string() || file.as_string().empty() || file.as_string().find('/') != std::string::npos)
      bad(path, "weight_map names no plain file for tensor " + tensor);
    shards[file.as_string()].push_back(tensor);
  }
  return shards;
}

}  // namespace

Checkpoint::Checkpoint(const std::string& folder) : path_(folder) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  const std::string& path = path_;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    throw Error(ErrorKind::kNoInput, "is no folder", path, "give a model folder in the Hugging Face layout");
  const std::string config_path = path + "/config.json";
  config_text_ = read_file(config_path, kMaxConfigBytes);
  config_ = parse_json(config_text_, config_path, ErrorKind::kBadModel);
  if (!config_.is_object()) bad(config_path, "is no JSON object");
  if (const Json* quantization = config_.find("quantization_config")) {
    const Json* block = quantization->find("weight_block_size");
    if (block && !block->is_null()) {
      const auto is_size = [](const Json& v) {
        return v.is_int() && v.as_int() > 0 && v.as_int() <= 1 << 30;
      };
      if (!block->is_array() || block->as_array().size() != 2 || !is_size(block->as_array()[0]) ||
          !is_size(block->as_array()[1]))
        bad(config_path, "quantization_config.weight_block_size is no pair of sizes: " + block->dump());
      config_block_rows_ = block->as_array()[0].as_int();
      config_block_cols_ = block->as_array()[1].as_int();
    }
  }
  open_shards();
  list_other_files();
}

void Checkpoint::open_shards() {
  std::map<std::string, std::vector<std::string>> shards;
  const std::string index = path_ + "/" + kIndexName;
  has_index_ = file_exists(index);
  if (has_index_) {
    shards = read_index(index);
  } else if (file_exists(path_ + "/model.safetensors")) {
    shards["model.safetensors"] = {};
  } else {
    throw Error(ErrorKind::kNoInput, "neither model.safetensors nor model.safetensors.index.json is there",
                path_, "a model folder in the Hugging Face layout with safetensors weights is needed");
  }
  for (const auto& [name, listed] : shards) {
    File file;
    file.name = name;
    file.path = path_ + "/" + name;
    // Not waiting for a writer, should it be a pipe.
    file.fd = FileHandle(::open(file.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (file.fd.get() < 0)
      throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), file.path,
                  has_index_ ? index + " lists it: fetch the rest of the model" : "");
    struct stat st {};
    if (::fstat(file.fd.get(), &st) != 0)
      throw Error(ErrorKind::kIo, "cannot stat: " + os_error(), file.path);
    if (!S_ISREG(st.st_mode)) throw Error(ErrorKind::kNoInput, "is no regular file", file.path);
    file.bytes = st.st_size;
    file.mtime_ns = mtime_ns(st);

    uint64_t length = 0;
    if (file.bytes < 8) bad(file.path, "only " + std::to_string(file.bytes) + " bytes long");
    read_at(file.fd.get(), &length, 8, 0, file.path);
    if (length > kMaxHeaderBytes || length > static_cast<uint64_t>(file.bytes) - 8)
      bad(file.path,
          "header length " + std::to_string(length) + " does not fit the file of " +
              std::to_string(file.bytes) + " bytes",
          "the file is damaged or no safetensors file: fetch it again");
    std::string header(length, '\0');
    read_at(file.fd.get(), header.data(), length, 8, file.path);
    SafetensorsHeader parsed = parse_safetensors_header(header, file.bytes - 8 - length, file.path);
    for (TensorInfo& info : parsed.tensors) {
      if (info.name.size() > kMaxNameBytes)
        bad(file.path, "has a tensor name of " + std::to_string(info.name.size()) + " bytes, at most " +
                           std::to_string(kMaxNameBytes) + " are read");
      StoredTensor t;
      t.file = static_cast<int>(files_.size());
      t.offset = 8 + length + info.begin;
      t.info = std::move(info);
      const auto [it, fresh] = by_name_.emplace(t.info.name, tensors_.size());
      if (!fresh)
        bad(file.path + ": tensor " + t.info.name, "is also in " + files_[tensors_[it->second].file].path,
            "remove the file that does not belong to the model");
      tensors_.push_back(std::move(t));
    }
    files_.push_back(std::move(file));
    for (const std::string& tensor : listed) {
      const auto it = by_name_.find(tensor);
      if (it == by_name_.end() || tensors_[it->second].file + 1 != static_cast<int>(files_.size()))
        bad(index, "lists tensor " + tensor + " in " + name + ", which does not hold it",
            "the index is stale: fetch it again");
    }
  }
}

void Checkpoint::list_other_files() {
  std::set<std::string> shards;
  for (const File& file : files_) shards.insert(file.name);
  std::error_code error;
  fs::recursive_directory_iterator it(path_, error), end;
  for (; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    // A link to a folder is not descended into, and not a file either. Hidden: .git, .cache of downloaders.
    if (name[0] == '.') {
      if (it->is_directory(ignored)) it.disable_recursion_pending();
      continue;
    }
    if (!fs::is_regular_file(it->path(), ignored)) {
      if (!it->is_directory(ignored)) skipped_files_.push_back(it->path().lexically_relative(path_).string());
      continue;
    }
    const std::string relative = it->path().lexically_relative(path_).string();
    if (shards.count(relative) || relative == "config.json" || relative == kIndexName) continue;
    (is_other_weights(name) ? skipped_files_ : other_files_).push_back(relative);
  }
  if (error) throw Error(ErrorKind::kIo, "cannot list the folder: " + error.message(), path_);
  std::sort(other_files_.begin(), other_files_.end());
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

void Checkpoint::read(const StoredTensor& t, uint64_t begin, void* to, size_t n) const {
  read_at(files_[t.file].fd.get(), to, n, t.offset + begin, files_[t.file].path);
}

void Checkpoint::prefetch(const StoredTensor& t, uint64_t begin, size_t n) const {
  if (n == 0) return;
  const int fd = files_[t.file].fd.get();
  // Walking pages that are there already costs a tenth of a conversion: ask for the last byte, without
  // waiting.
  char last;
  const iovec to{&last, 1};
  if (::preadv2(fd, &to, 1, static_cast<off_t>(t.offset + begin + n - 1), RWF_NOWAIT) == 1) return;
  ::posix_fadvise(fd, static_cast<off_t>(t.offset + begin), static_cast<off_t>(n), POSIX_FADV_WILLNEED);
}

const StoredTensor* Checkpoint::scale_of(const StoredTensor& t) const {
  const std::string stem = stem_of(t.info.name);
  const bool is_weight = stem != t.info.name;
  for (const char* suffix : {"weight_scale_inv", "weight_scale", "scale", "scale_inv"}) {
    // Stacked experts are named without ".weight": "experts.down_proj" and "experts.down_proj_scale_inv".
    const StoredTensor* scale = find(stem + (is_weight ? "." : "_") + suffix);
    if (scale && scale != &t) return scale;
  }
  return nullptr;
}

WeightCoding Checkpoint::coding(const StoredTensor& t) const {
  WeightCoding c;
  const auto& shape = t.info.shape;
  const int64_t n = t.info.n_elements();
  c.cols = shape.empty() ? 1 : shape.back();
  c.rows = c.cols > 0 ? n / c.cols : 0;
  const DType dtype = t.info.dtype;
  const bool packed = (dtype == DType::kI8 || dtype == DType::kU8) && shape.size() == 2;
  if (dtype != DType::kF8E4M3 && !packed) return c;
  const StoredTensor* scale = scale_of(t);
  if (packed && (!scale || scale->info.dtype != DType::kF8E8M0)) return c;  // integers, not FP4
  c.scale = scale;
  c.coding = packed ? Coding::kE2M1 : Coding::kE4M3;
  if (packed) c.cols *= 2;
  if (!scale) {
    c.problem = "is F8_E4M3 but " + stem_of(t.info.name) + ".weight_scale_inv is missing";
    return c;
  }
  const DType sd = scale->info.dtype;
  if (sd != DType::kF32 && sd != DType::kF16 && sd != DType::kBF16 && sd != DType::kF8E8M0) {
    c.problem = "has scales of dtype " + scale->info.dtype_name + ", F32, F16, BF16 or F8_E8M0 was expected";
    return c;
  }

  const auto& s = scale->info.shape;
  const int64_t n_scales = scale->info.n_elements();
  const size_t rank = shape.size();
  // Stacked matrices [E, N, K] are one tall matrix when blocks do not cross from one to the next.
  const auto fits = [&](int64_t block_rows, int64_t block_cols) {
    if (s.size() != rank || rank < 2 || block_rows < 1 || block_cols < 1) return false;
    if (rank > 2 && shape[rank - 2] % block_rows != 0) return false;
    c.block_rows = block_rows, c.block_cols = block_cols;
    return n_scales == c.scale_rows() * c.scale_cols() && s.back() == c.scale_cols();
  };
  if (n_scales == 1 && n > 0) {  // one scale for all
    c.block_rows = std::max<int64_t>(c.rows, 1), c.block_cols = std::max<int64_t>(c.cols, 1);
    return c;
  }
  if (!packed && fits(config_block_rows_, config_block_cols_)) return c;
  if (n_scales == c.rows && (s.size() == 1 || s.back() == 1)) {  // one a row
    c.block_rows = 1, c.block_cols = std::max<int64_t>(c.cols, 1);
    return c;
  }
  for (const int64_t block_cols : {32, 16, 64, 128})
    if (fits(1, block_cols)) return c;
  for (const int64_t block : {128, 64, 32, 16, 256})
    if (!packed && fits(block, block)) return c;
  c.block_rows = c.block_cols = 0;
  c.problem = "has scales of shape " + shape_text(s) + ", which fit no known block shape of a weight of " +
              shape_text(shape);
  return c;
}

std::string Checkpoint::quant_method() const {
  const Json* config = config_.find("quantization_config");
  const Json* method = config ? config->find("quant_method") : nullptr;
  return method && method->is_string() ? method->as_string() : "";
}

bool Checkpoint::is_quantised() const {
  const Json* config = config_.find("quantization_config");
  if (config && !config->is_null()) return true;
  return std::any_of(tensors_.begin(), tensors_.end(),
                     [&](const StoredTensor& t) { return coding(t).coding != Coding::kPlain; });
}

bool Checkpoint::is_companion(const StoredTensor& t) const {
  const std::string& name = t.info.name;
  for (const char* suffix : {"weight_scale_inv", "weight_scale", "input_scale", "scale", "scale_inv"}) {
    const std::string tail = suffix;
    if (!ends_with(name, "." + tail) && !ends_with(name, "_" + tail)) continue;
    const std::string stem = name.substr(0, name.size() - tail.size() - 1);
    for (const std::string& weight : {stem + ".weight", stem}) {
      const StoredTensor* w = find(weight);
      if (!w || w == &t) continue;
      const DType d = w->info.dtype;
      if (d == DType::kF8E4M3) return true;
      if ((d == DType::kI8 || d == DType::kU8) && t.info.dtype == DType::kF8E8M0) return true;
    }
  }
  return false;
}

}  // namespace ds::quant
