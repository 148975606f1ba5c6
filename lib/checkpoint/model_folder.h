// A model on disk: config.json, which file holds which tensor, how each weight is coded. The only opener of a
// model; what is bound, converted or exported comes through here.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/format.h"
#include "checkpoint/weight_files.h"
#include "core/error.h"
#include "core/json_value.h"

namespace ds::checkpoint {

// How the values of a weight are stored.
struct WeightCoding {
  const TensorFormat* format = nullptr;    // none: no values, or none that can be read
  const StoredTensor* scale = nullptr;     // of a format whose scales lie beside; none when missing
  int64_t rows = 0, cols = 0;              // of values; a packed FP4 byte holds two
  int64_t block_rows = 0, block_cols = 0;  // one scale covers so many values
  std::string problem;                     // why the values cannot be computed; empty when they can
  bool is_scaled() const { return format && format->scales == TensorFormat::Scales::kBeside; }
  int64_t scale_rows() const { return block_rows ? (rows + block_rows - 1) / block_rows : 0; }
  int64_t scale_cols() const { return block_cols ? (cols + block_cols - 1) / block_cols : 0; }
};

// A GGUF file is one, too: what a folder would hold is made from it (checkpoint/gguf_weights.h).
class ModelFolder {
 public:
  // Opens config.json and every safetensors file that belongs to the folder (checkpoint/weight_files.h says
  // which) and checks their headers. Throws Error{kNoInput} for what is missing, {kBadModel} for what makes
  // no sense.
  explicit ModelFolder(const std::string& name);

  const std::string& path() const { return path_; }
  bool is_gguf() const { return is_gguf_; }
  std::string config_path() const { return path_ + "/config.json"; }
  const std::string& config_text() const { return config_text_; }
  const Json& config_json() const { return config_json_; }
  std::string model_type() const;  // "" when config.json says none
  // What config.json says of the architecture. Throws Error{kBadModel} when it says nothing that can be run:
  // a conversion need not know.
  const ModelConfig& config() const;

  const std::vector<WeightFile>& files() const { return weights_.files; }
  const std::vector<StoredTensor>& tensors() const { return weights_.tensors; }
  // nullptr when absent. A folder saved without its head names its tensors without "model.": both are found.
  const StoredTensor* find(const std::string& name) const;
  // The name as architectures know it, with "model.".
  std::string canonical_name(const StoredTensor& t) const;
  bool has_index() const { return weights_.has_index; }
  // Everything else in the folder, relative paths in order; hidden names, and weights in other formats
  // (`skipped`), left out.
  const std::vector<std::string>& other_files() const { return other_files_; }
  const std::vector<std::string>& skipped_files() const { return skipped_files_; }
  // Where the folder can be read in two ways, and which was taken.
  const std::vector<std::string>& warnings() const { return weights_.warnings; }
  // Throws Error{kBadModel} for a folder with weights whose values nobody here can compute: packed integers,
  // scales that are missing or fit nothing. Says whose method it is, and what to do.
  void require_readable() const;

  std::string where(const StoredTensor& t) const { return files()[t.file].path + ": tensor " + t.info.name; }
  // For who maps the files: writes the last one where it has to be made.
  void make_files() const {
    if (weights_.make_last) weights_.make_last(weights_.files);
  }
  // `n` bytes from `begin` bytes into the tensor.
  void read(const StoredTensor& t, uint64_t begin, void* to, size_t n) const;
  // Tells the system that these bytes are wanted soon.
  void prefetch(const StoredTensor& t, uint64_t begin, size_t n) const;

  const QuantizationConfig& quantization() const { return quantization_; }
  // How this tensor is coded; WeightCoding::problem says when a scale is missing or fits no block shape.
  WeightCoding coding(const StoredTensor& t) const;
  // Whether the folder is quantised already, by its config or by its tensors.
  bool is_quantised() const;
  // Whether a tensor only describes another one: a block scale, or a static activation scale of an FP8
  // weight.
  bool is_companion(const StoredTensor& t) const;

 private:
  void list_other_files();
  void add_names();
  void heed_tensors(ModelConfig& config);
  void warn_of_double_scales();
  std::vector<const StoredTensor*> scales_of(const StoredTensor& t) const;
  void find_blocks(const StoredTensor& t, WeightCoding& c) const;

  std::string path_, config_text_;
  bool is_gguf_ = false;
  Json config_json_;
  std::optional<ModelConfig> config_;
  std::optional<Error> config_error_;
  QuantizationConfig quantization_;
  WeightFiles weights_;
  std::unordered_map<std::string, const StoredTensor*> by_name_;
  bool lacks_prefix_ = false;  // tensors are called layers.0..., not model.layers.0...
  std::vector<std::string> other_files_, skipped_files_;
};

// "FILE: tensor NAME, element I" of the first value that is NaN or infinite; empty when there is none.
std::string first_non_finite(const ModelFolder& folder);

// A model by its path or name (checkpoint/locate.h); shared by all that read from it.
std::shared_ptr<const ModelFolder> open_model(const std::string& name);

}  // namespace ds::checkpoint
