// Stage 4. What one record can be judged by alone is here: overlap with evaluation sets. Exact and near
// duplicates need the whole input; clusters.h finds them and the pipeline reports them under the two rules
// below.
#include <algorithm>

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
  FoundSpan span{0, 0, "evaluation n-gram", SpanKind::kOther};
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
  Duplicates(const DuplicateSettings& settings, std::shared_ptr<const EvaluationSets> sets)
      : settings_(settings), sets_(std::move(sets)) {}
  void judge(Document& doc, Scorecard& j, std::vector<Edit>&) override {
    if (!sets_ || !j.wants(kContaminated)) return;
    const EvaluationSets::Match m = sets_->find(doc, settings_.contamination_ngram);
    if (m.n_grams) {
      j.set_note(sets_->item(m.first_item));
      j.add_span(span_of_units(doc, m.begin, m.end));
    }
    j.test(kContaminated, m.n_grams);
  }

 private:
  const DuplicateSettings& settings_;
  std::shared_ptr<const EvaluationSets> sets_;
};

constexpr char kName[] = "duplicates";

LoadedStage load(const Profile& profile, const ResourceOptions& options) {
  LoadedStage loaded;
  std::shared_ptr<EvaluationSets> sets;
  if (!options.decontaminate.empty()) sets = std::make_shared<EvaluationSets>();
  for (const auto& path : options.decontaminate) {
    const size_t before = sets->n_items() + sets->n_too_short();
    sets->add(path, profile.duplicates.contamination_ngram);
    if (sets->n_items() + sets->n_too_short() == before)
      loaded.notes.push_back(path + " has no text: nothing is looked for");
  }
  if (sets && sets->n_too_short())
    loaded.notes.push_back(std::to_string(sets->n_too_short()) +
                           " evaluation texts are too short to be looked for");
  loaded.make = [&profile, sets] { return std::make_unique<Duplicates>(profile.duplicates, sets); };
  return loaded;
}

}  // namespace

void DuplicateSettings::visit(SettingVisitor& v) {
  v.section(kName, [&] {
    v.per_script("shingle", shingle, 1, 1000);
    v.number("min_similarity", min_similarity, 0, 1);
    v.per_script("contamination_ngram", contamination_ngram, 1, 1000);
  });
}

DuplicateSearch duplicate_search(const Profile& profile) {
  DuplicateSearch s;
  s.on = std::find(profile.stages.begin(), profile.stages.end(), kName) != profile.stages.end();
  s.stage = stage_index(kName);
  const int first = rule_index(kRules[0].id);
  s.exact_rule = first + kExact;
  s.near_rule = first + kNear;
  s.exact = profile.rules[s.exact_rule].on[0];
  s.near = profile.rules[s.near_rule].on[0];
  return s;
}

StageRow duplicates_stage() {
  return {kName, kRules, load, [](Profile& p, SettingVisitor& v) { p.duplicates.visit(v); }};
}

}  // namespace ds::filter
