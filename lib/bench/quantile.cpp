#include "bench/quantile.h"

#include <algorithm>
#include <cmath>

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

Quantile quantile_with_interval(std::span<const double> sorted, double p, QuantileMethod method,
                                double level) {
  Quantile q;
  q.n = static_cast<int64_t>(sorted.size());
  q.n_needed = min_samples(p, level);
  if (sorted.empty()) return q;
  q.value = quantile(sorted, p, method);
  if (const auto r = quantile_ranks(q.n, p, level))
    q.interval = Interval{sorted[r->lo - 1], sorted[r->hi - 1]};
  return q;
}

double effective_samples(std::span<const double> x) {
  const size_t n = x.size();
  if (n < 64) return static_cast<double>(n);
  const auto batch = static_cast<size_t>(std::sqrt(static_cast<double>(n)));
  const size_t n_batches = n / batch, used = n_batches * batch;
  double mean = 0;
  for (size_t i = 0; i < used; ++i) mean += x[i];
  mean /= static_cast<double>(used);
  double variance = 0, batch_variance = 0;
  for (size_t b = 0; b < n_batches; ++b) {
    double sum = 0;
    for (size_t i = b * batch; i < (b + 1) * batch; ++i) {
      sum += x[i];
      variance += (x[i] - mean) * (x[i] - mean);
    }
    const double d = sum / static_cast<double>(batch) - mean;
    batch_variance += d * d;
  }
  variance /= static_cast<double>(used - 1);
  batch_variance /= static_cast<double>(n_batches - 1);
  if (variance <= 0) return static_cast<double>(n);
  const double inflation = batch_variance * static_cast<double>(batch) / variance;
  // The estimate itself is noisy: only a clear excess counts.
  return inflation <= 2 ? static_cast<double>(n) : static_cast<double>(n) / inflation;
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
