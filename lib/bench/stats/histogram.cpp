#include "bench/stats/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ds::bench {
namespace {
constexpr int kBits = 7;
constexpr int64_t kSteps = int64_t{1} << kBits;
}  // namespace

// Values below 2^kBits have a bucket each; above, the top kBits + 1 bits of the value pick it.
size_t Histogram::bucket_of(int64_t value) {
  if (value < kSteps) return static_cast<size_t>(std::max<int64_t>(value, 0));
  const int shift = std::bit_width(static_cast<uint64_t>(value)) - (kBits + 1);
  return static_cast<size_t>((shift + 1) * kSteps + ((value >> shift) - kSteps));
}

double Histogram::middle_of(size_t bucket) {
  const auto b = static_cast<int64_t>(bucket);
  if (b < kSteps) return static_cast<double>(b);
  const int64_t shift = b / kSteps - 1;
  return std::ldexp(static_cast<double>(b % kSteps + kSteps) + 0.5, static_cast<int>(shift)) - 0.5;
}

void Histogram::add(int64_t value, int64_t count) {
  const size_t b = bucket_of(value);
  if (b >= counts_.size()) counts_.resize(b + 1);
  counts_[b] += count;
  n_ += count;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(std::max<int64_t>(value, 0)) * static_cast<double>(count);
}

void Histogram::merge(const Histogram& other) {
  if (counts_.size() < other.counts_.size()) counts_.resize(other.counts_.size());
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  n_ += other.n_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

double Histogram::quantile(double p) const {
  const double rank = std::ceil(p * static_cast<double>(n_) - 1e-9 * static_cast<double>(n_));
  double seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += static_cast<double>(counts_[i]);
    if (counts_[i] && seen >= rank) return std::min(middle_of(i), static_cast<double>(max_));
  }
  return static_cast<double>(max_);
}

double Histogram::share_below(int64_t value) const {
  if (!n_) return 0;
  const size_t end = bucket_of(value);
  int64_t below = 0;
  for (size_t i = 0; i < counts_.size() && i <= end; ++i) below += counts_[i];
  return static_cast<double>(below) / static_cast<double>(n_);
}

}  // namespace ds::bench
