// A model folder as one GGUF file, also into a pipe: written front to back, in constant memory.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "quant/options.h"

namespace ds::quant {

struct GgufReport {
  int64_t n_tensors = 0, bytes_planned = 0, bytes_written = 0;
  std::map<std::string, int64_t> n_of_type;  // tensors, by the type's name
  double seconds = 0;
  std::vector<std::string> notes;
};

// options.target is one of kGguf...; options.out a file, "-", or empty: nothing is written then, and
// the report says what would be. Throws Error{kCannotCreate} when the file exists and `force` is not given.
GgufReport export_gguf(const ModelFolder& model, const QuantizeOptions& options);

}  // namespace ds::quant
