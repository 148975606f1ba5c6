// A mergeable histogram of durations with a bounded relative error: what pooled token gaps are kept in, since
// there are hundreds of them per request. Log-linear buckets: 2^7 linear steps per power of two, so a value
// is off by less than 1 in 128 / 2. Same idea as HdrHistogram; merging adds counts, so shards can be pooled.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ds::bench {

class Histogram {
 public:
  void add(int64_t value_ns, int64_t count = 1);  // negative values count as 0
  void merge(const Histogram& other);
  int64_t n() const { return n_; }
  int64_t max() const { return max_; }
  double mean() const { return n_ ? sum_ / static_cast<double>(n_) : 0; }
  // Middle of the bucket that holds rank ceil(p n); 0 when empty.
  double quantile(double p) const;
  // Share of values <= value.
  double share_below(int64_t value_ns) const;

 private:
  static size_t bucket_of(int64_t value_ns);
  static double middle_of(size_t bucket);
  std::vector<int64_t> counts_;
  int64_t n_ = 0, max_ = 0;
  double sum_ = 0;
};

}  // namespace ds::bench
