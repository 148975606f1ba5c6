// Adapters as PEFT keeps them: a folder with adapter_config.json and adapter_model.safetensors. What is in
// one, what other programs will make of it, and the exact average of several.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json_value.h"
#include "io/safetensors.h"

namespace ds::train {

// A module's pair of matrices; the change of its weight is scale * B A.
struct AdapterModule {
  std::string name;  // as PEFT names it, without "base_model.model." and ".lora_A.weight"
  int64_t rank = 0, n_in = 0, n_out = 0;
  double scale = 0;  // alpha / rank, alpha / sqrt(rank) of rsLoRA; alpha_pattern and rank_pattern heeded
  const io::TensorInfo *a = nullptr, *b = nullptr;  // [rank, n_in], [n_out, rank]
};

// Checked when opened: every matrix has its partner and the shape that its rank says, every value can be
// read.
class AdapterFolder {
 public:
  // Throws Error{kNoInput} for what is not there, {kBadModel} for what is no LoRA adapter.
  explicit AdapterFolder(const std::string& path);

  const std::string& path() const { return path_; }
  const Json& config() const { return config_; }
  const std::vector<AdapterModule>& modules() const { return modules_; }  // by name
  // Tensors that are neither A nor B: magnitudes of DoRA, fully trained modules, embeddings.
  const std::vector<std::string>& others() const { return others_; }
  std::string base_model() const;  // "" when the config names none
  bool is_rslora() const;
  // F32, F16 or BF16 as float32.
  std::vector<float> values(const io::TensorInfo& tensor) const;

 private:
  double scale_of(const std::string& module, int64_t rank) const;
  std::string path_;
  Json config_;
  std::unique_ptr<io::SafetensorsFile> file_;
  std::vector<AdapterModule> modules_;
  std::vector<std::string> others_;
};

// Rank, scale, modules, values, and the Frobenius norm of each module's change.
Json adapter_info(const AdapterFolder& adapter);

// What a loader will refuse, ignore or compute otherwise. `error`: nobody can use it as it is.
struct AdapterFinding {
  bool error = false;
  std::string where, says;
};
std::vector<AdapterFinding> lint_adapter(const AdapterFolder& adapter);

// Writes to `out` the adapter whose change is the weighted mean of the others' changes, exactly: their
// matrices stacked, the ranks added up (a module that one of them lacks counts as no change there), scale 1.
// Weights are normalised to the sum 1; none: all alike. Throws Error{kBadModel} for adapters of different
// models or shapes, or with more than plain LoRA in them; {kCannotCreate} when OUT is there.
struct AdapterAverage {
  int64_t rank = 0, n_modules = 0, n_values = 0;
};
AdapterAverage average_adapters(const std::vector<std::string>& folders, std::vector<double> weights,
                                const std::string& out);

}  // namespace ds::train
