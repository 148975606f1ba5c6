// Stage 5: does the text mean something like the reference texts: highest cosine to any of them.
#include "filter/stages/semantic.h"

#include "core/json_value.h"
#include "io/lines.h"

namespace ds::filter {
namespace {

// Cosines are cut below one: a text may always resemble more.
constexpr double kMaxCut = 0.9999;

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
  Semantic(const SemanticSettings& settings, std::shared_ptr<const Embedder> embedder)
      : settings_(settings), embedder_(std::move(embedder)), vector_(embedder_->dim()) {}

  void judge(Document& doc, Scorecard& j, std::vector<Edit>&) override {
    if (!j.wants(kSimilarity)) return;
    if (static_cast<int>(doc.shingle_units.size()) < settings_.min_units) return;
    if (embedder_->n_references(doc.script) == 0) return;
    const Embedder::Result r = embedder_->embed(doc, settings_.max_units, vector_.data());
    if (r.known_share < 0.5) return;
    j.test(kSimilarity, embedder_->score(doc.script, vector_.data()));
  }

 private:
  const SemanticSettings& settings_;
  std::shared_ptr<const Embedder> embedder_;
  std::vector<float> vector_;
};

// A file's texts: records where its name says JSON, else lines.
std::vector<std::string> reference_texts(const std::string& path, const RecordFields& fields) {
  std::vector<std::string> texts;
  LineReader lines(path);
  const bool jsonl = path.find(".json") != std::string::npos;
  FieldReader reader(fields);
  FieldRecord record;
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    if (!jsonl) {
      texts.emplace_back(*line);
      continue;
    }
    std::string padded(*line);
    padded.resize(line->size() + kRecordPadding);
    reader.parse(std::string_view(padded).substr(0, line->size()), record);
    if (!record.ok || !record.has_text)
      throw Error(ErrorKind::kBadData, record.ok ? "no field '" + fields.text_field + "'" : record.error,
                  lines.where());
    texts.emplace_back(record.text);
  }
  return texts;
}

LoadedStage load(const Profile& profile, const ResourceOptions& options) {
  const auto embedder = load_embedder(profile.semantic, options);
  LoadedStage loaded;
  loaded.facts = Json{{"embedder", embedder->name()},
                      {"digest", embedder->digest()},
                      {"references", embedder->reference_name()}};
  loaded.make = [&profile, embedder] { return std::make_unique<Semantic>(profile.semantic, embedder); };
  return loaded;
}

}  // namespace

std::shared_ptr<const Embedder> load_embedder(const SemanticSettings& settings,
                                              const ResourceOptions& options) {
  const auto embedder = Embedder::load(options.embedder);
  if (!options.references.empty())
    embedder->set_references(reference_texts(options.references, options.fields), settings.max_units,
                             options.references);
  // A cut made for another embedder or other references is a number without meaning.
  if (settings.embedder_digest.empty()) return embedder;
  if (settings.embedder_digest != embedder->digest())
    throw Error(ErrorKind::kBadModel,
                "the profile was calibrated for embedder " + settings.embedder_digest + ", this is " +
                    embedder->digest(),
                embedder->name(), "run ds-filter calibrate with this embedder and these references");
  for (int k = 0; k < kScripts; ++k)
    if (settings.cut[k] > 0) embedder->set_cut(static_cast<Script>(k), settings.cut[k]);
  return embedder;
}

void SemanticSettings::visit(SettingVisitor& v) {
  v.section("semantic", [&] {
    v.integer("max_units", max_units, 16, 1 << 24);
    v.integer("min_units", min_units, 1, 1 << 24);
    v.per_script("cut", cut, 0, kMaxCut);
    v.text("embedder_digest", embedder_digest);
  });
}

StageRow semantic_stage() {
  return {"semantic", kRules, load, [](Profile& p, SettingVisitor& v) { p.semantic.visit(v); }};
}

}  // namespace ds::filter
