// A model folder as one GGUF file, also into a pipe: written front to back, in constant memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "quant/options.h"

namespace ds::quant {

struct GgufReport {
  int64_t n_tensors = 0, bytes_planned = 0, bytes_written = 0;
  double seconds = 0;
  std::vector<std::string> notes;
};

// options.target is kGgufQ8_0 or kGgufBF16; options.out a file, "-", or empty: nothing is written then, and
// the report says what would be. Throws Error{kCannotCreate} when the file exists and `force` is not given.
GgufReport export_gguf(const ModelFolder& model, const QuantizeOptions& options);

// 32 floats -> 34 bytes: binary16 scale amax / 127, then int8 codes, half away from zero (as ggml's
// reference).
void encode_q8_0(const float* x, int64_t n, uint8_t* out);

}  // namespace ds::quant
