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
#include "bench/stats/distributions.h"
#include "bench/targets/target.h"

namespace ds::bench {

class LogitsSource {
 public:
  using LogitsSink = std::function<void(int64_t position, std::span<const float> logits)>;
  virtual ~LogitsSource() = default;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t context_tokens() const = 0;
  virtual std::string digest() const = 0;
  virtual std::vector<int32_t> encode(const std::string& text) const = 0;
  virtual std::optional<int32_t> begin_id() const = 0;
  virtual std::string token_text(int32_t id) const = 0;
  // logits[t] predict the token after ids[t].
  virtual void logits(std::span<const int32_t> ids, const LogitsSink& sink) = 0;
};
std::unique_ptr<LogitsSource> engine_logits(const std::string& model_folder, const TargetOptions& options);

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
bool run_perplexity(LogitsSource& source, const std::string& text, const PerplexityOptions& options);
std::string perplexity_convention(const LogitsSource& source, const PerplexityOptions& options);

// Two perplexities of one text: the windows are pairs. The ratio's interval is Student's t over the windows'
// differences; inside the margin it is SAME, however well the difference is seen.
struct PerplexityComparison {
  int64_t n_windows = 0, n_tokens = 0;
  double a = 0, b = 0;
  Interval ratio;  // of B over A, 95 %
  std::string verdict;
  int exit_code = 3;
};
// Throws Error{kBadData} when the windows are not those of one text.
PerplexityComparison compare_perplexity(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                                        double margin);
std::string perplexity_comparison_text(const PerplexityComparison& comparison);
Json perplexity_comparison_json(const PerplexityComparison& comparison);
// The frozen text of the embedded sets: dialogues and reading passages with their answers.
std::string embedded_text(const std::string& data_folder);

}  // namespace ds::bench
