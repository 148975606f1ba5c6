// The tensors of a model folder, bound by name to strict shapes. Everything stays mapped; only what is small
// and read whole (norms, biases, block scales that are not plain F32) is decoded.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/safetensors.h"
#include "kernels/weight_view.h"
#include "model/config.h"

namespace ds::model {

class Weights {
 public:
  // Maps the files and checks their headers. A tensor in two files, or of a layer that the config does not
  // have, is Error{kBadModel}.
  Weights(const std::vector<std::string>& files, const ModelConfig& config);

  bool has(const std::string& name) const { return tensors_.count(name) > 0; }

  // NAME.weight as a matrix of exactly this shape, with its block scales (NAME.weight_scale_inv,
  // .weight_scale or .scale) when it is FP8, and NAME.bias when `bias` says so; a bias that should not be
  // there is an error, since answers without it would be wrong. Throws Error{kBadModel} naming file and
  // tensor.
  enum class Bias { kNone, kRequired };
  WeightView matrix(const std::string& name, int64_t rows, int64_t cols, Bias bias = Bias::kNone);
  // The tensor `name` (full name) of n floats as F32, finite all.
  const float* vector(const std::string& name, int64_t n);

  void copy_into_large_pages(ThreadPool& pool) const {
    for (const auto& file : files_) file->copy_into_large_pages(pool);
  }

  // Bytes of every matrix bound so far, scales included.
  int64_t bound_bytes() const { return bound_bytes_; }

 private:
  struct Entry {
    const SafetensorsFile* file;
    const TensorInfo* tensor;
  };
  const Entry& require(const std::string& name) const;
  std::string where(const Entry& entry) const {
    return entry.file->path() + ": tensor " + entry.tensor->name;
  }
  void check_layer(const std::string& path, const std::string& name) const;
  void check_finite(const Entry& entry, const float* values, int64_t n) const;
  void bind_scales(const std::string& name, const Entry& weight, WeightView& view);
  const float* floats(const Entry& entry);  // decoded or, where they lie aligned as F32, in place

  const ModelConfig& config_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::unordered_map<std::string_view, Entry> tensors_;
  std::vector<std::unique_ptr<float[]>> decoded_;
  int64_t bound_bytes_ = 0;
};

}  // namespace ds::model
