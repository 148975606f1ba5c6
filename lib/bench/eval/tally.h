// Judged answers counted: accuracy of each group, perplexity of the windows.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "bench/records/record.h"
#include "bench/stats/distributions.h"

namespace ds::bench {

// A group of items: everything, one category, one distance.
struct Tally {
  std::string name;
  int64_t n = 0, n_correct = 0, n_strict = 0, n_flexible = 0, n_unparsed = 0, n_errors = 0;
  Interval interval;  // Wilson, of n_correct / n
};
Tally tally(const std::string& name, const std::vector<const ItemRecord*>& items);
// All together, then by category, then by turns where known.
std::vector<Tally> tallies(const std::vector<ItemRecord>& items);
std::string scores_text(const std::vector<ItemRecord>& items);
// "3 http_503 (overloaded)": why questions got no answer.
std::string failures_text(const std::vector<ItemRecord>& items);
Json scores_json(const std::vector<ItemRecord>& items);
// The same for each run of a set, under its name when there are several.
std::string scores_text(const RecordSet& set);
Json scores_json(const RecordSet& set);
// Runs that have items, with them.
std::vector<std::pair<std::string, std::vector<ItemRecord>>> items_by_run(const RecordSet& set);

}  // namespace ds::bench
