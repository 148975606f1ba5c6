#include "bench/stats/permutation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace ds::bench {
namespace {
constexpr int64_t kMinPermutations = 199, kWork = 12'000'000;
constexpr double kWidestFactor = 64;
}  // namespace

RatioTest::RatioTest(std::vector<ArmValue> a, std::vector<ArmValue> b, Statistic statistic, bool paired,
                     uint64_t seed, int64_t max_permutations)
    : statistic_(statistic) {
  std::map<std::pair<int64_t, bool>, size_t> units;
  std::vector<char> unit_is_b;  // unpaired: the unit's own label
  std::vector<size_t> unit_of;  // of each value
  for (const bool is_b : {false, true})
    for (const ArmValue& v : is_b ? b : a) {
      // Unpaired, equal numbers in the two arms are different units.
      const auto [it, fresh] = units.try_emplace({v.unit, paired ? false : is_b}, unit_is_b.size());
      if (fresh) unit_is_b.push_back(is_b);
      values_.push_back(v);
      is_b_.push_back(is_b);
      unit_of.push_back(it->second);
    }
  n_permutations_ = std::clamp<int64_t>(kWork / std::max<int64_t>(1, static_cast<int64_t>(values_.size())),
                                        std::min(kMinPermutations, max_permutations), max_permutations);
  labels_.reserve(static_cast<size_t>(n_permutations_) * values_.size());
  for (int64_t r = 0; r < n_permutations_; ++r) {
    CounterRng rng(seed, static_cast<uint64_t>(r));
    std::vector<char> unit_label = unit_is_b;
    if (paired) {
      for (char& flip : unit_label) flip = static_cast<char>(rng.next_u32() & 1);
    } else {
      for (size_t i = unit_label.size(); i > 1; --i)
        std::swap(unit_label[i - 1], unit_label[rng.next_u32() % i]);
    }
    for (size_t i = 0; i < values_.size(); ++i)
      labels_.push_back(static_cast<char>(unit_label[unit_of[i]] ^ (paired ? is_b_[i] : 0)));
  }
}

double RatioTest::log_ratio(const std::vector<ArmValue>& values, const std::vector<uint32_t>& order,
                            const char* is_b) const {
  if (statistic_.kind == Statistic::Kind::kRatio) {
    double num[2] = {}, den[2] = {};
    for (size_t i = 0; i < values.size(); ++i) {
      num[static_cast<int>(is_b[i])] += values[i].value;
      den[static_cast<int>(is_b[i])] += values[i].weight;
    }
    return std::log(num[1] / den[1]) - std::log(num[0] / den[0]);
  }
  int64_t n[2] = {};
  n[1] = std::count(is_b, is_b + values.size(), 1);
  n[0] = static_cast<int64_t>(values.size()) - n[1];
  int64_t left[2];
  for (int k = 0; k < 2; ++k)
    left[k] = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(statistic_.p * static_cast<double>(n[k]) -
                                                                  1e-9 * static_cast<double>(n[k]))));
  double q[2] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  for (const uint32_t i : order) {
    const int k = is_b[i];
    if (--left[k] == 0) {
      q[k] = values[i].value;
      if (left[1 - k] <= 0) break;
    }
  }
  return std::log(q[1]) - std::log(q[0]);
}

double RatioTest::ratio() const {
  if (values_.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<uint32_t> order(values_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t x, uint32_t y) { return values_[x].value < values_[y].value; });
  return std::exp(log_ratio(values_, order, is_b_.data()));
}

double RatioTest::PValues::two_sided() const { return std::min(1.0, 2 * std::min(greater, less)); }

RatioTest::PValues RatioTest::test(double factor) const {
  DS_CHECK(factor > 0);
  std::vector<ArmValue> values = values_;
  for (size_t i = 0; i < values.size(); ++i)
    if (is_b_[i]) values[i].value /= factor;
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t x, uint32_t y) { return values[x].value < values[y].value; });
  const double seen = log_ratio(values, order, is_b_.data());
  if (std::isnan(seen)) return {};

  int64_t n_greater = 0, n_less = 0;
  const double tie = 1e-12;
  for (int64_t r = 0; r < n_permutations_; ++r) {
    const double t = log_ratio(values, order, labels_.data() + static_cast<size_t>(r) * values.size());
    n_greater += !(t < seen - tie);
    n_less += !(t > seen + tie);
  }
  const auto share = [&](int64_t n) {
    return static_cast<double>(n + 1) / static_cast<double>(n_permutations_ + 1);
  };
  return {share(n_greater), share(n_less)};
}

Interval RatioTest::interval(double level) const {
  const double centre = ratio();
  if (!(centre > 0) || std::isinf(centre)) return {0, std::numeric_limits<double>::infinity()};
  const double alpha = (1 - level) / 2;
  const auto edge = [&](bool upper) {
    // Bisection on the logarithm of the factor; beyond a factor of 64 the end is open.
    double inside = std::log(centre), outside = inside + (upper ? 1 : -1) * std::log(kWidestFactor);
    const auto rejected = [&](double log_factor) {
      const PValues p = test(std::exp(log_factor));
      return (upper ? p.less : p.greater) <= alpha;
    };
    if (!rejected(outside)) return upper ? std::numeric_limits<double>::infinity() : 0.0;
    for (int i = 0; i < 14 && std::fabs(outside - inside) > 2e-4; ++i) {
      const double middle = (inside + outside) / 2;
      (rejected(middle) ? outside : inside) = middle;
    }
    return std::exp(outside);
  };
  return {edge(false), edge(true)};
}

std::vector<double> holm_adjust(const std::vector<double>& p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return p[x] < p[y]; });
  std::vector<double> adjusted(p.size());
  double running = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    running = std::max(running, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    adjusted[order[i]] = running;
  }
  return adjusted;
}

}  // namespace ds::bench
