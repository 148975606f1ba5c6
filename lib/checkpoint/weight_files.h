// Which file of a model folder holds each tensor.
//
// The rule: model.safetensors.index.json decides. A tensor is read from the file that the index names,
// in a folder below as well, whatever other files hold beside it (overlays, old copies); what a named file
// holds and no entry names belongs to the model, too; files that no entry names are strays and not read. An
// entry whose file does not hold the tensor is a ghost: named in a warning, and the tensor is where else a
// named file has it, or nowhere. When a named file is missing, the index is stale, and a model.safetensors
// that holds every tensor of the index is read instead. Without an index it is model.safetensors.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/files.h"
#include "io/safetensors.h"
#include "kernels/tensor_format.h"

namespace ds::checkpoint {

struct StoredTensor {
  io::TensorInfo info;
  int file = 0;                          // index into WeightFiles::files
  uint64_t offset = 0;                   // of the first byte, in the file
  const TensorFormat* blocks = nullptr;  // of GGUF: how the values lie where info.dtype cannot say it
  uint64_t bytes() const { return info.end - info.begin; }
};

struct WeightFile {
  std::string path, name;  // name: below the folder; empty for what WeightFiles::make_last writes
  int64_t bytes = 0, mtime_ns = 0;
  io::FileHandle fd;
};

struct WeightFiles {
  std::vector<WeightFile> files;
  std::vector<StoredTensor> tensors;  // in order of file name, then of place in the file
  bool has_index = false;             // and it was followed
  std::vector<std::string> warnings;  // where the folder can be read in two ways
  // Writes what files.back() holds, which is no file of the model: tensors of a GGUF that lie nowhere in the
  // order in which models are published. To be called before its bytes are read; the first call counts.
  std::function<void(const std::vector<WeightFile>& files)> make_last;
};

// `folder` may be a GGUF file (checkpoint/gguf_weights.h). Opens the files and checks their headers. Throws
// Error{kNoInput} for what is missing, {kBadModel} for what makes no sense.
WeightFiles find_weights(const std::string& folder);

// Throws as open_model_file (checkpoint/model_file.h).
WeightFile open_weight_file(const std::string& path, const std::string& name);

extern const char* const kIndexName;

}  // namespace ds::checkpoint
