#include "bench/stats/quantile.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "bench/stats/histogram.h"
#include "core/error.h"

using namespace ds::bench;

TEST_CASE("each estimator gives its definition's value") {
  std::vector<double> x;
  for (int i = 1; i <= 100; ++i) x.push_back(i);
  CHECK(quantile(x, 0.99, QuantileMethod::kNearestRank) == 99);
  CHECK(quantile(x, 0.99, QuantileMethod::kLoadGen) == 100);  // its P99 of 100 is the maximum
  CHECK(quantile(x, 0.99, QuantileMethod::kHdr) == 99);
  CHECK(quantile(x, 0.99, QuantileMethod::kType7) == doctest::Approx(99.01));  // numpy.percentile
  CHECK(quantile(x, 0.5, QuantileMethod::kType7) == doctest::Approx(50.5));
  CHECK(quantile(x, 0.9) == 90);  // 0.9 * 100 is not exact in doubles
  const std::vector<double> ten(x.begin(), x.begin() + 10);
  CHECK(quantile(ten, 0.9) == 9);
  CHECK(quantile(std::vector<double>{7}, 0.01) == 7);
  CHECK(parse_quantile_method("type7") == QuantileMethod::kType7);
  CHECK_THROWS_AS(parse_quantile_method("type8"), ds::Error);
}

TEST_CASE("nearest rank of an exponential sample has the closed-form mean of that order statistic") {
  // E[X_(k)] of n exponentials is the sum of 1/(n-i) for i < k.
  std::mt19937_64 rng(7);
  std::exponential_distribution<double> exponential;
  for (const auto& [n, p] : std::vector<std::pair<int, double>>{{20, 0.5}, {100, 0.9}, {200, 0.99}}) {
    const int k = static_cast<int>(std::ceil(p * n - 1e-9));
    double expected = 0, variance = 0;
    for (int i = 0; i < k; ++i) expected += 1.0 / (n - i), variance += 1.0 / ((n - i) * double(n - i));
    const int trials = 4000;
    double sum = 0;
    for (int t = 0; t < trials; ++t) {
      std::vector<double> x(n);
      for (double& v : x) v = exponential(rng);
      std::sort(x.begin(), x.end());
      sum += quantile(x, p);
    }
    CHECK(std::fabs(sum / trials - expected) < 4 * std::sqrt(variance / trials));
  }
}

TEST_CASE("the least sample sizes are those of the binomial bound") {
  CHECK(min_samples(0.5) == 6);
  CHECK(min_samples(0.9) == 36);
  CHECK(min_samples(0.95) == 72);
  CHECK(min_samples(0.99) == 368);
  CHECK(min_samples(0.999) == 3688);
  for (const double p : {0.5, 0.9, 0.95, 0.99}) {
    CHECK(!quantile_ranks(min_samples(p) - 1, p));
    const auto r = quantile_ranks(min_samples(p), p);
    REQUIRE(r);
    CHECK(r->lo >= 1);
    CHECK(r->hi <= min_samples(p));
    CHECK(r->coverage >= 0.95);
  }
}

TEST_CASE(
    "nominal 95 % intervals cover 95 to 97 % of the time, whatever the distribution, and none is shorter") {
  // How many of n values lie below the truth is binomial, so that ranks have a coverage that can be added up.
  const auto mass = [](int64_t k, int64_t n, double p) {
    const auto x = static_cast<double>(k), all = static_cast<double>(n);
    return std::exp(std::lgamma(all + 1) - std::lgamma(x + 1) - std::lgamma(all - x + 1) + x * std::log(p) +
                    (all - x) * std::log1p(-p));
  };
  for (const auto& [n, p] : std::vector<std::pair<int64_t, double>>{{60, 0.5},
                                                                    {60, 0.9},
                                                                    {100, 0.9},
                                                                    {100, 0.95},
                                                                    {300, 0.9},
                                                                    {400, 0.99},
                                                                    {1000, 0.99},
                                                                    {1000, 0.5},
                                                                    {300, 0.1}}) {
    const std::string what = "n " + std::to_string(n) + " p " + std::to_string(p);
    CAPTURE(what);
    std::vector<double> below(1), ranks;  // below[k]: fewer than k values
    for (int64_t k = 0; k <= n; ++k) below.push_back(below.back() + mass(k, n, p));
    for (int64_t i = 1; i <= n; ++i) ranks.push_back(static_cast<double>(i));
    const auto q = quantile_with_interval(ranks, p);
    REQUIRE(q.interval);
    const auto lo = static_cast<int64_t>(q.interval->lo), hi = static_cast<int64_t>(q.interval->hi);
    const double coverage = below[hi] - below[lo];
    CHECK(coverage >= 0.95);
    CHECK(coverage < 0.97);
    CHECK(quantile_ranks(n, p)->coverage == doctest::Approx(coverage).epsilon(1e-9));
    for (int64_t l = 1; l <= n; ++l)  // shorter ones cover less, others of this length not more
      for (const int64_t u : {l + hi - lo - 1, l + hi - lo}) {
        if (u > n) continue;
        const double other = below[u] - below[l];
        if (u - l < hi - lo ? other >= 0.95 : other > coverage + 1e-9)
          FAIL_CHECK("[", l, ", ", u, "] covers ", other, ", [", lo, ", ", hi, "] ", coverage);
      }
  }
}

TEST_CASE("distribution functions against known values") {
  CHECK(binomial_cdf(3, 10, 0.5) == doctest::Approx(0.171875).epsilon(1e-12));
  CHECK(binomial_cdf(0, 368, 0.01) == doctest::Approx(std::pow(0.99, 368)).epsilon(1e-10));
  CHECK(binomial_cdf(-1, 5, 0.3) == 0);
  CHECK(binomial_cdf(5, 5, 0.3) == 1);
  CHECK(normal_quantile(0.975) == doctest::Approx(1.959963984540054).epsilon(1e-12));
  CHECK(student_t_critical(9, 0.95) == doctest::Approx(2.262157).epsilon(1e-6));
  const Interval w = wilson_interval(98, 100);
  CHECK(w.lo == doctest::Approx(0.9300).epsilon(1e-3));
  CHECK(w.hi == doctest::Approx(0.9945).epsilon(1e-3));
  CHECK(wilson_interval(0, 0).hi == 1);
  // The ends are the shares from which the observed one lies 1.96 deviations away.
  for (const int64_t k : {0, 1, 7, 19, 20}) {
    const Interval i = wilson_interval(k, 20);
    for (const double p : {i.lo, i.hi}) {
      if (p == 0 || p == 1) continue;
      CHECK(std::fabs(static_cast<double>(k) / 20 - p) ==
            doctest::Approx(1.959964 * std::sqrt(p * (1 - p) / 20)));
    }
    CHECK(i.lo <= static_cast<double>(k) / 20);
    CHECK(i.hi >= static_cast<double>(k) / 20);
    CHECK((i.lo == 0) == (k == 0));
    CHECK((i.hi == 1) == (k == 20));
  }
  // Fagerland et al. 2013, table 1: 1 against 7 discordant pairs.
  CHECK(mcnemar_mid_p(1, 7) == doctest::Approx(0.0390625));
  CHECK(mcnemar_mid_p(0, 0) == 1);
}

TEST_CASE("planned sample sizes agree with the tabled ones") {
  CHECK(samples_to_detect(0.9, 0.05, 0.5) == doctest::Approx(4818).epsilon(0.02));
  CHECK(samples_to_detect(0.9, 0.20, 0.25) == doctest::Approx(87).epsilon(0.05));
}

TEST_CASE("effective samples: all of independent ones, few of a slow drift") {
  std::mt19937_64 rng(3);
  std::normal_distribution<double> normal;
  std::vector<double> independent(2000), walk(2000);
  for (double& v : independent) v = normal(rng);
  double level = 0;
  for (double& v : walk) v = level = 0.98 * level + normal(rng);
  CHECK(effective_samples(independent) > 900);
  CHECK(effective_samples(walk) < 200);
  // An autoregressive series says as much as n (1 - rho) / (1 + rho) independent values, and never more than
  // n.
  for (const double rho : {0.5, 0.9}) {
    double mean = 0;
    for (int t = 0; t < 20; ++t) {
      double x = normal(rng);
      for (double& v : walk) v = x = rho * x + std::sqrt(1 - rho * rho) * normal(rng);
      mean += effective_samples(walk) / 20;
    }
    INFO("rho ", rho, ": ", mean);
    CHECK(mean == doctest::Approx(2000 * (1 - rho) / (1 + rho)).epsilon(rho < 0.9 ? 0.05 : 0.3));
  }
  for (size_t i = 0; i < walk.size(); ++i) walk[i] = (i % 2 ? 1 : -1) + 0.1 * normal(rng);
  CHECK(effective_samples(walk) == 2000);
  std::vector<double> alternating(20'000);  // long enough to be looked at in batches
  for (size_t i = 0; i < alternating.size(); ++i) alternating[i] = (i % 2 ? 1 : -1) + 0.1 * normal(rng);
  CHECK(effective_samples(alternating) == 20'000);
}

TEST_CASE("histogram: bounded relative error, merging is adding") {
  std::mt19937_64 rng(11);
  std::lognormal_distribution<double> lognormal(15, 2);
  Histogram all, left, right;
  std::vector<double> values;
  for (int i = 0; i < 20000; ++i) {
    const auto v = static_cast<int64_t>(lognormal(rng));
    values.push_back(double(v));
    all.add(v);
    (i % 2 ? left : right).add(v);
  }
  std::sort(values.begin(), values.end());
  left.merge(right);
  for (const double p : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    CHECK(all.quantile(p) == doctest::Approx(quantile(values, p)).epsilon(1.0 / 128));
    CHECK(left.quantile(p) == all.quantile(p));
  }
  CHECK(left.n() == 20000);
  CHECK(left.max() == int64_t(values.back()));
  // Merged into a smaller one the larger's highest value counts; no percentile is above it.
  Histogram small, large;
  small.add(3), large.add(1'000'003);
  small.merge(large);
  CHECK(small.max() == 1'000'003);
  CHECK(small.quantile(1) <= 1'000'003);
  CHECK(small.quantile(0.5) == 3);
  for (const int64_t v : {255, 256, 1000, 65535, 1'000'000'000}) {
    Histogram one;
    one.add(v);
    CHECK(one.quantile(0.5) <= static_cast<double>(v));
  }
  Histogram edge;
  for (const int64_t v : {int64_t{-5}, int64_t{0}, int64_t{127}, int64_t{128}, INT64_MAX}) edge.add(v);
  CHECK(edge.quantile(0.4) == 0);
  CHECK(edge.quantile(0.6) == 127);
  CHECK(edge.n() == 5);
}
