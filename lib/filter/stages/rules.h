// Rules as data: what each one measures, when it drops, and the profile that switches and tunes them.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filter/stages/settings.h"
#include "filter/text/document.h"

namespace ds::filter {

enum class DropWhen : uint8_t { kBelow, kAbove };  // strictly: a value equal to the threshold is kept

// One row per rule, in the file of its stage. The two columns are English (words) and Chinese (characters).
struct RuleSpec {
  const char* id;
  DropWhen drop_when;
  double threshold[kScripts];
  bool on[kScripts];
  const char* unit;
  const char* says;  // one line for people: what the value is
};

struct RuleSetting {
  bool on[kScripts] = {true, true};
  double threshold[kScripts] = {0, 0};
};

struct Profile {
  std::string name = "default";
  std::vector<std::string> stages;  // in order
  std::vector<RuleSetting> rules;   // parallel to all_rules()
  std::vector<int> order;           // rules that name the reason before the others of their stage, by index
  IntegritySettings integrity;
  QualitySettings quality;
  EntitySettings entities;
  DuplicateSettings duplicates;
  SemanticSettings semantic;
};

// All rules of all stages in table order; the index is the rule's number everywhere.
std::span<const RuleSpec* const> all_rules();
int rule_index(std::string_view id);  // -1 when unknown
int stage_of_rule(int rule);          // index into stage_table()

enum class SpanKind : uint8_t { kTerm, kPersonal, kOther };
struct FoundSpan {
  uint32_t begin = 0, end = 0;  // code points
  std::string what;             // category or kind, then the term's form in the lexicon
  SpanKind kind;
};

struct RuleValue {
  int rule;
  double value;
  bool failed;
};

// Judging one record: stages report values, the first that fails is the verdict.
class Scorecard {
 public:
  Scorecard(const Profile& profile, bool score_all) : profile_(&profile), score_all_(score_all) {}
  void restart(Script script, int first_rule);
  void enter_stage(int first_rule) { base_ = first_rule; }
  void set_script(Script script) { script_ = script; }

  // Reports the value of the current stage's rule. True: the record is dropped and nothing more need be
  // measured.
  bool test(int rule_in_stage, double value);
  bool wants(int rule_in_stage) const;  // whether that rule is on for this script
  double threshold(int rule_in_stage) const;
  void add_span(FoundSpan span) { spans_.push_back(std::move(span)); }
  void set_note(std::string note) { note_ = std::move(note); }

  bool dropped() const { return verdict_ >= 0; }
  int verdict() const { return verdict_; }  // rule index or -1
  double verdict_value() const { return verdict_value_; }
  Script script() const { return script_; }
  // Whether a stage goes on measuring after a rule has failed: all is to be scored, or rules were put in an
  // order of their own and a later one may be the reason.
  bool score_all() const { return score_all_ || !profile_->order.empty(); }
  const Profile& profile() const { return *profile_; }
  const std::vector<RuleValue>& values() const { return values_; }
  const std::vector<FoundSpan>& spans() const { return spans_; }
  const std::string& note() const { return note_; }

 private:
  int rank(int rule) const;  // the lowest failed rank of a stage is the reason

  const Profile* profile_;
  bool score_all_;
  Script script_ = Script::kSpaced;
  int base_ = 0;
  int verdict_ = -1;
  double verdict_value_ = 0;
  std::vector<RuleValue> values_;
  std::vector<FoundSpan> spans_;
  std::string note_;
};

}  // namespace ds::filter
