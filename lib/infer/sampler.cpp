#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ds::infer {
namespace {

// Tokens whose weight relative to the most likely one is below e^-50 (2e-22) are never drawn: 2^-53 is the
// finest step of the random number.
constexpr double kNegligibleLog = -50;

void require(bool ok, const char* what, ErrorKind kind, const std::string& where) {
  if (!ok) throw Error(kind, what, where);
}

}  // namespace

void check_sampling(const SamplingParams& p, ErrorKind kind, const std::string& where) {
  // Written so that NaN fails.
  require(p.temperature >= 0 && p.temperature <= 1000, "temperature must be between 0 and 1000", kind, where);
  require(p.top_k >= 0, "top_k must be 0 (all tokens) or more", kind, where);
  require(p.top_p > 0 && p.top_p <= 1, "top_p must be above 0 and at most 1", kind, where);
  require(p.min_p >= 0 && p.min_p <= 1, "min_p must be between 0 and 1", kind, where);
  require(p.repeat_penalty > 0 && p.repeat_penalty <= 1000, "repeat_penalty must be above 0 and at most 1000",
          kind, where);
}

Sampler::Sampler(int64_t vocab_size) : is_seen_(vocab_size) {
  seen_.reserve(vocab_size);
  candidates_.reserve(vocab_size);
}

void Sampler::start(const SamplingParams& params, uint64_t stream, std::span<const int32_t> context) {
  params_ = params;
  rng_ = CounterRng(params.seed, stream);
  for (const int32_t id : seen_) is_seen_[id] = 0;
  seen_.clear();
  for (const int32_t id : context) mark_seen(id);
}

void Sampler::mark_seen(int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= is_seen_.size() || is_seen_[id]) return;
  is_seen_[id] = 1;
  seen_.push_back(id);
}

int32_t Sampler::sample(std::span<const float> logits) {
  DS_CHECK(logits.size() == is_seen_.size());
  if (params_.repeat_penalty != 1) {
    penalised_.assign(logits.begin(), logits.end());
    const float penalty = static_cast<float>(params_.repeat_penalty);
    for (const int32_t id : seen_)
      penalised_[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    logits = penalised_;
  }
  int32_t best = -1;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > largest) {  // false for NaN, and keeps the lowest id of equals
      largest = logits[i];
      best = static_cast<int32_t>(i);
    }
  }
  if (best < 0 || !std::isfinite(largest)) {
    throw Error(ErrorKind::kBadModel, "the model's output is not a number", "logits",
                "weights or scales hold NaN or infinity; check the files against their checksums");
  }
  const int32_t id = params_.temperature == 0 ? best : draw(logits, largest);
  mark_seen(id);
  return id;
}

int32_t Sampler::draw(std::span<const float> logits, float largest) {
  candidates_.clear();
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_weight = (static_cast<double>(logits[i]) - largest) / params_.temperature;
    if (!(log_weight > kNegligibleLog)) continue;
    const double weight = std::exp(log_weight);
    candidates_.push_back({weight, static_cast<int32_t>(i)});
    total += weight;
  }
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  const size_t k = static_cast<size_t>(params_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + k, candidates_.end(), more_likely);
    candidates_.resize(k);
    // Summed in an order of its own, so that the total does not depend on how the selection shuffled.
    std::sort(candidates_.begin(), candidates_.end(), more_likely);
    total = 0;
    for (const Candidate& c : candidates_) total += c.weight;
  }
  if (params_.top_p < 1) {
    const double wanted = params_.top_p * total;
    sort_until(wanted);
    double held = 0;
    size_t n = 0;
    while (n < candidates_.size() && held < wanted) held += candidates_[n++].weight;
    candidates_.resize(std::max<size_t>(n, 1));
  }
  if (params_.min_p > 0)
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < params_.min_p; });

  total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  double left = rng_.next_double() * total;
  for (const Candidate& c : candidates_) {
    left -= c.weight;
    if (left < 0) return c.id;
  }
  return candidates_.back().id;  // rounding only
}

void Sampler::sort_until(double weight) {
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  // Few tokens usually hold nearly everything: sort the front in growing steps instead of the whole
  // vocabulary.
  double held = 0;
  size_t sorted = 0;
  for (size_t step = 128; sorted < candidates_.size() && held < weight; step *= 8) {
    const size_t end = std::min(candidates_.size(), sorted + step);
    std::partial_sort(candidates_.begin() + sorted, candidates_.begin() + end, candidates_.end(),
                      more_likely);
    for (; sorted < end; ++sorted) held += candidates_[sorted].weight;
  }
}

}  // namespace ds::infer
