// The tensors of a model folder, bound by name to strict shapes. Everything stays mapped; only what is small
// and read whole (norms, biases, block scales that are not plain F32) is decoded.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "kernels/weight_view.h"

namespace ds::checkpoint {

// Who wants to have a hand in it when tensors are bound: training, whose values change, and adapters.
class WeightBinder {
 public:
  virtual ~WeightBinder() = default;
  // `view` is what NAME.weight was bound to, bias included; it may be made to point elsewhere.
  virtual void bind_matrix(const std::string& name, WeightView& view) = 0;
  // The n values of the tensor `name`, or others in their place.
  virtual const float* bind_vector(const std::string& name, const float* values, int64_t n) = 0;
};

class Weights {
 public:
  // kNames: names, shapes and types are all that is asked; no file is mapped, no value read, and what is
  // bound points nowhere.
  enum class Access { kValues, kNames };
  // Maps the files. A tensor of a layer that the config does not have is Error{kBadModel}.
  explicit Weights(std::shared_ptr<const ModelFolder> folder, Access access = Access::kValues,
                   WeightBinder* binder = nullptr);

  bool has(const std::string& name) const { return folder_->find(name) != nullptr; }

  // NAME.weight as a matrix of exactly this shape, with its block scales when it is FP8, and NAME.bias when
  // `bias` says so; a bias that should not be there is an error, since answers without it would be wrong.
  // Throws Error{kBadModel} naming file and tensor.
  enum class Bias { kNone, kRequired };
  WeightView matrix(const std::string& name, int64_t rows, int64_t cols, Bias bias = Bias::kNone);
  // The tensor `name` (full name) of n floats as F32, finite all.
  const float* vector(const std::string& name, int64_t n);
  // Once all is bound: throws Error{kBadModel} naming the tensors that nothing asked for. Answers without
  // them would be wrong. Buffers that are computed anew, scales of a quantised cache, the layers that predict
  // a second token and what only describes an FP8 weight may stay unasked for.
  void require_all_bound() const;

  void copy_into_large_pages(ThreadPool& pool) const {
    for (const MappedFile& file : files_) file.copy_into_large_pages(pool);
  }

  // Bytes of every matrix bound so far, scales included.
  int64_t bound_bytes() const { return bound_bytes_; }

 private:
  const StoredTensor& require(const std::string& name);
  // Of "model.layers.I. ...", else -1.
  int64_t layer_of(const StoredTensor& t) const;
  void check_layer(const StoredTensor& t) const;
  bool may_stay_unbound(const StoredTensor& t) const;
  void mark_bound(const StoredTensor& t) { bound_[&t - folder_->tensors().data()] = true; }
  const std::byte* data(const StoredTensor& t) const;
  // Finite values of a small tensor, decoded or, where they lie aligned as F32, in place; kNames: none.
  const float* floats(const StoredTensor& t);
  void bind_scales(const StoredTensor& weight, WeightView& view);

  std::shared_ptr<const ModelFolder> folder_;
  Access access_;
  WeightBinder* binder_;           // of the time of binding
  std::vector<MappedFile> files_;  // beside folder_->files()
  std::vector<std::unique_ptr<float[]>> decoded_;
  std::vector<bool> bound_;  // beside folder_->tensors()
  int64_t bound_bytes_ = 0;
};

}  // namespace ds::checkpoint
