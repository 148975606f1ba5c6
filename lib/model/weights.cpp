#include "model/weights.h"

#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/numbers.h"

namespace ds::model {
namespace {

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

float element(const std::byte* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kF32:
      return load_unaligned<float>(data + 4 * i);
    case DType::kF16:
      return f16_to_f32(load_unaligned<uint16_t>(data + 2 * i));
    case DType::kBF16:
      return bf16_to_f32(load_unaligned<uint16_t>(data + 2 * i));
    default:
      return e8m0_to_f32(static_cast<uint8_t>(data[i]));
  }
}

}  // namespace

Weights::Weights(const std::vector<std::string>& files, const ModelConfig& config) : config_(config) {
  for (const std::string& path : files) {
    files_.push_back(std::make_unique<SafetensorsFile>(path));
    for (const TensorInfo& t : files_.back()->tensors()) {
      const auto [it, fresh] = tensors_.insert({t.name, {files_.back().get(), &t}});
      if (!fresh)
        bad(path + ": tensor " + t.name, "is also in " + it->second.file->path(),
            "remove the file that does not belong to the model");
      check_layer(path, t.name);
    }
  }
}

void Weights::check_layer(const std::string& path, const std::string& name) const {
  constexpr std::string_view kLayers = "model.layers.";
  if (name.rfind(kLayers, 0) != 0) return;
  int64_t layer = -1;
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  if (layer < config_.num_hidden_layers + config_.num_nextn_predict_layers) return;
  bad(path + ": tensor " + name,
      "belongs to no layer: config.json has " + std::to_string(config_.num_hidden_layers) + " and " +
          std::to_string(config_.num_nextn_predict_layers) + " for prediction",
      "num_hidden_layers or num_nextn_predict_layers does not fit the weights");
}

const Weights::Entry& Weights::require(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    std::string files;
    for (const auto& file : files_) files += (files.empty() ? "" : ", ") + file->path();
    bad(config_.path, "tensor " + name + " is missing",
        "config.json (model_type " + config_.model_type + ") asks for it; looked in " +
            std::to_string(files_.size()) + " file(s), is a shard missing?");
  }
  return it->second;
}

const float* Weights::floats(const Entry& entry) {
  const auto data = entry.file->data(*entry.tensor);
  const DType dtype = entry.tensor->dtype;
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16 && dtype != DType::kF8E8M0)
    bad(where(entry), "has dtype " + entry.tensor->dtype_name + ", F32, F16, BF16 or F8_E8M0 was expected");
  if (dtype == DType::kF32 && reinterpret_cast<uintptr_t>(data.data()) % alignof(float) == 0)
    return reinterpret_cast<const float*>(data.data());
  const int64_t n = entry.tensor->n_elements();
  decoded_.push_back(std::make_unique<float[]>(n));
  for (int64_t i = 0; i < n; ++i) decoded_.back()[i] = element(data.data(), dtype, i);
  return decoded_.back().get();
}

const float* Weights::vector(const std::string& name, int64_t n) {
  const Entry& entry = require(name);
  if (entry.tensor->shape != std::vector<int64_t>{n})
    bad(where(entry),
        "has shape " + shape_text(entry.tensor->shape) + ", [" + std::to_string(n) + "] was expected");
  const float* values = floats(entry);
  check_finite(entry, values, n);
  return values;
}

void Weights::check_finite(const Entry& entry, const float* values, int64_t n) const {
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i]))
      bad(where(entry), "element " + std::to_string(i) + " is NaN or infinite",
          "the checkpoint is damaged: fetch it again");
  }
}

void Weights::bind_scales(const std::string& name, const Entry& weight, WeightView& view) {
  const Entry* scale = nullptr;
  for (const char* suffix : {".weight_scale_inv", ".weight_scale", ".scale"}) {
    const auto it = tensors_.find(name + suffix);
    if (it != tensors_.end()) scale = &it->second;
  }
  if (!scale)
    bad(where(weight), "is F8_E4M3 but " + name + ".weight_scale_inv is missing", "is a shard missing?");
  const std::vector<int64_t>& shape = scale->tensor->shape;
  const int64_t n = scale->tensor->n_elements();
  if (n == 1) {  // one scale for all
    view.block_rows = std::max<int64_t>(view.rows, 1), view.block_cols = std::max<int64_t>(view.cols, 1);
  } else if (n == view.rows && (shape.size() == 1 || (shape.size() == 2 && shape[1] == 1 &&
                                                      config_.weight_block_cols < view.cols))) {
    view.block_rows = 1, view.block_cols = std::max<int64_t>(view.cols, 1);  // one a row
  } else {
    view.block_rows = config_.weight_block_rows, view.block_cols = config_.weight_block_cols;
    if (!view.block_rows)
      bad(where(*scale),
          "has shape " + shape_text(shape) + " but config.json has no quantization_config.weight_block_size");
    const std::vector<int64_t> want = {(view.rows + view.block_rows - 1) / view.block_rows,
                                       (view.cols + view.block_cols - 1) / view.block_cols};
    if (shape != want) {
      bad(where(*scale), "has shape " + shape_text(shape) + ", " + shape_text(want) +
                             " was expected for a weight of [" + std::to_string(view.rows) + ", " +
                             std::to_string(view.cols) + "] in blocks of " + std::to_string(view.block_rows) +
                             "x" + std::to_string(view.block_cols));
    }
  }
  view.scales = floats(*scale);
  check_finite(*scale, view.scales, n);
  bound_bytes_ += static_cast<int64_t>(scale->tensor->end - scale->tensor->begin);
}

WeightView Weights::matrix(const std::string& name, int64_t rows, int64_t cols, Bias bias) {
  const Entry& entry = require(name + ".weight");
  if (entry.tensor->shape != std::vector<int64_t>{rows, cols})
    bad(where(entry),
        "has shape " + shape_text(entry.tensor->shape) + ", [" + std::to_string(rows) + ", " +
            std::to_string(cols) + "] was expected",
        "config.json and weights do not belong together");
  WeightView view;
  view.data = entry.file->data(*entry.tensor).data();
  view.dtype = entry.tensor->dtype;
  view.rows = rows;
  view.cols = cols;
  if (view.dtype == DType::kF8E4M3) {
    bind_scales(name, entry, view);
  } else if (view.dtype != DType::kF32 && view.dtype != DType::kF16 && view.dtype != DType::kBF16) {
    bad(where(entry), "has dtype " + entry.tensor->dtype_name + ", F32, F16, BF16 or F8_E4M3 was expected");
  }
  if (bias == Bias::kRequired) {
    view.bias = vector(name + ".bias", rows);
  } else if (has(name + ".bias")) {
    bad(where(require(name + ".bias")), "is a bias that the config does not speak of",
        "config.json (model_type " + config_.model_type + ") and weights do not belong together");
  }
  bound_bytes_ += static_cast<int64_t>(entry.tensor->end - entry.tensor->begin);
  return view;
}

}  // namespace ds::model
