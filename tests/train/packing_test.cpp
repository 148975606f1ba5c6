// Which documents share a micro-batch, and in which order an epoch takes them.
#include "train/packing.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/rng.h"

using namespace ds;
using namespace ds::train;

namespace {
std::vector<int64_t> random_lengths(int64_t n, uint64_t seed, int64_t most) {
  CounterRng rng(seed);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(1 + rng.next_u32() % most);
  return out;
}
}  // namespace

TEST_CASE("every document is in one group, none is cut, no group is too full") {
  struct Case {
    int64_t n, max, window;
  };
  for (const auto& [n, max, window] :
       {Case{0, 10, 4}, {1, 10, 4}, {1000, 512, 64}, {1000, 100, 1024}, {333, 1, 7}}) {
    const std::vector<int64_t> lengths = random_lengths(n, 7, 200);
    const auto groups = pack_documents(lengths, max, window);
    std::vector<int64_t> seen;
    for (const auto& group : groups) {
      int64_t sum = 0;
      for (const int64_t i : group) sum += lengths[static_cast<size_t>(i)];
      CHECK((sum <= max || group.size() == 1));
      CHECK(std::is_sorted(group.begin(), group.end()));
      seen.insert(seen.end(), group.begin(), group.end());
    }
    std::sort(seen.begin(), seen.end());
    std::vector<int64_t> all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    CHECK(seen == all);
    CHECK(pack_documents(lengths, max, window) == groups);
  }
}

TEST_CASE("groups are nearly full and stay near the order of training") {
  const std::vector<int64_t> lengths = random_lengths(5000, 3, 400);
  const auto groups = pack_documents(lengths, 2048, 512);
  const auto sum = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  CHECK(static_cast<double>(sum) / (2048.0 * static_cast<double>(groups.size())) > 0.97);
  for (size_t i = 1; i < groups.size(); ++i) CHECK(groups[i][0] / 512 >= groups[i - 1][0] / 512);
  CHECK(pack_documents(std::vector<int64_t>{5, 5, 3, 7}, 10) ==
        std::vector<std::vector<int64_t>>{{0, 1}, {2, 3}});
}

TEST_CASE("an epoch's order is a permutation that seed and epoch alone decide") {
  const auto order = shuffled_order(1000, 1, 0);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) CHECK(sorted[i] == static_cast<int64_t>(i));
  CHECK(order == shuffled_order(1000, 1, 0));
  CHECK(order != shuffled_order(1000, 1, 1));
  CHECK(order != shuffled_order(1000, 2, 0));
  CHECK(shuffled_order(0, 1, 0).empty());
  // Each place is as likely: the mean of where the first document goes, within five deviations.
  double mean = 0;
  for (int64_t epoch = 0; epoch < 4000; ++epoch)
    mean += static_cast<double>(shuffled_order(10, 9, epoch)[0]) / 4000;
  CHECK(std::abs(mean - 4.5) < 5 * 2.87 / std::sqrt(4000.0));
}
