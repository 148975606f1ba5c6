#include <algorithm>

#include "filter/embedded.h"
#include "filter/passes/pipeline.h"
#include "filter/semantic/embedder.h"
#include "filter/stages/evaluation_sets.h"
#include "filter/stages/lexicon.h"
#include "filter/stages/urls.h"
#include "io/lines.h"

namespace ds::filter {
namespace {

bool has_stage(const Profile& profile, const char* name) {
  for (const auto& s : profile.stages)
    if (s == name) return true;
  return false;
}

}  // namespace

Resources load_resources(const Profile& profile, const ResourceOptions& options, const RecordFields& fields) {
  Resources r;
  if (has_stage(profile, "entities")) {
    auto lexicon = std::make_shared<Lexicon>();
    lexicon->add(embedded_file("entities-en.tsv"), "entities-en.tsv");
    lexicon->add(embedded_file("entities-zh.tsv"), "entities-zh.tsv");
    for (const auto& path : options.gazetteers) lexicon->add(read_file(path, 1 << 28), path);
    const auto known = lexicon->categories();
    for (const auto& [category, on] : profile.categories) {
      if (std::find(known.begin(), known.end(), category) == known.end())
        throw Error(ErrorKind::kBadModel, "no lexicon has a category '" + category + "'",
                    "profile.categories",
                    "ds-filter --show-config lists the shipped ones; --gazetteer adds others");
      lexicon->enable(category, on);
    }
    lexicon->finish();
    r.lexicon = lexicon;
  }
  if (has_stage(profile, "semantic")) {
    const auto embedder = Embedder::load(options.embedder);
    if (!options.references.empty()) {
      std::vector<std::string> texts;
      LineReader lines(options.references);
      const bool jsonl = options.references.find(".json") != std::string::npos;
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
      embedder->set_references(texts, profile.semantic_max_units, options.references);
    }
    // A cut made for another embedder or other references is a number without meaning.
    if (!profile.semantic_digest.empty()) {
      if (profile.semantic_digest != embedder->digest())
        throw Error(ErrorKind::kBadModel,
                    "the profile was calibrated for embedder " + profile.semantic_digest + ", this is " +
                        embedder->digest(),
                    embedder->name(), "run ds-filter calibrate with this embedder and these references");
      for (int k = 0; k < kScripts; ++k)
        if (profile.semantic_cut[k] > 0) embedder->set_cut(static_cast<Script>(k), profile.semantic_cut[k]);
    }
    r.embedder = embedder;
  }
  if (has_stage(profile, "integrity") && !options.url_list.empty())
    r.blocked_urls = std::make_shared<UrlList>(options.url_list);
  if (has_stage(profile, "duplicates") && !options.decontaminate.empty()) {
    auto sets = std::make_shared<EvaluationSets>();
    for (const auto& path : options.decontaminate) sets->add(path, profile);
    r.evaluation_sets = sets;
  }
  return r;
}

}  // namespace ds::filter
