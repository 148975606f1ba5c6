// Stage 4. What one record can be judged by alone is here: overlap with evaluation sets. Exact and near
// duplicates need the whole input; clusters.h finds them and the pipeline reports them under the two rules
// below.
#include "filter/evaluation_sets.h"
#include "filter/stage.h"

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

class Duplicates : public Stage {
 public:
  explicit Duplicates(const Resources& resources) : sets_(resources.evaluation_sets) {}
  void judge(Document& doc, Judgement& j, std::vector<Edit>&) override {
    if (!sets_ || !j.wants(kContaminated)) return;
    const EvaluationSets::Match m = sets_->find(doc, j.profile());
    if (m.n_grams) j.set_note(sets_->item(m.first_item));
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
