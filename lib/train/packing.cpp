#include "train/packing.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/rng.h"

namespace ds::train {
namespace {

using Group = std::vector<int64_t>;

// Uniform in [0, n) without bias: draws that would favour small numbers are drawn again.
uint64_t below(CounterRng& rng, uint64_t n) {
  const uint64_t most = UINT64_MAX - UINT64_MAX % n;
  for (;;) {
    const uint64_t high = rng.next_u32(), draw = high << 32 | rng.next_u32();
    if (draw < most) return draw % n;
  }
}

std::vector<Group> pack_window(std::span<const int64_t> lengths, int64_t begin, int64_t end,
                               int64_t max_tokens) {
  std::vector<int64_t> order(static_cast<size_t>(end - begin));
  std::iota(order.begin(), order.end(), begin);
  const auto length = [&](int64_t i) { return lengths[static_cast<size_t>(i)]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<Group> groups;
  std::set<std::pair<int64_t, size_t>> rooms;  // tokens that are free, and whose
  for (const int64_t i : order) {
    const auto found = rooms.lower_bound({length(i), 0});
    size_t group = groups.size();
    int64_t room = max_tokens;
    if (found != rooms.end()) {
      std::tie(room, group) = *found;
      rooms.erase(found);
    } else {
      groups.emplace_back();
    }
    groups[group].push_back(i);
    rooms.insert({room - length(i), group});
  }
  for (Group& group : groups) std::sort(group.begin(), group.end());
  std::sort(groups.begin(), groups.end());
  return groups;
}

}  // namespace

std::vector<int64_t> shuffled_order(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  CounterRng rng(seed, static_cast<uint64_t>(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(rng, i)]);
  return order;
}

std::vector<Group> pack_documents(std::span<const int64_t> lengths, int64_t max_tokens, int64_t window) {
  DS_CHECK(max_tokens > 0 && window > 0);
  const auto n = static_cast<int64_t>(lengths.size());
  std::vector<Group> out;
  for (int64_t begin = 0; begin < n; begin += window) {
    auto groups = pack_window(lengths, begin, std::min(n, begin + window), max_tokens);
    out.insert(out.end(), std::make_move_iterator(groups.begin()), std::make_move_iterator(groups.end()));
  }
  return out;
}

}  // namespace ds::train
