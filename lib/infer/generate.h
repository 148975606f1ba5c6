// Answering one request: read the prompt, then sample, print and read token by token.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "infer/answer_stream.h"
#include "infer/engine.h"
#include "infer/session.h"

namespace ds::infer {

enum class FinishReason {
  kStop,         // the model ended its turn, or a stop string came
  kLength,       // max_tokens were produced or the context is full
  kInterrupted,  // someone asked to stop
};
const char* finish_reason_name(FinishReason reason);

struct GenerateOptions {
  GenerationSettings settings;
  uint64_t stream = 0;                   // own random numbers under settings.sampling.seed
  PieceSink sink;                        // receives text as it comes; may be empty
  std::function<bool()> stop_requested;  // asked between tokens; may be empty
};

struct Generation {
  std::vector<int32_t> ids;     // new tokens, without the one that ended the turn
  std::string text, reasoning;  // empty when the model folder has no tokenizer
  FinishReason finish_reason = FinishReason::kStop;
  int64_t n_prompt_tokens = 0, n_cached_tokens = 0;  // cached: of the prompt, already in the session
  int64_t start_ns = 0;                              // when the request began
  std::vector<int64_t> token_ns;                     // when each new token was known
  int64_t end_ns = 0;
};

// "5 prompt tokens in 0.01 s; 20 tokens in 0.30 s, 66.2 tokens/s"
std::string speed_text(const Generation& answer);

// Continues `session`, keeping what it shares with `prompt`. Throws Error{kBadData} naming `where` when the
// prompt is empty or does not fit.
Generation generate(const Engine& engine, Session& session, Sampler& sampler, std::span<const int32_t> prompt,
                    const GenerateOptions& options, const std::string& where);

}  // namespace ds::infer
