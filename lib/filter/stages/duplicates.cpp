// Stage 4. What one record can be judged by alone is here: overlap with evaluation sets. Exact and near
// duplicates need the whole input; clusters.h finds them and the pipeline reports them under the two rules
// below.
#include "filter/stages/evaluation_sets.h"
#include "filter/stages/stage.h"
#include "filter/text/characters.h"

namespace ds::filter {
namespace {

enum Rule { kContaminated, kExact, kNear };
const RuleSpec kRules[] = {
    {"s4.contaminated",
     DropWhen::kAbove,
     {0, 0},
     {true, true},
     "n-grams",
     "13-word or 20-character sequences that occur in an evaluation set"},
    {"s4.exact",
     DropWhen::kAbove,
     {0, 0},
     {true, true},
     "earlier records",
     "an earlier record equal after normalising"},
    {"s4.near",
     DropWhen::kAbove,
     {0, 0},
     {true, true},
     "estimated similarity",
     "estimated Jaccard similarity to the cluster's first record"},
};

// Where the units [begin, end) stand in the text.
FoundSpan span_of_units(const Document& doc, uint32_t begin, uint32_t end) {
  FoundSpan span{0, 0, "evaluation n-gram"};
  uint32_t unit = 0;
  for (const Word& w : doc.words) {
    const bool counts = doc.script == Script::kHan ? doc.flags[w.begin] & (kAlpha | kDigit) : !w.symbol;
    if (!counts) continue;
    if (unit == begin) span.begin = w.begin;
    if (++unit == end) {
      span.end = w.begin + w.length;
      break;
    }
  }
  return span;
}

class Duplicates : public Stage {
 public:
  explicit Duplicates(const Resources& resources) : sets_(resources.evaluation_sets) {}
  void judge(Document& doc, Scorecard& j, std::vector<Edit>&) override {
    if (!sets_ || !j.wants(kContaminated)) return;
    const EvaluationSets::Match m = sets_->find(doc, j.profile());
    if (m.n_grams) {
      j.set_note(sets_->item(m.first_item));
      j.add_span(span_of_units(doc, m.begin, m.end));
    }
    j.test(kContaminated, m.n_grams);
  }

 private:
  std::shared_ptr<const EvaluationSets> sets_;
};

}  // namespace

StageRow duplicates_stage() {
  return {"duplicates", kRules,
          [](const Profile&, const Resources& r) -> std::unique_ptr<Stage> {
            return std::make_unique<Duplicates>(r);
          },
          "exact and near duplicates over the whole input; evaluation set n-grams"};
}

}  // namespace ds::filter
