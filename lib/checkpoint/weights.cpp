#include "checkpoint/weights.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace ds::checkpoint {
namespace {

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

}  // namespace

Weights::Weights(std::shared_ptr<const ModelFolder> folder, Access access, WeightBinder* binder)
    : folder_(std::move(folder)), access_(access), binder_(binder), bound_(folder_->tensors().size()) {
  if (access_ == Access::kValues) {
    folder_->make_files();
    files_.reserve(folder_->files().size());
  }
  for (const WeightFile& file : folder_->files()) {
    if (access_ == Access::kNames) break;
    // The very file whose header was read: the path may name another one by now.
    files_.emplace_back(FileHandle(::dup(file.fd.get())), file.path);
    if (static_cast<int64_t>(files_.back().bytes().size()) != file.bytes)
      bad(file.path, "changed its size while it was read");
  }
  for (const StoredTensor& t : folder_->tensors()) check_layer(t);
}

int64_t Weights::layer_of(const StoredTensor& t) const {
  constexpr std::string_view kLayers = "model.layers.";
  const std::string name = folder_->canonical_name(t);
  int64_t layer = -1;
  if (name.starts_with(kLayers))
    std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return layer;
}

void Weights::check_layer(const StoredTensor& t) const {
  const ModelConfig& config = folder_->config();
  if (layer_of(t) < config.num_hidden_layers + config.num_nextn_predict_layers) return;
  bad(folder_->where(t),
      "belongs to no layer: config.json has " + std::to_string(config.num_hidden_layers) + " and " +
          std::to_string(config.num_nextn_predict_layers) + " for prediction",
      "num_hidden_layers or num_nextn_predict_layers does not fit the weights");
}

bool Weights::may_stay_unbound(const StoredTensor& t) const {
  // Buffers that old versions of transformers saved, and, as vLLM does with a cache that is not quantised,
  // the factors of one that is.
  static constexpr std::string_view kHarmless[] = {".rotary_emb.inv_freq",
                                                   ".rotary_emb.cos_cached",
                                                   ".rotary_emb.sin_cached",
                                                   ".masked_bias",
                                                   ".attn.bias",
                                                   ".self_attn.bias",
                                                   ".k_scale",
                                                   ".v_scale",
                                                   ".kv_scale",
                                                   ".q_scale",
                                                   ".k_proj.output_scale",
                                                   ".v_proj.output_scale"};
  const std::string& name = t.info.name;
  const auto ends_name = [&](std::string_view tail) { return name.ends_with(tail); };
  return t.info.n_elements() == 0 || layer_of(t) >= folder_->config().num_hidden_layers ||
         std::any_of(std::begin(kHarmless), std::end(kHarmless), ends_name) || folder_->is_companion(t);
}

void Weights::require_all_bound() const {
  constexpr int64_t kMostNamed = 3;
  int64_t n = 0;
  std::string names;
  for (size_t i = 0; i < bound_.size(); ++i) {
    const StoredTensor& t = folder_->tensors()[i];
    if (bound_[i] || may_stay_unbound(t)) continue;
    if (++n <= kMostNamed) names += (n > 1 ? ", " : "") + t.info.name;
  }
  if (n == 0) return;
  const bool adapter = names.find(".lora_") != std::string::npos;
  bad(folder_->path(),
      std::to_string(n) + (n == 1 ? " tensor has" : " tensors have") + " no use in model_type " +
          folder_->model_type() + ": " + names + (n > kMostNamed ? " ..." : ""),
      adapter ? "merge the adapter into the model's weights first"
              : "the weights are of another architecture than config.json says, or were changed by a tool: "
                "answers without these tensors would be wrong");
}

const StoredTensor& Weights::require(const std::string& name) {
  if (const StoredTensor* t = folder_->find(name)) {
    mark_bound(*t);
    return *t;
  }
  // Checkpoints of wrappers: PEFT, torch.compile, DDP, models that also see.
  constexpr std::string_view kModel = "model.";
  const std::string tail = name.starts_with(kModel) ? name.substr(kModel.size()) : name;
  for (const StoredTensor& t : folder_->tensors()) {
    const std::string& other = t.info.name;
    if (!other.ends_with("." + tail)) continue;
    std::string prefix = other.substr(0, other.size() - tail.size());
    if (prefix.ends_with("." + std::string(kModel))) prefix.resize(prefix.size() - kModel.size());
    bad(folder_->config_path(), "tensor " + name + " is missing, but " + other + " is there",
        "names begin with \"" + prefix + "\": save the model without its wrapper");
  }
  bad(folder_->config_path(), "tensor " + name + " is missing",
      "config.json (model_type " + folder_->model_type() + ") asks for it; looked in " +
          std::to_string(folder_->files().size()) + " file(s), is a shard missing?");
}

const std::byte* Weights::data(const StoredTensor& t) const {
  return access_ == Access::kNames ? nullptr : files_[t.file].bytes().data() + t.offset;
}

const float* Weights::floats(const StoredTensor& t) {
  const TensorFormat* format = t.blocks ? t.blocks : format_of(t.info.dtype);
  if (!format || format->scales == TensorFormat::Scales::kBeside || t.info.dtype == DType::kF64)
    bad(folder_->where(t), "has dtype " + t.info.dtype_name + ", F32, F16, BF16 or F8_E8M0 was expected");
  if (access_ == Access::kNames) return nullptr;
  const int64_t n = t.info.n_elements();
  const float* values = reinterpret_cast<const float*>(data(t));
  if (t.info.dtype != DType::kF32 || reinterpret_cast<uintptr_t>(values) % alignof(float) != 0) {
    decoded_.push_back(std::make_unique<float[]>(n));
    format->decode_row(data(t), n, decoded_.back().get());
    values = decoded_.back().get();
  }
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i]))
      bad(folder_->where(t), "element " + std::to_string(i) + " is NaN or infinite",
          "the checkpoint is damaged: fetch it again");
  return values;
}

const float* Weights::vector(const std::string& name, int64_t n) {
  const StoredTensor& t = require(name);
  if (t.info.shape != std::vector<int64_t>{n})
    bad(folder_->where(t),
        "has shape " + shape_text(t.info.shape) + ", [" + std::to_string(n) + "] was expected");
  const float* values = floats(t);
  return binder_ ? binder_->bind_vector(name, values, n) : values;
}

void Weights::bind_scales(const StoredTensor& weight, WeightView& view) {
  const WeightCoding coding = folder_->coding(weight);
  if (!coding.problem.empty()) bad(folder_->where(weight), coding.problem, "is a shard missing?");
  view.block_rows = coding.block_rows;
  view.block_cols = coding.block_cols;
  view.scales = floats(*coding.scale);
  mark_bound(*coding.scale);
  bound_bytes_ += static_cast<int64_t>(coding.scale->bytes());
}

WeightView Weights::matrix(const std::string& name, int64_t rows, int64_t cols, Bias bias) {
  const StoredTensor& t = require(name + ".weight");
  if (t.info.shape != std::vector<int64_t>{rows, cols})
    bad(folder_->where(t),
        "has shape " + shape_text(t.info.shape) + ", [" + std::to_string(rows) + ", " + std::to_string(cols) +
            "] was expected",
        "config.json and weights do not belong together");
  WeightView view;
  view.data = data(t);
  view.dtype = t.info.dtype;
  view.rows = rows;
  view.cols = cols;
  view.blocks = t.blocks;
  if (view.dtype == DType::kF8E4M3) {
    bind_scales(t, view);
  } else if (view.blocks) {  // that rows are whole blocks was checked when the file was opened
  } else if (view.dtype != DType::kF32 && view.dtype != DType::kF16 && view.dtype != DType::kBF16) {
    bad(folder_->where(t), "has dtype " + t.info.dtype_name + ", F32, F16, BF16 or F8_E4M3 was expected");
  }
  if (bias == Bias::kRequired) {
    view.bias = vector(name + ".bias", rows);
  } else if (const StoredTensor* unexpected = folder_->find(name + ".bias")) {
    bad(folder_->where(*unexpected), "is a bias that the config does not speak of",
        "config.json (model_type " + folder_->model_type() + ") and weights do not belong together");
  }
  bound_bytes_ += static_cast<int64_t>(t.bytes());
  if (binder_) binder_->bind_matrix(name, view);
  return view;
}

}  // namespace ds::checkpoint
