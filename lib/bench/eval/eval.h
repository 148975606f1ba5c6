// Accuracy: questions through any target, judged without another model.
#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bench/plan/plan.h"
#include "bench/records/record.h"
#include "bench/stats/distributions.h"
#include "bench/targets/target.h"

namespace ds::bench {

struct EvalQuestion {
  Request request;
  std::string set, category, match = "exact";
  std::vector<std::string> expected;  // any of them
  int64_t turns = 0, distance = 0;
};

// "math", "multiturn", "reading": the sets in data_folder; anything else is a file of
// {"messages"|"prompt"|"question", "answer" (one or a list), "id", "match", "category"} lines. Throws Error.
std::vector<EvalQuestion> read_questions(const std::string& set, const std::string& data_folder);
// Names a set whatever it is called and in whatever order: over ids, questions and answers.
std::string set_digest(const std::vector<EvalQuestion>& questions);

struct EvalOptions {
  int64_t max_tokens = 256;
  int64_t limit = 0;  // the first so many; 0: all
  int64_t clients = 1;
  std::string arm = "a";
  Shard shard;
  std::set<std::string> skip;  // ids already answered
  StopRequest stop;
  std::function<void(const ItemRecord&)> on_item;  // in the order of the questions
  std::function<void(int64_t done, int64_t all)> on_progress;
};
// Returns false when stopped.
bool run_eval(Target& target, const std::vector<EvalQuestion>& questions, const EvalOptions& options);

// A group of items: everything, one category, one distance.
struct Score {
  std::string name;
  int64_t n = 0, n_correct = 0, n_strict = 0, n_flexible = 0, n_unparsed = 0, n_errors = 0;
  Interval interval;  // Wilson, of n_correct / n
};
Score score(const std::string& name, const std::vector<const ItemRecord*>& items);
// All together, then by category, then by turns where known.
std::vector<Score> scores(const std::vector<ItemRecord>& items);
std::string scores_text(const std::vector<ItemRecord>& items);
// "3 http_503 (overloaded)": why questions got no answer.
std::string failures_text(const std::vector<ItemRecord>& items);
Json scores_json(const std::vector<ItemRecord>& items);
// The same for each run of a set, under its name when there are several.
std::string scores_text(const RecordSet& set);
Json scores_json(const RecordSet& set);
// Runs that have items, with them.
std::vector<std::pair<std::string, std::vector<ItemRecord>>> items_by_run(const RecordSet& set);

// Two runs over the same questions.
struct ItemComparison {
  int64_t n_common = 0, n_only_a = 0, n_only_b = 0;  // right in one run alone
  double share_a = 0, share_b = 0, p = 1;            // McNemar mid-p
  Interval difference;                               // of share_b - share_a, 95 %
  std::vector<std::string> flipped;                  // "id: right > wrong (expected .., got ..)"
  std::string verdict;                               // BETTER, WORSE, SAME, INCONCLUSIVE
  int exit_code = 3;
};
// Two perplexities of one text: the windows are pairs. The ratio's interval is Student's t over the windows'
// differences; inside the margin it is SAME, however well the difference is seen.
struct PerplexityComparison {
  int64_t n_windows = 0, n_tokens = 0;
  double a = 0, b = 0;
  Interval ratio;  // of B over A, 95 %
  std::string verdict;
  int exit_code = 3;
};
// Throws Error{kBadData} when the windows are not those of one text.
PerplexityComparison compare_perplexity(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                                        double margin);
std::string perplexity_comparison_text(const PerplexityComparison& comparison);
Json perplexity_comparison_json(const PerplexityComparison& comparison);
// margin: a loss of so many points counts as the same, when the interval shows it.
ItemComparison compare_items(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                             double margin);
std::string item_comparison_text(const ItemComparison& comparison);
Json item_comparison_json(const ItemComparison& comparison);

}  // namespace ds::bench
