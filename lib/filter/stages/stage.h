// A stage looks at one record and reports values of its rules. Adding one: a file in stages/ and a row in
// stages.cpp.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "filter/stages/rules.h"
#include "filter/text/document.h"

namespace ds::filter {

class Lexicon;
class Embedder;
class EvaluationSets;
class UrlList;
struct Signature;

// What stages share, read-only after loading.
struct Resources {
  std::shared_ptr<const Lexicon> lexicon;
  std::shared_ptr<const Embedder> embedder;
  std::shared_ptr<const EvaluationSets> evaluation_sets;  // null: nothing to decontaminate against
  std::shared_ptr<const UrlList> blocked_urls;            // null: no list
};

// A replacement in the text, in code points.
struct Edit {
  uint32_t begin, end;
  std::string replacement;
};

class Stage {
 public:
  virtual ~Stage() = default;
  // Not thread-safe: each thread has its own.
  virtual void judge(Document& doc, Scorecard& scorecard, std::vector<Edit>& edits) = 0;
};

struct StageRow {
  const char* name;
  std::span<const RuleSpec> rules;
  std::unique_ptr<Stage> (*make)(const Profile& profile, const Resources& resources);
  const char* says;
};
std::span<const StageRow> stage_table();
int stage_index(std::string_view name);  // -1 when unknown

StageRow integrity_stage();
StageRow quality_stage();
StageRow entities_stage();
StageRow duplicates_stage();
StageRow semantic_stage();

}  // namespace ds::filter
