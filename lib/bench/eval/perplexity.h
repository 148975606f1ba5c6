// Logits of a frozen text: perplexity, and the divergence from a stored baseline.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/records/record.h"
#include "bench/targets/target.h"

namespace ds::bench {

class Scorer {
 public:
  using LogitsSink = std::function<void(int64_t position, std::span<const float> logits)>;
  virtual ~Scorer() = default;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t context_tokens() const = 0;
  virtual std::string digest() const = 0;
  virtual std::vector<int32_t> encode(const std::string& text) const = 0;
  virtual std::optional<int32_t> begin_id() const = 0;
  virtual std::string token_text(int32_t id) const = 0;
  // logits[t] predict the token after ids[t].
  virtual void logits(std::span<const int32_t> ids, const LogitsSink& sink) = 0;
};
std::unique_ptr<Scorer> make_engine_scorer(const std::string& model_folder, const TargetOptions& options);

struct PerplexityOptions {
  int64_t window_tokens = 512;
  int64_t max_tokens = 8192;   // of the text
  std::string baseline;        // KL against this file; empty: none
  std::string write_baseline;  // store one; empty: none
  StopRequest stop;
  std::function<void(const ItemRecord&)> on_item;  // one per window
};

// Convention, printed with every result: disjoint windows of window_tokens, each begun as the tokenizer
// begins a text (infer::begin_id), every token after the first of a window scored. Numbers of other
// conventions do not compare.
//
// The baseline keeps, per scored token, the 64 most likely next tokens with their log-probabilities and the
// rest's mass (about 520 bytes), so the divergence computed from it is a lower bound: the rest counts as one
// token. Throws Error{kBadData} when the baseline belongs to another text, vocabulary or window.
bool run_perplexity(Scorer& scorer, const std::string& text, const PerplexityOptions& options);
std::string perplexity_convention(const Scorer& scorer, const PerplexityOptions& options);

// The frozen text of the embedded sets: dialogues and reading passages with their answers.
std::string embedded_text(const std::string& data_folder);

}  // namespace ds::bench
