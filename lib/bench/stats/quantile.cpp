#include "bench/stats/quantile.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace ds::bench {

QuantileMethod parse_quantile_method(const std::string& name) {
  for (const auto m :
       {QuantileMethod::kNearestRank, QuantileMethod::kType7, QuantileMethod::kHdr, QuantileMethod::kLoadGen})
    if (name == quantile_method_name(m)) return m;
  throw Error(ErrorKind::kUsage, "unknown percentile method '" + name + "'", "--percentile-method",
              "one of nearest, type7, hdr, loadgen");
}

const char* quantile_method_name(QuantileMethod method) {
  switch (method) {
    case QuantileMethod::kNearestRank:
      return "nearest";
    case QuantileMethod::kType7:
      return "type7";
    case QuantileMethod::kHdr:
      return "hdr";
    case QuantileMethod::kLoadGen:
      return "loadgen";
  }
  return "?";
}

double quantile(std::span<const double> sorted, double p, QuantileMethod method) {
  DS_CHECK(!sorted.empty());
  const auto n = static_cast<int64_t>(sorted.size());
  const double pn = p * static_cast<double>(n);
  // 0.9 * 10 is 9.000000000000002 in doubles: a rank must not jump because of that.
  const double nudge = 1e-9 * static_cast<double>(n);
  const auto at = [&](int64_t idx) { return sorted[std::clamp<int64_t>(idx, 0, n - 1)]; };
  switch (method) {
    case QuantileMethod::kNearestRank:
      return at(static_cast<int64_t>(std::ceil(pn - nudge)) - 1);
    case QuantileMethod::kHdr:
      return at(static_cast<int64_t>(std::floor(pn + 0.5 + nudge)) - 1);
    case QuantileMethod::kLoadGen:
      return at(static_cast<int64_t>(std::floor(pn + nudge)));
    case QuantileMethod::kType7: {
      const double h = p * static_cast<double>(n - 1);
      const auto below = static_cast<int64_t>(std::floor(h));
      return at(below) + (h - static_cast<double>(below)) * (at(below + 1) - at(below));
    }
  }
  return sorted[0];
}

int64_t min_samples(double p, double level) {
  const double edge = std::max(p, 1 - p);
  return static_cast<int64_t>(std::ceil(std::log((1 - level) / 2) / std::log(edge) - 1e-9));
}

std::optional<RankInterval> quantile_ranks(int64_t n, double p, double level) {
  if (n < min_samples(p, level)) return std::nullopt;
  // P(x_(l) <= q < x_(u)) = F(u-1) - F(l-1). Both ends lie within a few deviations of p n.
  const double sd = std::sqrt(static_cast<double>(n) * p * (1 - p));
  const auto from = std::max<int64_t>(1, static_cast<int64_t>(p * static_cast<double>(n) - 5 * sd) - 1);
  const auto to = std::min<int64_t>(n, static_cast<int64_t>(p * static_cast<double>(n) + 6 * sd) + 3);
  std::vector<double> cdf;  // F(from-1) .. F(to-1)
  for (int64_t k = from - 1; k < to; ++k) cdf.push_back(binomial_cdf(k, n, p));
  std::optional<RankInterval> best;
  size_t u = 0;
  for (size_t l = 0; l < cdf.size(); ++l) {
    while (u < cdf.size() && cdf[u] - cdf[l] < level) ++u;
    if (u == cdf.size()) break;
    const RankInterval r{from + static_cast<int64_t>(l), from + static_cast<int64_t>(u), cdf[u] - cdf[l]};
    if (!best || r.hi - r.lo < best->hi - best->lo ||
        (r.hi - r.lo == best->hi - best->lo && r.coverage > best->coverage))
      best = r;
  }
  return best;
}

Quantile quantile_with_interval(std::span<const double> sorted, double p, QuantileMethod method, double level,
                                double n_effective) {
  Quantile q;
  q.n = q.n_effective = static_cast<int64_t>(sorted.size());
  q.n_needed = min_samples(p, level);
  if (sorted.empty()) return q;
  if (n_effective >= 1) q.n_effective = std::min(q.n, static_cast<int64_t>(n_effective));
  q.value = quantile(sorted, p, method);
  const auto r = quantile_ranks(q.n_effective, p, level);
  if (!r) return q;
  // Ranks of the fewer samples, as shares, are ranks of all; rounded outwards.
  const double scale = static_cast<double>(q.n) / static_cast<double>(q.n_effective);
  const auto lo = static_cast<int64_t>(std::floor(static_cast<double>(r->lo - 1) * scale)),
             hi = static_cast<int64_t>(std::ceil(static_cast<double>(r->hi) * scale)) - 1;
  q.interval = Interval{sorted[std::max<int64_t>(0, lo)], sorted[std::min(q.n - 1, hi)]};
  return q;
}

namespace {

double variance(std::span<const double> x) {
  double mean = 0, square = 0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  for (const double v : x) square += (v - mean) * (v - mean);
  return square / static_cast<double>(x.size());
}

// Places in sorted order, ties sharing theirs: one slow request must not hide how the others depend.
std::vector<double> ranks_of(std::span<const double> x) {
  std::vector<uint32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (size_t i = 0, end; i < order.size(); i = end) {
    for (end = i + 1; end < order.size() && x[order[end]] == x[order[i]];) ++end;
    for (size_t k = i; k < end; ++k) ranks[order[k]] = static_cast<double>(i + end - 1) / 2;
  }
  return ranks;
}

// Sum of all autocorrelations, lag 0 once and the others twice, up to the first window of five times that sum
// (A. Sokal's rule); 1 when the excess is within what independent samples show.
double correlation_time(std::span<const double> x) {
  const size_t n = x.size();
  const double var = variance(x);
  if (!(var > 0)) return 1;
  double mean = 0, tau = 1;
  for (const double v : x) mean += v / static_cast<double>(n);
  size_t window = 1;
  for (; window <= n / 4; ++window) {
    double sum = 0;
    for (size_t i = 0; i + window < n; ++i) sum += (x[i] - mean) * (x[i + window] - mean);
    tau += 2 * sum / static_cast<double>(n - window) / var;
    if (static_cast<double>(window) >= 5 * tau) break;
  }
  const double noise = 2 * std::sqrt(static_cast<double>(window) / static_cast<double>(n));
  return tau - 1 <= 2 * noise ? 1 : tau;
}

}  // namespace

double effective_samples(std::span<const double> in_time_order) {
  constexpr size_t kLeast = 64, kMostBatches = 8192;
  const size_t n = in_time_order.size();
  if (n < kLeast) return static_cast<double>(n);
  std::vector<double> x = ranks_of(in_time_order);
  const double var = variance(x);
  // Long series: what happens within a batch shows in the variance of its mean.
  const size_t batch = (n + kMostBatches - 1) / kMostBatches;
  for (size_t b = 0; batch > 1 && b < n / batch; ++b) {
    double sum = 0;
    for (size_t i = b * batch; i < (b + 1) * batch; ++i) sum += x[i];
    x[b] = sum / static_cast<double>(batch);
  }
  x.resize(n / batch);
  if (!(var > 0)) return static_cast<double>(n);
  const double inflation = variance(x) * static_cast<double>(batch) / var * correlation_time(x);
  return static_cast<double>(n) / std::max(1.0, inflation);
}

int64_t samples_to_detect(double p, double relative_change, double sigma) {
  // Variance of a sample quantile of ln(x): p (1-p) / (n f(z)^2), f the normal density over sigma.
  const double z = normal_quantile(p);
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * M_PI) / sigma;
  const double need = normal_quantile(0.975) + normal_quantile(0.8);
  const double effect = std::log1p(relative_change);
  return static_cast<int64_t>(
      std::ceil(2 * p * (1 - p) / (density * density) * need * need / (effect * effect)));
}

}  // namespace ds::bench
