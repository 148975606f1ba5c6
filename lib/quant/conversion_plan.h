// What a conversion will write, byte for byte, before anything is written: sizes are fixed by shapes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "io/safetensors.h"
#include "quant/options.h"

namespace ds::quant {

enum class Treatment {
  kCopy,       // byte for byte
  kEncode,     // F32, F16, BF16 (or FP8, requantised) -> E4M3 with block scales
  kDecode,     // E4M3 or FP4 with block scales -> BF16
  kFp4ToE4M3,  // FP4 -> E4M3 with E8M0 block scales, exactly the same values
};
const char* treatment_name(Treatment treatment);

// One input tensor's way into a shard.
struct QuantStep {
  const StoredTensor* source = nullptr;
  WeightCoding coding;
  Treatment treatment = Treatment::kCopy;
  bool follows = false;                    // belongs to the step before it and stays in its file
  int out = -1, out_scale = -1;            // indices into PlannedShard::tensors
  int64_t block_rows = 0, block_cols = 0;  // of what is written, when it has scales
};

struct PlannedShard {
  std::string name;
  std::vector<TensorInfo> tensors;  // in file order; begin/end assigned
  std::vector<QuantStep> steps;     // in input order
  std::string header;
  int64_t file_bytes() const {
    return static_cast<int64_t>(header.size()) +
           static_cast<int64_t>(tensors.empty() ? 0 : tensors.back().end);
  }
};

struct QuantizePlan {
  std::vector<PlannedShard> shards;
  std::string config_text, index_text;  // index_text empty: a single file needs none
  int64_t n_parameters = 0;
  int64_t bytes_before = 0, bytes_after = 0;    // of tensors
  int64_t bytes_as_f32 = 0, bytes_as_bf16 = 0;  // had every value 4 or 2 bytes (integers as they are)
  int64_t n_encoded = 0, n_decoded = 0, n_copied = 0;
  std::vector<std::string> notes;  // what a person should know before starting
  int64_t other_bytes = 0;         // of files carried over
};

// Throws Error{kUsage} for options that contradict each other or the model, {kBadModel} for the model.
QuantizePlan plan_quantize(const ModelFolder& model, const QuantizeOptions& options);

}  // namespace ds::quant
