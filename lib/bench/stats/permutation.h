// Permutation tests on the ratio of two arms, and what is built on them.
//
// Under the null hypothesis that arm B behaves like arm A times a factor, B's values divided by that factor
// carry exchangeable labels. Labels are shuffled among all requests, or swapped within blocks that were
// measured side by side (paired: heat and neighbours then cancel). Asking which factors are not rejected
// gives the interval.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/stats/distributions.h"

namespace ds::bench {

// What is compared: a quantile or mean of values, or a ratio of sums (tokens over seconds).
struct Statistic {
  enum class Kind { kQuantile, kRatio } kind = Kind::kQuantile;
  double p = 0.5;  // of the quantile
};

struct ArmValue {
  double value = 0;   // or the numerator of a ratio
  double weight = 1;  // the denominator; 1 makes a mean
  int64_t unit = 0;   // values of one unit (request, block) keep a common label
};

class RatioTest {
 public:
  // paired: units of equal number in a and b swap labels. Deterministic in seed.
  RatioTest(std::vector<ArmValue> a, std::vector<ArmValue> b, Statistic statistic, bool paired, uint64_t seed,
            int64_t max_permutations = 1999);

  double ratio() const;  // B over A; NaN when undefined
  struct PValues {
    double greater = 1;  // evidence that the true ratio exceeds the factor
    double less = 1;
    double two_sided() const;
  };
  // Against the hypothesis that the true ratio is `factor`.
  PValues test(double factor) const;
  // The factors not rejected two-sided at 1 - level.
  Interval interval(double level) const;
  int64_t n_permutations() const { return n_permutations_; }

 private:
  double log_ratio(const std::vector<ArmValue>& values, const std::vector<uint32_t>& order,
                   const char* is_b) const;
  std::vector<ArmValue> values_;  // A then B
  std::vector<char> is_b_;        // as measured
  Statistic statistic_;
  int64_t n_permutations_ = 0;
  std::vector<char> labels_;  // [n_permutations, n_values]: drawn once, every factor is tested with them
};

// Holm's step-down adjustment: compare each result with the level of the whole family.
std::vector<double> holm_adjust(const std::vector<double>& p_values);

}  // namespace ds::bench
