// A model folder read as tensors, without knowing its architecture: what belongs to it, and how each weight
// is coded.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "io/files.h"
#include "io/safetensors.h"

namespace ds::quant {

struct StoredTensor {
  TensorInfo info;
  int file = 0;         // index into Checkpoint::files()
  uint64_t offset = 0;  // of the first byte, in the file
  uint64_t bytes() const { return info.end - info.begin; }
};

// How the values of a weight are stored.
enum class Coding { kPlain, kE4M3, kE2M1 };
struct WeightCoding {
  Coding coding = Coding::kPlain;
  const StoredTensor* scale = nullptr;     // none for kPlain, or missing
  int64_t rows = 0, cols = 0;              // of values; a packed FP4 byte holds two
  int64_t block_rows = 0, block_cols = 0;  // one scale covers so many values
  std::string problem;                     // why the values cannot be computed; empty when they can
  int64_t scale_rows() const { return block_rows ? (rows + block_rows - 1) / block_rows : 0; }
  int64_t scale_cols() const { return block_cols ? (cols + block_cols - 1) / block_cols : 0; }
};

class Checkpoint {
 public:
  struct File {
    std::string path, name;
    int64_t bytes = 0, mtime_ns = 0;
    FileHandle fd;
  };

  // Opens config.json and every safetensors file that belongs to the folder; checks headers, and that the
  // index and the files agree. Throws Error{kNoInput} for what is missing, {kBadModel} for what makes no
  // sense.
  explicit Checkpoint(const std::string& path);

  const std::string& path() const { return path_; }
  const std::string& config_text() const { return config_text_; }
  const Json& config() const { return config_; }
  const std::vector<File>& files() const { return files_; }
  // In order of file name, then of place in the file.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(const std::string& name) const;  // nullptr when absent
  bool has_index() const { return has_index_; }
  // Everything else in the folder, relative paths in order; hidden names, and weights in other formats
  // (`skipped`), left out.
  const std::vector<std::string>& other_files() const { return other_files_; }
  const std::vector<std::string>& skipped_files() const { return skipped_files_; }

  std::string where(const StoredTensor& t) const { return files_[t.file].path + ": tensor " + t.info.name; }
  // `n` bytes from `begin` bytes into the tensor.
  void read(const StoredTensor& t, uint64_t begin, void* to, size_t n) const;
  // Tells the system that these bytes are wanted soon.
  void prefetch(const StoredTensor& t, uint64_t begin, size_t n) const;

  // The block shape of quantization_config; 0 when the config names none.
  int64_t config_block_rows() const { return config_block_rows_; }
  int64_t config_block_cols() const { return config_block_cols_; }

  // How this tensor is coded. Block shapes come from the config where they fit the scales' shape, else from
  // the shapes. Throws Error{kBadModel} when a scale is missing or fits no block shape.
  WeightCoding coding(const StoredTensor& t) const;
  // Whether the folder is quantised already, by its config or by its tensors.
  bool is_quantised() const;
  // quantization_config.quant_method, "" when there is none.
  std::string quant_method() const;
  // Whether a tensor only describes another one: a block scale, or a static activation scale of an FP8
  // weight.
  bool is_companion(const StoredTensor& t) const;

 private:
  void open_shards();
  void list_other_files();
  const StoredTensor* scale_of(const StoredTensor& t) const;

  std::string path_, config_text_;
  Json config_;
  bool has_index_ = false;
  int64_t config_block_rows_ = 0, config_block_cols_ = 0;
  std::vector<File> files_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
  std::vector<std::string> other_files_, skipped_files_;
};

}  // namespace ds::quant
