// Stage 3: terms of unwanted categories, by lexicon, and personal data, masked or dropped.
#include <algorithm>

#include "filter/embedded.h"
#include "filter/stages/lexicon.h"
#include "filter/stages/personal_data.h"
#include "filter/stages/stage.h"
#include "io/files.h"

namespace ds::filter {
namespace {

enum Rule { kHard, kSoftDensity, kPersonalDropped, kPersonalCount };
const RuleSpec kRules[] = {
    {"s3.hard_terms",
     DropWhen::kAbove,
     {0, 0},
     {true, true},
     "occurrences",
     "hard terms that no context acquits"},
    {"s3.soft_density",
     DropWhen::kAbove,
     {4, 4},
     {true, true},
     "per 1000 words | characters",
     "soft terms, when two or more different ones occur"},
    {"s3.personal_data",
     DropWhen::kAbove,
     {0, 0},
     {true, true},
     "occurrences",
     "personal data of a kind set to drop"},
    {"s3.personal_data_count",
     DropWhen::kAbove,
     {20, 20},
     {true, true},
     "occurrences",
     "personal data of any kind: a text with many is a list of people"},
};

class Entities : public Stage {
 public:
  Entities(const EntitySettings& settings, std::shared_ptr<const Lexicon> lexicon)
      : settings_(settings), lexicon_(std::move(lexicon)) {}

  void judge(Document& doc, Scorecard& j, std::vector<Edit>& edits) override {
    if (terms(doc, j)) return;
    find_personal_data(doc, personal_);
    uint32_t n_drop = 0, n_all = 0;
    for (const PersonalHit& hit : personal_) {
      const int action = settings_.personal_data[static_cast<int>(hit.kind)];
      if (action == kOff) continue;
      ++n_all;
      n_drop += action == kDrop;
      j.add_span({hit.begin, hit.end, personal_kind_name(hit.kind), SpanKind::kPersonal});
      if (action == kMask) edits.push_back({hit.begin, hit.end, personal_mask(hit.kind)});
    }
    if (j.test(kPersonalDropped, n_drop)) return;
    j.test(kPersonalCount, n_all);
  }

 private:
  bool terms(const Document& doc, Scorecard& j) {
    const auto& hits = lexicon_->find(doc, work_);
    uint32_t n_hard = 0, n_soft = 0;
    soft_terms_.clear();
    for (const Lexicon::Hit& hit : hits) {
      j.add_span({hit.begin, hit.end, lexicon_->category(hit.term) + ":" + lexicon_->term(hit.term),
                  SpanKind::kTerm});
      if (hit.hard) {
        ++n_hard;
      } else {
        ++n_soft;
        soft_terms_.push_back(hit.term);
      }
    }
    if (j.test(kHard, n_hard)) return true;
    std::sort(soft_terms_.begin(), soft_terms_.end());
    soft_terms_.erase(std::unique(soft_terms_.begin(), soft_terms_.end()), soft_terms_.end());
    const double units = std::max<double>(1, static_cast<double>(doc.words.size()));
    return j.test(kSoftDensity, soft_terms_.size() >= 2 ? 1000.0 * n_soft / units : 0);
  }

  const EntitySettings& settings_;
  std::shared_ptr<const Lexicon> lexicon_;
  Lexicon::Work work_;
  std::vector<PersonalHit> personal_;
  std::vector<int> soft_terms_;
};

LoadedStage load(const Profile& profile, const ResourceOptions& options) {
  const auto lexicon = std::make_shared<Lexicon>();
  for (const char* shipped : {"entities-en.tsv", "entities-zh.tsv"})
    lexicon->add(embedded_file(shipped), shipped);
  for (const auto& path : options.gazetteers) lexicon->add(read_file(path, 1 << 28), path);
  const auto known = lexicon->categories();
  for (const auto& [category, on] : profile.entities.categories) {
    if (std::find(known.begin(), known.end(), category) == known.end())
      throw Error(ErrorKind::kBadModel, "no lexicon has a category '" + category + "'", "profile.categories",
                  "ds-filter --show-config lists the shipped ones; --gazetteer adds others");
    lexicon->enable(category, on);
  }
  lexicon->finish();
  return {[&profile, lexicon] { return std::make_unique<Entities>(profile.entities, lexicon); }, {}, {}};
}

}  // namespace

void EntitySettings::visit(SettingVisitor& v) {
  constexpr const char* kActions[] = {"off", "mask", "drop"};
  v.section("personal_data", [&] {
    for (int k = 0; k < kPersonalKinds; ++k)
      v.choice(personal_kind_name(static_cast<PersonalKind>(k)), personal_data[k], kActions);
  });
  v.flags("categories", categories);
}

StageRow entities_stage() {
  return {"entities", kRules, load, [](Profile& p, SettingVisitor& v) { p.entities.visit(v); }};
}

}  // namespace ds::filter
