#include "bench/compare/judge.h"

#include "bench/compare/items.h"
#include "bench/eval/perplexity.h"
#include "bench/eval/questions.h"
#include "core/error.h"
#include "core/json_value.h"

namespace ds::bench {
namespace {

enum class Kind { kTimes, kAnswers, kPerplexity };

Kind kind_of(const RecordSet& set) {
  if (set.items.empty()) return Kind::kTimes;
  return set.items[0].nll >= 0 ? Kind::kPerplexity : Kind::kAnswers;
}
const char* name_of(Kind kind) {
  return kind == Kind::kTimes     ? "times of requests"
         : kind == Kind::kAnswers ? "judged answers"
                                  : "perplexities";
}

// What makes two evaluations incomparable: another set, another extractor.
void check_alike(const RecordSet& a, const RecordSet& b, bool force) {
  std::string differences;
  const RunHeader *ha = header_of(a, 0), *hb = header_of(b, 0);
  if (!ha || !hb || force) return;
  // The same questions are the same set, whatever their file is called.
  const bool same_set = !ha->set_digest.empty() && ha->set_digest == hb->set_digest;
  std::vector<std::string> members{"set_digest", "extractor", "max_tokens"};
  if (!same_set) members.push_back("set");
  for (const std::string& d : header_differences(*ha, *hb, members)) differences += "\n  " + d;
  if (!differences.empty())
    throw Error(ErrorKind::kBadData, "the evaluations are not comparable:" + differences, "compare",
                "evaluate both alike, or say --force");
}

}  // namespace

Judged compare_records(const RecordSet& a, const RecordSet& b, bool two_files,
                       const CompareOptions& options) {
  const Kind kind = kind_of(a);
  if (two_files && kind_of(b) != kind)
    throw Error(ErrorKind::kBadData, std::string(name_of(kind)) + " against " + name_of(kind_of(b)),
                "compare");
  if (kind == Kind::kTimes) {
    const Comparison c = two_files ? compare_runs(a, b, options) : compare_arms(a, options);
    return {comparison_text(c, options.width), comparison_json(c), c.exit_code};
  }
  if (!two_files)
    throw Error(ErrorKind::kUsage, "one evaluation: there is nothing to compare it with", "compare",
                "give two files");
  check_alike(a, b, options.force);
  if (kind == Kind::kPerplexity) {
    const PerplexityComparison c = compare_perplexity(a.items, b.items, options.margin);
    return {perplexity_comparison_text(c), perplexity_comparison_json(c), c.exit_code};
  }
  const ItemComparison c = compare_items(a.items, b.items, options.margin);
  return {item_comparison_text(c), item_comparison_json(c), c.exit_code};
}

}  // namespace ds::bench
