// What a conversion is asked to do.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/cpu.h"

namespace ds::quant {

enum class QuantTarget {
  kFp8,         // F32, F16, BF16 weights -> E4M3 with block scales; FP8 and FP4 pass through
  kBF16,        // every block-scaled FP8 and FP4 weight -> BF16
  kExpertsFp8,  // FP4 weights -> E4M3 with E8M0 block scales, without loss
  kGgufQ4_0,    // one GGUF file
  kGgufQ4_K,
  kGgufQ6_K,
  kGgufQ8_0,
  kGgufBF16,
};
// Block scales are always stored as F32; kPow2 rounds them up to powers of two (V3.1).
enum class ScaleKind { kF32, kPow2 };
// Whose arithmetic: they differ in about one code of 10,000.
enum class QuantRecipe {
  kDeepseek,  // scale = amax / 448, x / scale
  kDeepgemm,  // amax at least 1e-4, scale = amax / 448, x * (1 / scale)
  kHf,        // x * (448 / amax), scale = 1 / (448 / amax)
};
// A NaN or an infinity among weights that are encoded. Decoding passes NaN on and counts it.
enum class NanPolicy {
  kFail,
  kZero,  // becomes 0
  kKeep,  // NaN stays NaN, infinities saturate to +-448 scales
};

struct QuantizeOptions {
  std::string model, out;  // folders; `out` is a file or "-" for GGUF
  QuantTarget target = QuantTarget::kFp8;
  ScaleKind scales = ScaleKind::kF32;
  QuantRecipe recipe = QuantRecipe::kDeepseek;
  int64_t block_rows = 128, block_cols = 128;
  // Regular expressions searched in tensor names. `include` empty: every matrix NAME.weight except `exclude`;
  // `exclude` empty: what published checkpoints keep (default_exclude()), or nothing when `include` is given.
  std::string include, exclude;
  bool requantize = false;  // FP8 with other scales: costs about 3 dB, so only when asked for
  NanPolicy nan_policy = NanPolicy::kFail;

  int64_t max_shard_bytes = 5'000'000'000;
  bool keep_shards = false;  // same files as MODEL
  bool resume = false;       // continue a stopped run of the same command
  bool force = false;        // replace an existing output
  bool sync = true;          // wait for the disk before a file gets its name

  Isa isa = Isa::kScalar;
  int n_threads = 1;
  std::function<bool()> stop;                                 // asked between bands
  std::function<void(int64_t done, int64_t total)> progress;  // of the work, from the calling thread
};

// The names people give them.
const std::map<std::string, QuantTarget>&
target_names();  // without kExpertsFp8, which has an option of its own
const std::map<std::string, ScaleKind>& scale_names();
const std::map<std::string, QuantRecipe>& recipe_names();
const std::map<std::string, NanPolicy>& nan_policy_names();
bool is_gguf(QuantTarget target);
// "128x64": rows x columns. Throws Error{kUsage} naming `where`.
void set_block(QuantizeOptions& options, const std::string& text, const std::string& where);

// Throws Error{kUsage} when `out` cannot be what the target needs: a folder, or for GGUF a file in one go;
// and when one of the reports would go over the model or what else is read.
void check_output_fits(const QuantizeOptions& options, const std::vector<std::string>& reports,
                       const std::vector<std::string>& others_read);

// Embeddings, head, routers, indexer weights, MTP projection, and V4's compressors: kept as published.
const char* default_exclude();

}  // namespace ds::quant
