#include "checkpoint/model_folder.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "checkpoint/architecture.h"
#include "checkpoint/gguf_weights.h"
#include "checkpoint/locate.h"
#include "checkpoint/model_file.h"
#include "checkpoint/other_folders.h"
#include "core/error.h"
#include "core/json_value.h"

namespace ds::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 16 << 20;

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

}  // namespace

ModelFolder::ModelFolder(const std::string& name) : path_(locate_model(name)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  is_gguf_ = is_gguf_file(path_);
  if (!is_gguf_) require_config(path_);
  config_text_ = read_model_file(config_path(), kMaxConfigBytes);
  config_json_ = parse_model_json(config_text_, config_path());
  if (!config_json_.is_object()) bad(config_path(), "is no JSON object");
  quantization_ = parse_quantization_config(config_json_, config_path());
  try {
    config_ = parse_model_config(config_json_, config_path());
  } catch (const Error& e) {
    config_error_ = e;
  }
  try {
    weights_ = find_weights(path_);
  } catch (const Error&) {
    // A family that is not run yet is said before hundreds of gigabytes are fetched for it.
    const Architecture* family = find_architecture(model_type());
    if (family && !family->block) throw *config_error_;
    refuse_other_weights(path_);
    throw;
  }
  add_names();
  if (config_) heed_tensors(*config_);
  warn_of_double_scales();
  if (model_file_exists(path_ + "/adapter_config.json"))
    weights_.warnings.push_back(
        "adapter_config.json is there: adapters are not applied, the base model's weights are used alone");
  list_other_files();
}

void ModelFolder::add_names() {
  for (const StoredTensor& t : tensors()) by_name_.emplace(t.info.name, &t);
  lacks_prefix_ = find("embed_tokens.weight") && !find("model.embed_tokens.weight");
  if (!lacks_prefix_) return;
  for (const StoredTensor& t : tensors()) by_name_.emplace(canonical_name(t), &t);
}

std::string ModelFolder::canonical_name(const StoredTensor& t) const {
  const std::string& name = t.info.name;
  const bool is_head = name.rfind("lm_head.", 0) == 0;
  return lacks_prefix_ && !is_head ? "model." + name : name;
}

// Where the tensors contradict config.json, and are right.
void ModelFolder::heed_tensors(ModelConfig& c) {
  if (c.tie_word_embeddings && find("lm_head.weight")) {
    c.tie_word_embeddings = false;
    weights_.warnings.push_back(
        "tie_word_embeddings is true, but there is an lm_head.weight: it is used as the head");
  }
  // Layers behind the last that predict a second token carry a projection of their own.
  int64_t n = 0;
  while (find("model.layers." + std::to_string(c.num_hidden_layers + n) + ".eh_proj.weight")) ++n;
  if (n <= c.num_nextn_predict_layers) return;
  weights_.warnings.push_back("config.json has num_nextn_predict_layers " +
                              std::to_string(c.num_nextn_predict_layers) + ", the files have " +
                              std::to_string(n) + ": they are not run");
  c.num_nextn_predict_layers = n;
}

void ModelFolder::warn_of_double_scales() {
  int64_t n = 0;
  std::string first;
  for (const StoredTensor& t : tensors()) {
    if (t.info.dtype != DType::kF8E4M3) continue;
    const std::vector<const StoredTensor*> scales = scales_of(t);
    if (scales.size() > 1 && n++ == 0) first = t.info.name + ": " + scales[0]->info.name + " is used";
  }
  if (n)
    weights_.warnings.push_back(std::to_string(n) + (n == 1 ? " weight has" : " weights have") +
                                " several scale tensors (" + first + ")");
}

std::shared_ptr<const ModelFolder> open_model(const std::string& name) {
  return std::make_shared<const ModelFolder>(name);
}

std::string first_non_finite(const ModelFolder& folder) {
  constexpr int64_t kPieceValues = 1 << 20;
  std::vector<std::byte> bytes;
  std::vector<float> values;
  for (const StoredTensor& t : folder.tensors()) {
    const TensorFormat* format = t.blocks ? t.blocks : format_of(t.info.dtype);
    for (int64_t at = 0, n = t.info.n_elements(); format && at < n; at += kPieceValues) {
      values.resize(std::min(kPieceValues, n - at));
      bytes.resize(format->bytes_of(static_cast<int64_t>(values.size())));
      folder.read(t, format->bytes_of(at), bytes.data(), bytes.size());
      format->decode_row(bytes.data(), static_cast<int64_t>(values.size()), values.data());
      const auto bad_value =
          std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
      if (bad_value != values.end())
        return folder.where(t) + ", element " + std::to_string(at + (bad_value - values.begin()));
    }
  }
  return "";
}

std::string ModelFolder::model_type() const {
  const Json* type = ds::find(config_json_, "model_type");
  return type && type->is_string() ? as_string(*type) : "";
}

const ModelConfig& ModelFolder::config() const {
  if (config_error_) throw *config_error_;
  return *config_;
}

void ModelFolder::list_other_files() {
  if (is_gguf_) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      if (model_file_exists(path_ + "/" + name)) other_files_.push_back(name);
    return;
  }
  std::set<std::string> shards;
  for (const WeightFile& file : files()) shards.insert(file.name);
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

const StoredTensor* ModelFolder::find(const std::string& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

void ModelFolder::read(const StoredTensor& t, uint64_t begin, void* to, size_t n) const {
  const WeightFile& file = files()[t.file];
  if (&file == &files().back()) make_files();
  read_at(file.fd.get(), to, n, t.offset + begin, file.path);
}

void ModelFolder::prefetch(const StoredTensor& t, uint64_t begin, size_t n) const {
  if (n == 0) return;
  const int fd = files()[t.file].fd.get();
  // Walking pages that are there already costs a tenth of a conversion: ask for the last byte, without
  // waiting.
  char last;
  const iovec to{&last, 1};
  if (::preadv2(fd, &to, 1, static_cast<off_t>(t.offset + begin + n - 1), RWF_NOWAIT) == 1) return;
  ::posix_fadvise(fd, static_cast<off_t>(t.offset + begin), static_cast<off_t>(n), POSIX_FADV_WILLNEED);
}

// The tensors that may be the scales of `t`; the first counts, as vLLM and SGLang name it for DeepSeek's
// blocks.
std::vector<const StoredTensor*> ModelFolder::scales_of(const StoredTensor& t) const {
  const std::string stem = stem_of(t.info.name);
  const bool is_weight = stem != t.info.name;
  std::vector<const StoredTensor*> found;
  for (const char* suffix : {"weight_scale_inv", "weight_scale", "scale", "scale_inv"}) {
    // Stacked experts are named without ".weight": "experts.down_proj" and "experts.down_proj_scale_inv".
    const StoredTensor* scale = find(stem + (is_weight ? "." : "_") + suffix);
    if (scale && scale != &t) found.push_back(scale);
  }
  return found;
}

WeightCoding ModelFolder::coding(const StoredTensor& t) const {
  WeightCoding c;
  const auto& shape = t.info.shape;
  c.cols = shape.empty() ? 1 : shape.back();
  c.rows = c.cols > 0 ? t.info.n_elements() / c.cols : 0;
  const DType dtype = t.info.dtype;
  c.format = t.blocks ? t.blocks : format_of(dtype);
  const bool may_be_packed = (dtype == DType::kI8 || dtype == DType::kU8) && shape.size() == 2;
  if (!may_be_packed && !c.is_scaled()) return c;
  if (const auto scales = scales_of(t); !scales.empty()) c.scale = scales[0];
  if (may_be_packed) {
    if (!c.scale || c.scale->info.dtype != DType::kF8E8M0) return c;  // integers, not FP4
    c.format = &kE2M1Format;
    c.cols *= 2;
  }
  if (!c.scale) {
    c.problem = "is F8_E4M3 but " + stem_of(t.info.name) + ".weight_scale_inv is missing";
    return c;
  }
  const TensorFormat* scale_format = format_of(c.scale->info.dtype);
  if (!scale_format || c.scale->info.dtype == DType::kF64 ||
      scale_format->scales != TensorFormat::Scales::kNone) {
    c.problem =
        "has scales of dtype " + c.scale->info.dtype_name + ", F32, F16, BF16 or F8_E8M0 was expected";
    return c;
  }
  find_blocks(t, c);
  return c;
}

// What one scale covers: everything when there is one; the config's blocks; a row; else, where the config
// names no blocks, those of the published formats that fit.
void ModelFolder::find_blocks(const StoredTensor& t, WeightCoding& c) const {
  const auto& shape = t.info.shape;
  const auto& s = c.scale->info.shape;
  const int64_t n_scales = c.scale->info.n_elements();
  const size_t rank = shape.size();
  const bool packed = c.format == &kE2M1Format;
  // Stacked matrices [E, N, K] are one tall matrix when blocks do not cross from one to the next.
  const auto fits = [&](int64_t block_rows, int64_t block_cols) {
    if (s.size() != rank || rank < 2 || block_rows < 1 || block_cols < 1) return false;
    if (rank > 2 && shape[rank - 2] % block_rows != 0) return false;
    c.block_rows = block_rows, c.block_cols = block_cols;
    return n_scales == c.scale_rows() * c.scale_cols() && s.back() == c.scale_cols();
  };
  if (n_scales == 1 && c.rows * c.cols > 0) {
    c.block_rows = c.rows, c.block_cols = c.cols;
    return;
  }
  const auto& [method, config_rows, config_cols] = quantization_;
  if (!packed && fits(config_rows, config_cols)) return;
  if (n_scales == c.rows && (s.size() == 1 || s.back() == 1)) {
    c.block_rows = 1, c.block_cols = std::max<int64_t>(c.cols, 1);
    return;
  }
  if (packed || !config_rows)
    for (const int64_t block_cols : {32, 16, 64, 128})
      if (fits(1, block_cols)) return;
  if (!packed && !config_rows)
    for (const int64_t block : {128, 64, 32, 16, 256})
      if (fits(block, block)) return;
  c.block_rows = c.block_cols = 0;
  const std::string blocks = std::to_string(config_rows) + "x" + std::to_string(config_cols);
  c.problem = "has scales of shape " + shape_text(s) + ", which fit " +
              (packed || !config_rows ? std::string("no known block shape")
                                      : "neither rows nor blocks of " + blocks) +
              " of a weight of " + shape_text(shape);
}

void ModelFolder::require_readable() const {
  // Tensors that only packed formats have, by the end of their names.
  static constexpr std::pair<const char*, const char*> kPacked[] = {{".qweight", "GPTQ or AWQ"},
                                                                    {".weight_packed", "compressed-tensors"},
                                                                    {".SCB", "bitsandbytes"},
                                                                    {".weight.absmax", "bitsandbytes"},
                                                                    {".weight.quant_map", "bitsandbytes"},
                                                                    {".W_q", "HQQ"},
                                                                    {".weight._data", "quanto"},
                                                                    {".codebooks", "AQLM"},
                                                                    {"_proj_blocks", "MXFP4"}};
  const auto refuse = [&](const StoredTensor& t, const std::string& method) {
    bad(where(t),
        "holds packed values (" + t.info.dtype_name + ") of quantisation method " + method +
            ", which are not decoded here",
        "take the model's original weights or its FP8 version instead");
  };
  const std::string method = quantization_.method.empty() ? "unknown" : quantization_.method;
  for (const StoredTensor& t : tensors())
    for (const auto& [tail, whose] : kPacked)
      if (ends_with(t.info.name, tail)) refuse(t, quantization_.method.empty() ? whose : method);
  for (const StoredTensor& t : tensors()) {
    const bool is_matrix = t.info.shape.size() == 2 && ends_with(t.info.name, ".weight");
    const WeightCoding c = coding(t);
    if (is_matrix && !c.format) refuse(t, method);
    if (!c.problem.empty()) bad(where(t), c.problem, "is a shard missing?");
  }
}

bool ModelFolder::is_quantised() const {
  const Json* config = ds::find(config_json_, "quantization_config");
  if (config && !config->is_null()) return true;
  return std::any_of(tensors().begin(), tensors().end(),
                     [&](const StoredTensor& t) { return coding(t).is_scaled(); });
}

bool ModelFolder::is_companion(const StoredTensor& t) const {
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

}  // namespace ds::checkpoint
