// A GGUF file, or several that are parts of one model, opened: what gguf_weights, gguf_config and
// gguf_tokenizer read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/weight_files.h"
#include "io/gguf.h"

namespace ds::checkpoint {

// By its first bytes, or by its name where it is damaged.
bool is_gguf_file(const std::string& path);

// One tensor where it lies.
struct GgufTensorPlace {
  std::string name;
  std::vector<int64_t> shape;  // slowest first
  int file = 0;                // index into GgufParts::files
  uint64_t offset = 0, bytes = 0;
  DType dtype = DType::kUnknown;
  const char* type_name = "";
  const TensorFormat* blocks = nullptr;  // where dtype is kUnknown
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;
  uint64_t bytes_of(int64_t n) const {  // of n values, whole blocks
    return static_cast<uint64_t>(blocks ? blocks->bytes_of(n) : n * dtype_bytes(dtype));
  }
};

struct GgufParts {
  std::string path;
  std::vector<WeightFile> files;
  Json metadata;  // of the first
  std::vector<GgufTensorPlace> tensors;
  const GgufTensorPlace* find(const std::string& name) const;  // linear
  std::string architecture() const;                            // "" where the metadata says none
};

// The file, and the other parts where it is the first of several. Every tensor is known to be of a type that
// is read and to lie in its file. Throws Error{kNoInput} for parts that are missing, {kBadModel} for what
// makes no sense.
GgufParts open_gguf(const std::string& path, io::GgufArrays arrays);
// The metadata alone.
Json read_gguf_metadata(const std::string& path, io::GgufArrays arrays);

}  // namespace ds::checkpoint
