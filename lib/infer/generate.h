// What the scheduler is asked for and what comes of it: tokens, settings and times, nothing of records and
// files.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "infer/answer_stream.h"
#include "infer/generation_config.h"

namespace ds::infer {

// What of a prompt need not be read, because another sequence of the scheduler begins alike.
enum class PrefixReuse {
  kNone,        // all of it is read: for measurements
  kSameBits,    // whole chunks, read as this prompt's would be: the answer is the same, bit for bit
  kToRounding,  // as far as the tokens agree: the rest is then cut into other chunks
};

struct GenerateRequest {
  std::vector<int32_t> prompt;
  GenerationSettings settings;
  uint64_t stream = 0;        // own random numbers under settings.sampling.seed
  bool exact_length = false;  // max_tokens new tokens, no fewer: end tokens are ordinary ones
  // Nothing is sampled: the prompt is read for the logits after each of its tokens.
  bool prompt_logits = false;
  PrefixReuse reuse = PrefixReuse::kSameBits;
};

enum class FinishReason {
  kStop,         // the model ended its turn, or a stop string came
  kLength,       // max_tokens were produced, the context is full, or nothing more was asked for
  kInterrupted,  // it was cancelled
};
const char* finish_reason_name(FinishReason reason);

struct Generation {
  std::vector<int32_t> ids;     // new tokens, without the one that ended the turn
  std::string text, reasoning;  // empty when the model folder has no tokenizer
  FinishReason finish_reason = FinishReason::kStop;
  int64_t n_prompt_tokens = 0, n_cached_tokens = 0;  // cached: of the prompt, not read again
  int64_t start_ns = 0;                              // when the request was submitted
  std::vector<int64_t> token_ns;                     // when each new token was known
  int64_t end_ns = 0;
  std::optional<Error> error;  // it failed on the way: the rest is what there was until then
};

using LogitsSink = std::function<void(int64_t first, std::span<const float> logits)>;
// Where the parts of an answer go as they come; each may be empty.
struct GenerateSink {
  PieceSink text = {};
  // [n, V], after tokens first, first + 1, ... of prompt and answer: each of the prompt's, if these were
  // asked for; else those that answer tokens were chosen from.
  LogitsSink logits = {};
  std::function<void(Generation)> done = {};  // once, when nothing more will come
};

// "5 prompt tokens, first token after 0.010 s; 20 tokens, 66.2 tokens/s", and ", cut" where a limit ended it.
std::string speed_text(const Generation& answer);

// The scheduler's errors do not know which record they are about: this puts it in where nothing stands.
Error with_place(const Error& error, const std::string& where);

}  // namespace ds::infer
