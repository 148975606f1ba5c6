#include "bench/compare/items.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/eval/answers.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "report/words.h"

namespace ds::bench {
ItemComparison compare_items(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                             double margin) {
  ItemComparison c;
  // One set against one set: its name is that of a file, which may have been renamed.
  const auto one_set = [](const std::vector<ItemRecord>& items) {
    return std::all_of(items.begin(), items.end(), [&](const auto& i) { return i.set == items[0].set; });
  };
  const bool named = !one_set(a) || !one_set(b);
  const auto key = [&](const ItemRecord& i) { return named ? i.set + "/" + i.id : i.id; };
  std::map<std::string, const ItemRecord*> by_id;
  for (const auto& i : a) by_id[key(i)] = &i;
  int64_t right_a = 0, right_b = 0;
  for (const auto& y : b) {
    const auto it = by_id.find(key(y));
    if (it == by_id.end()) continue;
    const ItemRecord& x = *it->second;
    if (x.expected != y.expected)
      throw Error(ErrorKind::kBadData, "item '" + y.id + "' has another answer in the other run", "compare",
                  "the two runs used different sets");
    ++c.n_common;
    right_a += x.correct;
    right_b += y.correct;
    if (x.correct == y.correct) continue;
    ++(x.correct ? c.n_only_a : c.n_only_b);
    c.flipped.push_back(y.id + (x.correct ? ": right > wrong" : ": wrong > right") + " (expected \"" +
                        one_line(y.expected) + "\", got \"" +
                        one_line(answer_part((x.correct ? y : x).text)) + "\")");
  }
  if (c.n_common == 0) throw Error(ErrorKind::kBadData, "the runs have no item in common", "compare");
  const auto n = static_cast<double>(c.n_common), x = static_cast<double>(c.n_only_a),
             y = static_cast<double>(c.n_only_b);
  c.share_a = static_cast<double>(right_a) / n;
  c.share_b = static_cast<double>(right_b) / n;
  c.p = mcnemar_mid_p(c.n_only_a, c.n_only_b);
  // Agresti and Min's interval of a paired difference: half an observation to each discordant cell.
  const double d = (y - x) / (n + 2),
               variance = (x + y + 1 - (y - x) * (y - x) / (n + 2)) / ((n + 2) * (n + 2));
  const double half = normal_quantile(0.975) * std::sqrt(std::max(0.0, variance));
  c.difference = {d - half, d + half};
  if (c.p <= 0.05)
    c.verdict = c.n_only_b > c.n_only_a ? "BETTER" : "WORSE";
  else
    c.verdict = c.difference.lo > -margin && c.difference.hi < margin ? "SAME" : "INCONCLUSIVE";
  c.exit_code = c.verdict == "WORSE" ? 1 : c.verdict == "INCONCLUSIVE" ? 3 : 0;
  return c;
}

std::string item_comparison_text(const ItemComparison& c) {
  std::string out = "A " + percent(c.share_a) + ", B " + percent(c.share_b) + " of " +
                    std::to_string(c.n_common) + " common items; right in A only " +
                    std::to_string(c.n_only_a) + ", in B only " + std::to_string(c.n_only_b) +
                    "\ndifference " + short_number((c.share_b - c.share_a) * 100) + " points [" +
                    short_number(c.difference.lo * 100) + ", " + short_number(c.difference.hi * 100) +
                    "], McNemar mid-p " + short_number(c.p) + "\n";
  for (const auto& f : c.flipped) out += "  " + f + "\n";
  return out + "verdict: " + c.verdict + " (exit " + std::to_string(c.exit_code) + ")\n";
}

Json item_comparison_json(const ItemComparison& c) {
  Json::array_t flipped(c.flipped.begin(), c.flipped.end());
  return Json{{"schema", "dsbench-compare-items/1"},
              {"verdict", c.verdict},
              {"exit", c.exit_code},
              {"n", c.n_common},
              {"share_a", c.share_a},
              {"share_b", c.share_b},
              {"only_a", c.n_only_a},
              {"only_b", c.n_only_b},
              {"mid_p", c.p},
              {"lo", c.difference.lo},
              {"hi", c.difference.hi},
              {"flipped", std::move(flipped)}};
}

}  // namespace ds::bench
