// What is trained: the model's own tensors, or adapters beside them. Bound into the model as it is loaded.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/weights.h"
#include "core/rng.h"
#include "kernels/tape.h"

namespace ds::train {

struct Parameter {
  std::string name;             // as it is published; of an adapter MODULE.lora_A.weight
  std::vector<int64_t> shape;   // [n], or [rows, cols]
  std::vector<float> values;    // float32, whatever the checkpoint has
  std::vector<float> gradient;  // of the update that is being gathered
  int64_t n() const { return static_cast<int64_t>(values.size()); }
  bool is_matrix() const { return shape.size() > 1; }  // weight decay is for these
};

struct LoraSettings {
  int64_t rank = 16;
  double alpha = 32;
  bool rslora = false;           // scale alpha / sqrt(rank) in place of alpha / rank
  std::string targets = "auto";  // auto, attn, ffn, experts, or a regular expression over module names
  std::string init_adapter;      // a PEFT folder to go on from: it says rank, alpha and modules
  uint64_t seed = 0;             // of A; B begins as 0
  double scale() const;
};

struct ParameterOptions {
  bool lora = false;
  bool train_router = false;  // full: mlp.gate.weight too
  LoraSettings adapter;
};

class Parameters : public WeightBinder {
 public:
  // context: to decode weights with. Throws Error{kNoInput}, {kBadModel} for an adapter that cannot be read.
  Parameters(const ParameterOptions& options, const Context& context);
  ~Parameters() override;

  void bind_matrix(const std::string& name, WeightView& view) override;
  const float* bind_vector(const std::string& name, const float* values, int64_t n) override;
  // Once the model is loaded: throws Error when nothing is trained, or the adapter has tensors that the model
  // has no place for.
  void require_complete() const;

  std::deque<Parameter>& all() { return parameters_; }
  const std::deque<Parameter>& all() const { return parameters_; }
  Parameter* find(const std::string& name);
  int64_t n_values() const;
  const LoraSettings& adapter() const { return options_.adapter; }
  bool is_lora() const { return options_.lora; }
  // Leaf names of the modules that have adapters, ascending.
  std::vector<std::string> target_modules() const;

  // Tells the tape where the gradients go.
  void train(Tape& tape);
  void clear_gradients();

 private:
  struct AdapterFile;
  Parameter& add(const std::string& name, std::vector<int64_t> shape);
  bool is_target(const std::string& module) const;
  void add_low_rank(const std::string& module, WeightView& view);

  ParameterOptions options_;
  const Context& context_;
  std::unique_ptr<AdapterFile> adapter_file_;
  std::deque<Parameter> parameters_;
  std::deque<LowRank> low_ranks_;
};

}  // namespace ds::train
