#include "bench/stats/distributions.h"

#include <algorithm>
#include <cmath>

namespace ds::bench {

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double log_front =
      std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  // The fraction converges fast below the mean only; above it the symmetry is used.
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  constexpr double kTiny = 1e-300;
  double f = 1, c = 1, d = 0;
  for (int i = 0; i <= 10000; ++i) {
    const int m = i / 2;
    double numerator = 1;
    if (i > 0)
      numerator = i % 2 == 0 ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                             : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 + numerator * d;
    if (std::fabs(d) < kTiny) d = kTiny;
    d = 1 / d;
    c = 1 + numerator / c;
    if (std::fabs(c) < kTiny) c = kTiny;
    f *= c * d;
    if (std::fabs(1 - c * d) < 1e-15) break;
  }
  return std::exp(log_front) * (f - 1) / a;
}

double binomial_cdf(int64_t k, int64_t n, double p) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return incomplete_beta(static_cast<double>(n - k), static_cast<double>(k + 1), 1 - p);
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double normal_quantile(double p) {
  if (p <= 0) return -HUGE_VAL;
  if (p >= 1) return HUGE_VAL;
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  double x;
  if (p < 0.02425 || p > 1 - 0.02425) {
    const double q = std::sqrt(-2 * std::log(p < 0.5 ? p : 1 - p));
    x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    if (p > 0.5) x = -x;
  } else {
    const double q = p - 0.5, r = q * q;
    x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
        (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  const double e = normal_cdf(x) - p;
  const double u = e * std::sqrt(2 * M_PI) * std::exp(x * x / 2);
  return x - u / (1 + x * u / 2);
}

double student_t_tail(double t, double dof) {
  const double both = incomplete_beta(dof / 2, 0.5, dof / (dof + t * t));
  return t > 0 ? both / 2 : 1 - both / 2;
}

double student_t_critical(double dof, double level) {
  const double tail = 1 - level;  // both tails together
  double lo = 0, hi = 1e4;
  for (int i = 0; i < 200; ++i) {
    const double t = (lo + hi) / 2;
    (incomplete_beta(dof / 2, 0.5, dof / (dof + t * t)) > tail ? lo : hi) = t;
  }
  return (lo + hi) / 2;
}

Interval wilson_interval(int64_t n_success, int64_t n, double level) {
  if (n <= 0) return {0, 1};
  const double z = normal_quantile(0.5 + level / 2), nn = static_cast<double>(n);
  const double share = static_cast<double>(n_success) / nn, z2 = z * z;
  const double centre = (share + z2 / (2 * nn)) / (1 + z2 / nn);
  const double half = z * std::sqrt(share * (1 - share) / nn + z2 / (4 * nn * nn)) / (1 + z2 / nn);
  return {n_success == 0 ? 0 : std::max(0.0, centre - half),
          n_success == n ? 1 : std::min(1.0, centre + half)};
}

double mcnemar_mid_p(int64_t n_01, int64_t n_10) {
  const int64_t n = n_01 + n_10, k = std::min(n_01, n_10);
  if (n == 0) return 1;
  const double cdf = binomial_cdf(k, n, 0.5);
  const double point = cdf - binomial_cdf(k - 1, n, 0.5);
  return std::min(1.0, 2 * cdf - point);
}

}  // namespace ds::bench
