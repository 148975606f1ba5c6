#include "bench/eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "bench/eval/questions.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/sha256.h"
#include "io/files.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr int64_t kTop = 64;
constexpr char kMagic[8] = {'D', 'S', 'K', 'L', 'D', '1', '\n', '\0'};

// Little-endian rows: magic, sha256 of the ids (64 hex digits), int64 n_rows, int32 K, int32 V; then per row
// K ids, K log-probabilities, the log of the rest's mass (all 4 bytes).
struct Baseline {
  std::string text_hash;
  int64_t n_rows = 0;
  int32_t k = 0, vocab = 0;
  std::string bytes;
  static constexpr size_t kHeadBytes = 8 + 64 + 8 + 4 + 4;
  size_t row_bytes() const { return static_cast<size_t>(k) * 8 + 4; }
};

Baseline read_baseline(const std::string& path) {
  Baseline b;
  b.bytes = read_file(path, int64_t{1} << 32);
  if (b.bytes.size() < Baseline::kHeadBytes || std::memcmp(b.bytes.data(), kMagic, 8) != 0)
    throw Error(ErrorKind::kBadData, "no baseline of ds-bench", path,
                "make one with eval --set kld --write-baseline FILE");
  b.text_hash = b.bytes.substr(8, 64);
  std::memcpy(&b.n_rows, b.bytes.data() + 72, 8);
  std::memcpy(&b.k, b.bytes.data() + 80, 4);
  std::memcpy(&b.vocab, b.bytes.data() + 84, 4);
  const size_t body = b.bytes.size() - Baseline::kHeadBytes;
  if (b.k < 1 || b.k > 4096 || b.n_rows < 0 || static_cast<uint64_t>(b.n_rows) > body ||
      static_cast<size_t>(b.n_rows) * b.row_bytes() != body)
    throw Error(ErrorKind::kBadData, "its size does not fit its header", path);
  return b;
}

double log_sum_exp(std::span<const float> x) {
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - top);
  return top + std::log(sum);
}

// Sum over the baseline's top tokens of p ln(p/q), and the rest as one token on both sides.
double divergence(const char* row, int32_t k, std::span<const float> logits, double log_z,
                  const std::string& where) {
  double kl = 0, rest_q = 1;
  for (int32_t i = 0; i < k; ++i) {
    int32_t id;
    float log_p;
    std::memcpy(&id, row + 4 * i, 4);
    std::memcpy(&log_p, row + 4 * (k + i), 4);
    if (id < 0 || id >= static_cast<int32_t>(logits.size()) || !(log_p <= 1e-3f))
      throw Error(ErrorKind::kBadData, "the baseline holds a token or a probability out of range", where);
    const double log_q = static_cast<double>(logits[static_cast<size_t>(id)]) - log_z;
    kl += std::exp(static_cast<double>(log_p)) * (log_p - log_q);
    rest_q -= std::exp(log_q);
  }
  float log_rest;
  std::memcpy(&log_rest, row + 8 * k, 4);
  const double rest_p = std::exp(static_cast<double>(log_rest));
  // 1e-12: what is left of 1 after the sum is rounding below it.
  if (rest_p > 1e-9) kl += rest_p * (log_rest - std::log(std::max(rest_q, 1e-12)));
  return std::max(0.0, kl);
}

std::string baseline_row(std::span<const float> logits, double log_z, int64_t k) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] != logits[static_cast<size_t>(b)]
               ? logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)]
               : a < b;
  });
  std::string ids, log_ps;
  double rest = 1;
  for (int64_t i = 0; i < k; ++i) {
    const int32_t id = order[static_cast<size_t>(i)];
    const double log_p = static_cast<double>(logits[static_cast<size_t>(id)]) - log_z;
    rest -= std::exp(log_p);
    const auto narrow = static_cast<float>(std::min(0.0, log_p));
    ids.append(reinterpret_cast<const char*>(&id), 4);
    log_ps.append(reinterpret_cast<const char*>(&narrow), 4);
  }
  const auto log_rest = static_cast<float>(std::log(std::max(rest, 1e-30)));
  return ids + log_ps + std::string(reinterpret_cast<const char*>(&log_rest), 4);
}

}  // namespace

std::string perplexity_convention(const LogitsSource& source, const PerplexityOptions& o) {
  return "disjoint windows of " + std::to_string(std::min(o.window_tokens, source.context_tokens())) +
         " tokens, " + (source.begin_id() ? "begin token first" : "no begin token") +
         ", every later token scored";
}

bool run_perplexity(LogitsSource& source, const std::string& text, const PerplexityOptions& o) {
  std::vector<int32_t> ids = source.encode(text);
  if (static_cast<int64_t>(ids.size()) > o.max_tokens) ids.resize(static_cast<size_t>(o.max_tokens));
  if (ids.size() < 2) throw Error(ErrorKind::kBadData, "the text is shorter than two tokens", "perplexity");
  const auto begin = source.begin_id();
  const int64_t window = std::min(o.window_tokens, source.context_tokens()), room = window - (begin ? 1 : 0);
  if (room < 2) throw Error(ErrorKind::kUsage, "a window needs at least three tokens", "--window");
  const int64_t k = std::min(kTop, source.vocab_size());
  const std::string hash =
      sha256_hex(std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * 4));
  const std::string text_hash =
      sha256_hex(hash + std::to_string(window) + (begin ? std::to_string(*begin) : "-"));

  std::optional<Baseline> baseline;
  if (!o.baseline.empty()) {
    baseline = read_baseline(o.baseline);
    if (baseline->text_hash != text_hash || baseline->vocab != source.vocab_size())
      throw Error(ErrorKind::kBadData, "the baseline was made on another text, tokenizer or window",
                  o.baseline);
  }
  std::string rows;
  int64_t n_rows = 0, number = 0;
  for (size_t at = 0; at < ids.size(); at += static_cast<size_t>(room), ++number) {
    if (o.stop && o.stop()) return false;
    std::vector<int32_t> chunk;
    if (begin) chunk.push_back(*begin);
    const size_t end = std::min(ids.size(), at + static_cast<size_t>(room));
    for (size_t i = at; i < end; ++i) chunk.push_back(ids[i]);
    if (chunk.size() < 2) break;
    ItemRecord item;
    item.id = "window-" + std::to_string(number);
    item.set = o.baseline.empty() && o.write_baseline.empty() ? "ppl" : "kld";
    item.nll = 0;
    item.n_out = 0;
    double kl = 0;
    source.logits(chunk, [&](int64_t t, std::span<const float> logits) {
      if (t + 1 >= static_cast<int64_t>(chunk.size())) return;
      const int32_t next = chunk[static_cast<size_t>(t + 1)];
      const double log_z = log_sum_exp(logits),
                   log_p = static_cast<double>(logits[static_cast<size_t>(next)]) - log_z;
      if (!std::isfinite(log_p))
        throw Error(ErrorKind::kBadModel, "the model's output is not a number", "logits");
      item.nll -= log_p;
      ++item.n_out;
      // Bytes of the scored tokens, for a number that does not depend on the tokenizer.
      item.distance += static_cast<int64_t>(source.token_text(next).size());
      if (baseline) {
        if (n_rows >= baseline->n_rows)
          throw Error(ErrorKind::kBadData, "the baseline has fewer rows than the text", o.baseline);
        kl += divergence(baseline->bytes.data() + Baseline::kHeadBytes +
                             static_cast<size_t>(n_rows) * baseline->row_bytes(),
                         baseline->k, logits, log_z, o.baseline);
      }
      if (!o.write_baseline.empty()) rows += baseline_row(logits, log_z, k);
      ++n_rows;
    });
    item.n_in = static_cast<int64_t>(chunk.size());
    if (baseline && item.n_out) item.kld = kl / static_cast<double>(item.n_out);
    if (o.on_item) o.on_item(item);
  }
  if (!o.write_baseline.empty()) {
    AtomicFile file(o.write_baseline);
    const auto k32 = static_cast<int32_t>(k), v32 = static_cast<int32_t>(source.vocab_size());
    file.write(std::string_view(kMagic, 8));
    file.write(text_hash);
    file.write(std::string_view(reinterpret_cast<const char*>(&n_rows), 8));
    file.write(std::string_view(reinterpret_cast<const char*>(&k32), 4));
    file.write(std::string_view(reinterpret_cast<const char*>(&v32), 4));
    file.write(rows);
    file.commit();
  }
  return true;
}

PerplexityComparison compare_perplexity(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                                        double margin) {
  constexpr int64_t kMinWindows = 5;
  const auto other_text = [](const std::string& what) -> Error {
    return Error(ErrorKind::kBadData, what, "compare",
                 "the two runs scored different texts, tokenizers or windows");
  };
  PerplexityComparison c;
  if (a.size() != b.size())
    throw other_text(std::to_string(a.size()) + " windows against " + std::to_string(b.size()));
  double nll_a = 0, nll_b = 0;
  std::vector<std::pair<double, double>> windows;  // difference, tokens
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].id != b[i].id || a[i].n_out != b[i].n_out || a[i].n_out < 1 || a[i].nll < 0 || b[i].nll < 0)
      throw other_text("window '" + a[i].id + "' has no equal in the other run");
    nll_a += a[i].nll, nll_b += b[i].nll;
    c.n_tokens += a[i].n_out;
    windows.emplace_back(b[i].nll - a[i].nll, static_cast<double>(a[i].n_out));
  }
  c.n_windows = static_cast<int64_t>(windows.size());
  const auto n = static_cast<double>(c.n_windows), tokens = static_cast<double>(c.n_tokens);
  const double mean = (nll_b - nll_a) / tokens;
  c.a = std::exp(nll_a / tokens), c.b = std::exp(nll_b / tokens);
  if (c.n_windows < kMinWindows) {
    c.ratio = {0, INFINITY};
    c.verdict = "INCONCLUSIVE";
    return c;
  }
  double square = 0;
  for (const auto& [d, w] : windows) square += (d - mean * w) * (d - mean * w);
  const double half = student_t_critical(n - 1, 0.95) * std::sqrt(square * n / (n - 1)) / tokens;
  c.ratio = {std::exp(mean - half), std::exp(mean + half)};
  c.verdict = c.ratio.lo > 1 / (1 + margin) && c.ratio.hi < 1 + margin ? "SAME"
              : c.ratio.lo > 1                                         ? "WORSE"
              : c.ratio.hi < 1                                         ? "BETTER"
                                                                       : "INCONCLUSIVE";
  c.exit_code = c.verdict == "WORSE" ? 1 : c.verdict == "INCONCLUSIVE" ? 3 : 0;
  return c;
}

std::string perplexity_comparison_text(const PerplexityComparison& c) {
  const auto percent = [](double ratio) { return short_number((ratio - 1) * 100); };
  return "perplexity A " + short_number(c.a) + ", B " + short_number(c.b) + " over " +
         std::to_string(c.n_tokens) + " tokens; B against A " + percent(c.b / c.a) + " % [" +
         percent(c.ratio.lo) + ", " + percent(c.ratio.hi) + "] (paired over " + std::to_string(c.n_windows) +
         " windows)\nverdict: " + c.verdict + " (exit " + std::to_string(c.exit_code) + ")\n";
}

Json perplexity_comparison_json(const PerplexityComparison& c) {
  return Json{{"schema", "dsbench-compare-perplexity/1"},
              {"verdict", c.verdict},
              {"exit", c.exit_code},
              {"n_windows", c.n_windows},
              {"n_tokens", c.n_tokens},
              {"a", c.a},
              {"b", c.b},
              {"ratio_lo", c.ratio.lo},
              {"ratio_hi", c.ratio.hi}};
}

std::string embedded_text(const std::string& data_folder) {
  std::string text;
  for (const char* set : {"multiturn", "reading"})
    for (const Question& q : read_questions(set, data_folder)) {
      for (const Json& m : q.request.messages) text += as_string(*find(m, "content")) + "\n";
      text += q.expected[0] + "\n";
    }
  return text;
}

}  // namespace ds::bench
