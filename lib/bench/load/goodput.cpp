// The highest rate that still meets every objective, with a stated confidence.
#include <algorithm>
#include <cmath>

#include "bench/load/run.h"
#include "bench/stats/distributions.h"
#include "core/json_value.h"

namespace ds::bench {
namespace {

constexpr double kConfidence = 0.95;
constexpr int kMaxDoublings = 14, kMaxBisections = 5;
constexpr double kHardlyMore = 1.2;  // twice the clients, less than this much more: saturated

// One objective: how many requests meet it, and what that says about the true share.
GoodputProbe::Answer judge(int64_t n_good, int64_t n, double share) {
  // P(X >= n_good | share): small means the true share is above. Exact, not approximate: shares are near 1.
  const double at_least = 1 - binomial_cdf(n_good - 1, n, share);
  const double at_most = binomial_cdf(n_good, n, share);
  if (at_least <= 1 - kConfidence) return GoodputProbe::Answer::kMet;
  if (at_most <= 1 - kConfidence) return GoodputProbe::Answer::kRefuted;
  return GoodputProbe::Answer::kOpen;
}

GoodputProbe judge_probe(double rate, const std::vector<RequestRecord>& records,
                         const std::vector<Objective>& objectives) {
  GoodputProbe p;
  p.rate = rate;
  p.n = static_cast<int64_t>(records.size());
  p.answer = GoodputProbe::Answer::kMet;
  for (const auto& r : records) p.n_good += meets(r, objectives, Clock::kResp);
  for (const Objective& o : objectives) {
    int64_t n_good = 0;
    for (const auto& r : records) n_good += meets(r, {o}, Clock::kResp);
    // Without @p an objective asks for every request; no finite sample shows that, so 99 % stands for it.
    const double share = o.share >= 1 ? 0.99 : o.share;
    p.worst_share = std::min(p.worst_share, p.n ? static_cast<double>(n_good) / static_cast<double>(p.n) : 0);
    const auto answer = judge(n_good, p.n, share);
    if (answer == GoodputProbe::Answer::kRefuted || p.answer == GoodputProbe::Answer::kMet) p.answer = answer;
    if (p.answer == GoodputProbe::Answer::kRefuted) break;
  }
  return p;
}

}  // namespace

int64_t probe_size(const std::vector<Objective>& objectives) {
  double share = 0.5;
  for (const auto& o : objectives) share = std::max(share, o.share >= 1 ? 0.99 : o.share);
  // No miss at all needs ln(0.05)/ln(share); half as many again leaves room for one or two.
  return static_cast<int64_t>(std::ceil(1.6 * std::log(1 - kConfidence) / std::log(share))) + 1;
}

double saturation_rate(const std::function<double(int64_t clients)>& closed, int64_t max_clients,
                       const StopRequest& stop) {
  double best = 0;
  for (int64_t clients = 1; clients <= max_clients && !(stop && stop()); clients *= 2) {
    const double rate = closed(clients);
    const bool grew = rate > best * kHardlyMore;
    best = std::max(best, rate);
    if (!grew) break;
  }
  return best;
}

GoodputSearch find_goodput(const std::vector<Objective>& objectives, double first_rate,
                           const std::function<std::vector<RequestRecord>(double rate)>& probe,
                           const StopRequest& stop) {
  GoodputSearch s;
  const auto stopped = [&] { return stop && stop(); };
  const auto try_rate = [&](double rate) {
    const auto records = probe(rate);
    if (stopped()) return false;  // a cut-off probe proves nothing
    s.probes.push_back(judge_probe(rate, records, objectives));
    const bool met = s.probes.back().answer == GoodputProbe::Answer::kMet;
    if (met) s.met_rate = std::max(s.met_rate, rate);
    if (!met && (s.refuted_rate == 0 || rate < s.refuted_rate)) s.refuted_rate = rate;
    return met;
  };
  double rate = first_rate;
  for (int i = 0; i < kMaxDoublings && !stopped(); ++i) {
    const bool met = try_rate(rate);
    if (met && s.refuted_rate > 0) break;
    if (!met && s.met_rate > 0) break;
    rate = met ? rate * 2 : rate / 2;
    if (rate < first_rate / 1024) break;
  }
  for (int i = 0; i < kMaxBisections && s.met_rate > 0 && s.refuted_rate > s.met_rate * 1.05 && !stopped();
       ++i)
    try_rate(std::sqrt(s.met_rate * s.refuted_rate));
  return s;
}

Json to_json(const GoodputSearch& s, const std::string& objectives) {
  Json::array_t probes;
  constexpr const char* kAnswers[] = {"met", "refuted", "open"};
  for (const auto& p : s.probes)
    probes.push_back(Json{{"rate", p.rate},
                          {"n", p.n},
                          {"n_good", p.n_good},
                          {"worst_share", p.worst_share},
                          {"answer", kAnswers[static_cast<int>(p.answer)]}});
  return Json{{"type", "goodput"},
              {"objectives", objectives},
              {"confidence", kConfidence},
              {"met_rate", s.met_rate > 0 ? Json(s.met_rate) : Json()},
              {"refuted_rate", s.refuted_rate > 0 ? Json(s.refuted_rate) : Json()},
              {"probes", std::move(probes)}};
}

}  // namespace ds::bench
