#include "infer/model_change.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/error.h"
#include "core/json_value.h"
#include "infer/score.h"

namespace ds::infer {
namespace {

struct WindowScore {
  double sum_logprob = 0;
  std::vector<int64_t> best;  // first of the ranking at each position but the last
};

WindowScore score(Scheduler& scheduler, const std::vector<int32_t>& tokens, int64_t vocab,
                  const std::string& where) {
  WindowScore out;
  read_with_logits(scheduler, tokens, where, {}, [&](int64_t first, std::span<const float> logits) {
    const int64_t n = static_cast<int64_t>(logits.size()) / vocab;
    for (int64_t i = 0; i < n && first + i + 1 < static_cast<int64_t>(tokens.size()); ++i) {
      const auto row = logits.subspan(i * vocab, vocab);
      out.sum_logprob += log_probability(row, tokens[first + i + 1]);
      out.best.push_back(std::max_element(row.begin(), row.end()) - row.begin());
    }
  });
  return out;
}

}  // namespace

ModelChange compare_models(const Engine& before, const Engine& after, const std::string& text, int64_t window,
                           const std::string& where) {
  const int64_t vocab = before.model().config().vocab_size;
  if (vocab != after.model().config().vocab_size)
    throw Error(ErrorKind::kBadData, "the two models have different vocabularies", where);
  const std::vector<int32_t> tokens = before.text().tokenizer().encode(text);
  const std::optional<int32_t> begin = begin_id(before.text());
  Scheduler a(before), b(after);
  window = std::min({window, before.plan().scheduler.ctx, after.plan().scheduler.ctx});
  const int64_t room = window - begin.has_value();
  if (room < 2) throw Error(ErrorKind::kUsage, "a window needs room for two tokens of text", where);
  ModelChange change;
  double logprob_a = 0, logprob_b = 0;
  int64_t n_agree = 0;
  for (size_t at = 0; at < tokens.size(); at += room) {
    std::vector<int32_t> part;
    if (begin) part.push_back(*begin);
    const size_t end = std::min<size_t>(tokens.size(), at + room);
    for (size_t i = at; i < end; ++i) part.push_back(tokens[i]);
    if (part.size() < 2) break;
    const WindowScore x = score(a, part, vocab, where), y = score(b, part, vocab, where);
    logprob_a += x.sum_logprob;
    logprob_b += y.sum_logprob;
    for (size_t i = 0; i < x.best.size(); ++i) n_agree += x.best[i] == y.best[i];
    change.n_tokens += static_cast<int64_t>(x.best.size());
  }
  if (change.n_tokens == 0) throw Error(ErrorKind::kBadData, "has fewer than two tokens", where);
  const double n = static_cast<double>(change.n_tokens);
  change.perplexity_before = std::exp(-logprob_a / n);
  change.perplexity_after = std::exp(-logprob_b / n);
  change.top1_agreement = static_cast<double>(n_agree) / n;
  return change;
}

ModelChange compare_folders(const std::string& before, const std::string& after, int n_threads, Isa isa,
                            const std::string& text, const std::string& where) {
  EngineOptions options;
  options.n_threads = n_threads;
  options.isa = isa;
  options.ctx = 512;
  return compare_models(*Engine::load(before, options), *Engine::load(after, options), text, options.ctx,
                        where);
}

std::string change_text(const ModelChange& c) {
  char line[128];
  std::snprintf(line, sizeof line, "perplexity %.3f -> %.3f, top-1 agreement %.2f %% over %lld tokens",
                c.perplexity_before, c.perplexity_after, 100 * c.top1_agreement,
                static_cast<long long>(c.n_tokens));
  return line;
}

Json change_json(const ModelChange& c) {
  Json j = Json::object();
  j["n_tokens"] = c.n_tokens;
  j["perplexity_before"] = c.perplexity_before;
  j["perplexity_after"] = c.perplexity_after;
  j["top1_agreement"] = c.top1_agreement;
  return j;
}

}  // namespace ds::infer
