#include "train/privacy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "core/error.h"

namespace ds::train {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSmallTerm = -30;                // logarithm of what a series leaves out
constexpr int64_t kMostTerms = int64_t{1} << 22;  // far beyond what the smallest order needs
constexpr double kLargestSigma = 1e6;

// log(exp(a) + exp(b)) and log(exp(a) - exp(b)) for b <= a; the difference of two that rounding made equal
// is 0.
double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == -kInfinity ? a : a + std::log1p(std::exp(b - a));
}
double log_subtract(double a, double b) {
  if (b == -kInfinity) return a;
  return b >= a ? -kInfinity : a + std::log(-std::expm1(b - a));
}

// log(erfc(x)), where erfc itself is 0 in double from x = 27 on.
double log_erfc(double x) {
  if (x < 25) return std::log(std::erfc(x));
  const double y = 1 / (x * x);
  return -x * x - std::log(x * std::sqrt(std::numbers::pi)) +
         std::log1p(y * (-0.5 + y * (0.75 + y * (-1.875 + y * 6.5625))));
}

double log_moment_of_integer(double q, double sigma, int64_t order) {
  double sum = -kInfinity, log_binomial = 0;
  for (int64_t i = 0; i <= order; ++i) {
    const auto k = static_cast<double>(i), rest = static_cast<double>(order - i);
    sum = log_add(sum,
                  log_binomial + k * std::log(q) + rest * std::log1p(-q) + (k * k - k) / (2 * sigma * sigma));
    log_binomial += std::log(rest) - std::log(k + 1);
  }
  return sum;
}

// Two alternating series, split where the densities of the two cases are equal.
double log_moment_of_fraction(double q, double sigma, double order) {
  const double split = sigma * sigma * std::log(1 / q - 1) + 0.5;
  const double scale = std::numbers::sqrt2 * sigma, log_half = std::log(0.5);
  double low = -kInfinity, high = -kInfinity, log_binomial = 0, sign = 1;
  for (int64_t n = 0; n < kMostTerms; ++n) {
    const auto i = static_cast<double>(n), j = order - i;
    const double a = log_binomial + i * std::log(q) + j * std::log1p(-q) + (i * i - i) / (2 * sigma * sigma) +
                     log_half + log_erfc((i - split) / scale);
    const double b = log_binomial + j * std::log(q) + i * std::log1p(-q) + (j * j - j) / (2 * sigma * sigma) +
                     log_half + log_erfc((split - j) / scale);
    low = sign > 0 ? log_add(low, a) : log_subtract(low, a);
    high = sign > 0 ? log_add(high, b) : log_subtract(high, b);
    if (std::max(a, b) < kSmallTerm) break;
    if (j < 0) sign = -sign;
    log_binomial += std::log(std::fabs(j)) - std::log(i + 1);
  }
  return log_add(low, high);
}

std::vector<double> all_orders() {
  std::vector<double> orders;
  for (int i = 11; i <= 109; ++i) orders.push_back(i / 10.0);
  for (int i = 12; i <= 63; ++i) orders.push_back(i);
  return orders;
}

double epsilon_of(double divergence, double order, double delta) {
  return divergence + std::log1p(-1 / order) - (std::log(delta) + std::log(order)) / (order - 1);
}

void check(const PrivacyPhase& p, double delta) {
  const auto refuse = [](const char* name, double value, const char* wanted) {
    throw Error(ErrorKind::kUsage, std::to_string(value) + " is no " + wanted, name);
  };
  if (!(p.sampling_rate >= 0 && p.sampling_rate <= 1))
    refuse("sampling rate", p.sampling_rate, "share between 0 and 1");
  if (!(p.noise_multiplier >= 0) || std::isinf(p.noise_multiplier))
    refuse("sigma", p.noise_multiplier, "number of 0 or more");
  if (p.n_steps < 0) refuse("steps", static_cast<double>(p.n_steps), "number of 0 or more");
  if (!(delta > 0 && delta < 1)) refuse("delta", delta, "number between 0 and 1");
}

}  // namespace

double renyi_divergence(const PrivacyPhase& p, double order) {
  const double q = p.sampling_rate, sigma = p.noise_multiplier;
  if (q == 0 || p.n_steps == 0) return 0;
  if (sigma == 0) return kInfinity;
  const auto n = static_cast<double>(p.n_steps);
  if (q == 1) return n * order / (2 * sigma * sigma);
  const double whole = std::round(order);
  const double moment = order == whole ? log_moment_of_integer(q, sigma, static_cast<int64_t>(whole))
                                       : log_moment_of_fraction(q, sigma, order);
  return n * moment / (order - 1);
}

PrivacySpent privacy_spent(std::span<const PrivacyPhase> phases, double delta) {
  check({}, delta);
  for (const PrivacyPhase& p : phases) check(p, delta);
  // Steps that nobody is in, or none at all, spend nothing; the conversion's bound would still.
  if (std::all_of(phases.begin(), phases.end(),
                  [](const PrivacyPhase& p) { return p.n_steps == 0 || p.sampling_rate == 0; }))
    return {};
  static const std::vector<double> orders = all_orders();
  PrivacySpent best{kInfinity, orders[0]};
  for (const double order : orders) {
    double divergence = 0;
    for (const PrivacyPhase& p : phases) divergence += renyi_divergence(p, order);
    if (const double epsilon = epsilon_of(divergence, order, delta); epsilon < best.epsilon)
      best = {epsilon, order};
  }
  best.epsilon = std::max(0.0, best.epsilon);
  return best;
}

double smallest_noise(std::span<const PrivacyPhase> before, PrivacyPhase next, double delta, double epsilon) {
  std::vector<PrivacyPhase> phases(before.begin(), before.end());
  phases.push_back(next);
  const auto fits = [&](double sigma) {
    phases.back().noise_multiplier = sigma;
    return privacy_spent(phases, delta).epsilon <= epsilon;
  };
  if (!(epsilon > 0)) throw Error(ErrorKind::kUsage, "must be more than 0", "epsilon");
  if (fits(0)) return 0;  // nothing is sampled
  double low = 0, high = 1;
  while (!fits(high)) {
    low = high;
    high *= 2;
    if (high > kLargestSigma)
      throw Error(
          ErrorKind::kUsage, "no noise is enough for it at this delta", "epsilon",
          before.empty() ? "ask for more, or take fewer steps" : "the phases before spend it already");
  }
  while (high - low > 1e-12 * high) {
    const double middle = low + (high - low) / 2;
    if (middle == low || middle == high) break;
    (fits(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace ds::train
