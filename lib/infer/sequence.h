// One request under way inside the scheduler: what it has read, what it reads next, and what it makes of the
// logits.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "infer/engine.h"
#include "infer/generate.h"
#include "infer/sampler.h"

namespace ds::infer {

using RequestId = uint64_t;

// A place for one sequence after the other: its memory is made once.
class Sequence {
 public:
  Sequence(const Engine& engine, KvPool& pool);

  // How many tokens of the request's prompt are here and may be kept.
  int64_t n_reusable(const GenerateRequest& request) const;
  // How many of them this one, which is still reading them, will have with its next step.
  int64_t n_coming(const GenerateRequest& request) const;
  // Begins the request, whose prompt fits, with what `donor` (perhaps itself) has of its prompt. It may come
  // to hold so many pages of the cache.
  void start(RequestId id, GenerateRequest request, GenerateSink sink, int64_t submit_ns,
             const Sequence& donor, int64_t n_promised_pages);
  int64_t n_promised_pages() const { return n_promised_pages_; }
  void forget();  // what it kept for others
  bool is_running() const { return is_running_; }
  RequestId id() const { return id_; }

  KvSequence& cache() { return cache_; }
  // The tokens to read in the next step, at least one while it is running, and how many of the last of them
  // need logits.
  std::span<const int32_t> next_tokens() const;
  int64_t n_logit_rows() const;
  bool reads_prompt() const { return ids_.size() - cache_.length() > 1 || request_.prompt_logits; }

  // n_tokens more are in the cache; logits: [n_rows, V], of the last of them. Samples, hands the logits over.
  void take(int64_t n_tokens, int64_t n_rows, std::span<const float> logits);
  // Ends it and tells the sink.
  void finish(FinishReason reason);

 private:
  int64_t n_alike(const GenerateRequest& request, int64_t n_most) const;
  int64_t whole_chunks(int64_t n_tokens) const;
  void take_token(int32_t token);
  void fail(const Error& error);
  void end();

  const Engine& engine_;
  KvSequence cache_;
  int64_t n_chunked_ = 0;  // leading tokens that were read in whole chunks
  int64_t n_promised_pages_ = 0;
  Sampler sampler_;
  std::vector<int32_t> ids_;  // prompt and answer; the cache holds the first cache_.length() of them

  bool is_running_ = false;
  RequestId id_ = 0;
  GenerateRequest request_;
  GenerateSink sink_;
  int64_t max_tokens_ = 0;
  Generation answer_;
  std::optional<AnswerStream> stream_;
};

}  // namespace ds::infer
