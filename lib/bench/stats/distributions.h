// Distribution functions behind the intervals and tests of ds-bench.
#pragma once
#include <cstdint>

namespace ds::bench {

// P(X <= k) for X ~ Binomial(n, p), through the regularised incomplete beta function.
double binomial_cdf(int64_t k, int64_t n, double p);
// I_x(a, b), continued fraction (Lentz). Source: DLMF 8.17.22.
double incomplete_beta(double a, double b, double x);
double normal_cdf(double z);
// Inverse of normal_cdf, refined to double precision by one Halley step. Source: P. J. Acklam's
// approximation.
double normal_quantile(double p);
// P(T > t) of Student's t.
double student_t_tail(double t, double dof);
// Two-sided Student t critical value: P(|T| <= t) = level.
double student_t_critical(double dof, double level);

struct Interval {
  double lo = 0, hi = 0;
};
// Wilson score interval for a share.
Interval wilson_interval(int64_t n_success, int64_t n, double level = 0.95);

// McNemar's mid-p value, two-sided, from the two discordant counts. Source: Fagerland, Lydersen, Laake
// (2013).
double mcnemar_mid_p(int64_t n_01, int64_t n_10);

}  // namespace ds::bench
