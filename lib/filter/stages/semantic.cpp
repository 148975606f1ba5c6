// Stage 5: does the text mean something like the reference texts: highest cosine to any of them.
#include "filter/semantic/embedder.h"
#include "filter/stages/stage.h"

namespace ds::filter {
namespace {

enum Rule { kSimilarity };
const RuleSpec kRules[] = {
    {"s5.similarity",
     DropWhen::kBelow,
     {.7, .7},
     {true, true},
     "calibrated cosine",
     "highest similarity to a reference text (not scored: shorter than min_units, or half of the words "
     "unknown)"},
};

class Semantic : public Stage {
 public:
  Semantic(const Profile& profile, const Resources& resources)
      : profile_(profile), embedder_(resources.embedder), vector_(embedder_ ? embedder_->dim() : 0) {}

  void judge(Document& doc, Scorecard& j, std::vector<Edit>&) override {
    if (!embedder_ || !j.wants(kSimilarity)) return;
    if (static_cast<int>(doc.shingle_units.size()) < profile_.semantic_min_units) return;
    if (embedder_->n_references(doc.script) == 0) return;
    const Embedder::Result r = embedder_->embed(doc, profile_.semantic_max_units, vector_.data());
    if (r.known_share < 0.5) return;
    j.test(kSimilarity, embedder_->score(doc.script, vector_.data()));
  }

 private:
  const Profile& profile_;
  std::shared_ptr<const Embedder> embedder_;
  std::vector<float> vector_;
};

}  // namespace

StageRow semantic_stage() {
  return {"semantic", kRules,
          [](const Profile& p, const Resources& r) -> std::unique_ptr<Stage> {
            return std::make_unique<Semantic>(p, r);
          },
          "similarity of meaning to reference texts"};
}

}  // namespace ds::filter
