// What generation does unless told otherwise: generation_config.json, then the family's recommendation.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "infer/sampler.h"

namespace ds::infer {

struct GenerationSettings {
  SamplingParams sampling;
  int64_t max_tokens = 0;         // new tokens at most; 0: until the context is full
  std::vector<std::string> stop;  // strings that end the answer; they are not printed
};

// What a command line or a record says of its own; the rest stays as it is.
struct GenerationOverrides {
  std::optional<double> temperature, top_p, min_p, repeat_penalty;
  std::optional<int64_t> top_k, max_tokens, seed;
  std::optional<std::vector<std::string>> stop;
};
// Throws Error{kind} naming `where` for values that make no sense.
GenerationSettings with_overrides(GenerationSettings settings, const GenerationOverrides& overrides,
                                  ErrorKind kind, const std::string& where);

struct GenerationConfig {
  GenerationSettings defaults;
  std::vector<int32_t> stop_ids;  // tokens that end a turn, from generation_config.json and config.json
};

// Sampling that the family's authors recommend, by config.json's model_type.
SamplingParams recommended_sampling(const std::string& model_type);

// Reads FOLDER/generation_config.json if it is there. Throws Error{kBadModel} for values that make no sense.
GenerationConfig read_generation_config(const std::string& folder, const ModelConfig& config);

}  // namespace ds::infer
