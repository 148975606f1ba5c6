// A stage looks at one record and reports values of its rules. Adding one: a file in stages/, a row in
// stage.cpp, and what it can be told in settings.h.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/json_value.h"
#include "filter/stages/rules.h"
#include "filter/text/document.h"
#include "io/record.h"

namespace ds::filter {

// Files that stages read.
struct ResourceOptions {
  std::vector<std::string> gazetteers;  // TSV files over the shipped lexicon
  std::string embedder;                 // "": the shipped one
  std::string references;               // JSONL or text lines: "" keeps the embedder's own
  std::string url_list;
  std::vector<std::string> decontaminate;
  RecordFields fields;  // of the references, where they are JSONL
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

// A stage with what it has loaded, which its threads share.
struct LoadedStage {
  std::function<std::unique_ptr<Stage>()> make;  // one for each thread
  std::vector<std::string> notes;                // for people
  Json facts;                                    // what the report says of the resources; null: nothing
};

struct StageRow {
  const char* name;
  std::span<const RuleSpec> rules;
  // Throws Error. The profile must outlive what is loaded.
  LoadedStage (*load)(const Profile& profile, const ResourceOptions& options);
  void (*visit_settings)(Profile& profile, SettingVisitor& v);
};
std::span<const StageRow> stage_table();
// The profile's, in its order.
std::vector<LoadedStage> load_stages(const Profile& profile, const ResourceOptions& options);
int stage_index(std::string_view name);  // -1 when unknown

// What the duplicate search of the whole input goes by; `on` is false where the profile has no such stage.
struct DuplicateSearch {
  bool on = false, exact = false, near = false;
  int stage = 0, exact_rule = 0, near_rule = 0;
};
DuplicateSearch duplicate_search(const Profile& profile);

StageRow integrity_stage();
StageRow quality_stage();
StageRow entities_stage();
StageRow duplicates_stage();
StageRow semantic_stage();

}  // namespace ds::filter
