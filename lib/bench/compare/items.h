// Two runs over the same questions, item by item.
#pragma once
#include <string>
#include <vector>

#include "bench/records/record.h"
#include "bench/stats/distributions.h"

namespace ds::bench {

// Two runs over the same questions.
struct ItemComparison {
  int64_t n_common = 0, n_only_a = 0, n_only_b = 0;  // right in one run alone
  double share_a = 0, share_b = 0, p = 1;            // McNemar mid-p
  Interval difference;                               // of share_b - share_a, 95 %
  std::vector<std::string> flipped;                  // "id: right > wrong (expected .., got ..)"
  std::string verdict;                               // BETTER, WORSE, SAME, INCONCLUSIVE
  int exit_code = 3;
};
// margin: a loss of so many points counts as the same, when the interval shows it.
ItemComparison compare_items(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                             double margin);
std::string item_comparison_text(const ItemComparison& comparison);
Json item_comparison_json(const ItemComparison& comparison);

}  // namespace ds::bench
