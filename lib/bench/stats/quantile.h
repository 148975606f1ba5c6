// Percentiles of observed latencies, each with a distribution-free interval.
//
// The default estimator is nearest rank: its answer is a value that was observed, so it can be traced to a
// request. The interval comes from order statistics: the number of observations below the true p-quantile is
// Binomial(n, p) whatever the distribution, hence two ranks l < u enclose it with a known probability. It is
// exact for independent samples; where n cannot support it, it is withheld instead of guessed.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/stats/distributions.h"

namespace ds::bench {

enum class QuantileMethod {
  kNearestRank,  // sorted[ceil(p n)], one-based
  kType7,        // linear interpolation: numpy, vLLM, SGLang, AIPerf
  kHdr,          // sorted[round(p n)], one-based: HdrHistogram
  kLoadGen,      // sorted[floor(p n)], zero-based: MLPerf LoadGen; at n = 100 its P99 is the maximum
};
// "nearest", "type7", "hdr", "loadgen"; throws Error{kUsage}.
QuantileMethod parse_quantile_method(const std::string& name);
const char* quantile_method_name(QuantileMethod method);

// `sorted` ascending and not empty, 0 < p < 1.
double quantile(std::span<const double> sorted, double p,
                QuantileMethod method = QuantileMethod::kNearestRank);

// One-based ranks l < u such that [x_(l), x_(u)] covers the p-quantile with probability >= level. Among those
// the narrowest in ranks, then the one of highest coverage; absent when n < min_samples(p, level).
struct RankInterval {
  int64_t lo = 0, hi = 0;
  double coverage = 0;
};
std::optional<RankInterval> quantile_ranks(int64_t n, double p, double level = 0.95);

// The least n at which both tails can be bounded: max(p, 1-p)^n <= (1 - level) / 2. 36 for P90, 368 for P99.
int64_t min_samples(double p, double level = 0.95);

struct Quantile {
  double value = 0;
  std::optional<Interval> interval;  // absent: n cannot support it
  int64_t n = 0;
  int64_t n_effective = 0;  // fewer than n when neighbours depend on each other: the interval is of these
  int64_t n_needed = 0;     // min_samples
};
// n_effective 0: all samples are independent.
Quantile quantile_with_interval(std::span<const double> sorted, double p,
                                QuantileMethod method = QuantileMethod::kNearestRank, double level = 0.95,
                                double n_effective = 0);

// How many independent samples say as much as this series in time order: neighbours in a queue are not
// independent, and an interval computed as if they were is too narrow. From the autocorrelation of the ranks;
// n when n < 64 and when nothing beyond chance is seen.
double effective_samples(std::span<const double> in_time_order);

// Requests per arm that detect a relative change of the p-quantile with 80 % power at 5 % two-sided, when
// latencies are lognormal with spread sigma.
int64_t samples_to_detect(double p, double relative_change, double sigma);

}  // namespace ds::bench
