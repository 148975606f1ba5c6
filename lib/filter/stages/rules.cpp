#include "filter/stages/rules.h"

#include <algorithm>

#include "core/error.h"
#include "filter/stages/stage.h"

namespace ds::filter {
namespace {

struct RuleTable {
  std::vector<const RuleSpec*> rules;
  std::vector<int> stage;
  RuleTable() {
    const auto stages = stage_table();
    for (size_t s = 0; s < stages.size(); ++s)
      for (const RuleSpec& rule : stages[s].rules) {
        rules.push_back(&rule);
        stage.push_back(static_cast<int>(s));
      }
  }
};

const RuleTable& rule_table() {
  static const RuleTable table;
  return table;
}

constexpr const char* kActionNames[] = {"off", "mask", "drop"};

// Reading JSON members with messages that name the place.
class ProfileReader {
 public:
  explicit ProfileReader(std::string where) : where_(std::move(where)) {}
  [[noreturn]] void fail(const std::string& what, const std::string& hint = "") const {
    throw Error(ErrorKind::kBadModel, what, where_,
                hint.empty() ? "ds-filter --show-config prints a complete profile" : hint);
  }
  double number(const Json& v, const std::string& key) const {
    if (!v.is_number()) fail(key + " must be a number");
    return v.as_double();
  }
  int integer(const Json& v, const std::string& key, int least, int most) const {
    if (!v.is_int() || v.as_int() < least || v.as_int() > most)
      fail(key + " must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
    return static_cast<int>(v.as_int());
  }
  bool boolean(const Json& v, const std::string& key) const {
    if (!v.is_bool()) fail(key + " must be true or false");
    return v.as_bool();
  }
  const std::string& text(const Json& v, const std::string& key) const {
    if (!v.is_string()) fail(key + " must be a string");
    return v.as_string();
  }
  const Json::Object& object(const Json& v, const std::string& key) const {
    if (!v.is_object()) fail(key + " must be an object");
    return v.as_object();
  }
  std::vector<std::string> texts(const Json& v, const std::string& key) const {
    if (!v.is_array()) fail(key + " must be a list of strings");
    std::vector<std::string> out;
    for (const Json& item : v.as_array()) out.push_back(text(item, key));
    return out;
  }
  void per_script(const Json& v, const std::string& key, int (&out)[kScripts]) const {
    for (const auto& [script, n] : object(v, key)) out[column(script, key)] = integer(n, key, 1, 1000);
  }
  int column(const std::string& script, const std::string& key) const {
    if (script == "en") return 0;
    if (script == "zh") return 1;
    fail(key + ": unknown script '" + script + "', expected en or zh");
  }

 private:
  std::string where_;
};

void apply_rule(RuleSetting& setting, const Json& json, const std::string& id, const ProfileReader& read) {
  // Short forms: false switches the rule off, a number is the threshold for both scripts.
  if (json.is_bool()) {
    setting.on[0] = setting.on[1] = json.as_bool();
    return;
  }
  if (json.is_number()) {
    setting.threshold[0] = setting.threshold[1] = json.as_double();
    setting.on[0] = setting.on[1] = true;
    return;
  }
  for (const auto& [script, value] : read.object(json, id)) {
    const int column = read.column(script, id);
    if (value.is_bool()) {
      setting.on[column] = value.as_bool();
    } else {
      setting.threshold[column] = read.number(value, id + "." + script);
      setting.on[column] = true;
    }
  }
}

}  // namespace

const char* action_name(PersonalDataAction action) { return kActionNames[static_cast<int>(action)]; }

std::span<const RuleSpec* const> all_rules() { return rule_table().rules; }
int stage_of_rule(int rule) { return rule_table().stage[rule]; }
int rule_index(std::string_view id) {
  const auto rules = all_rules();
  for (size_t i = 0; i < rules.size(); ++i)
    if (id == rules[i]->id) return static_cast<int>(i);
  return -1;
}

Profile default_profile() {
  Profile p;
  for (const StageRow& row : stage_table()) p.stages.push_back(row.name);
  for (const RuleSpec* rule : all_rules()) {
    RuleSetting& s = p.rules.emplace_back();
    for (int k = 0; k < kScripts; ++k) {
      s.on[k] = rule->on[k];
      s.threshold[k] = rule->threshold[k];
    }
  }
  for (const char* kind : {"email", "phone", "ip", "id_card", "bank_card", "secret"})
    p.personal_data[kind] = PersonalDataAction::kMask;
  for (const char* category : {"pornography", "violence", "gambling", "drugs", "fraud", "weapons"})
    p.categories[category] = true;
  return p;
}

void apply_profile(Profile& p, const Json& json, const std::string& where) {
  const ProfileReader read(where);
  for (const auto& [key, v] : read.object(json, "the profile")) {
    if (key == "profile") {
      p.name = read.text(v, key);
    } else if (key == "stages") {
      p.stages = read.texts(v, key);
      for (const auto& name : p.stages)
        if (stage_index(name) < 0) read.fail("unknown stage '" + name + "'");
    } else if (key == "languages") {
      p.languages = read.texts(v, key);
    } else if (key == "rules") {
      for (const auto& [id, setting] : read.object(v, key)) {
        const int rule = rule_index(id);
        if (rule < 0) read.fail("unknown rule '" + id + "'");
        apply_rule(p.rules[rule], setting, id, read);
      }
    } else if (key == "order") {
      p.order.clear();
      for (const auto& id : read.texts(v, key)) {
        if (rule_index(id) < 0) read.fail("order: unknown rule '" + id + "'");
        p.order.push_back(rule_index(id));
      }
    } else if (key == "repetition") {
      for (const auto& [k, value] : read.object(v, key)) {
        if (k == "formula") {
          p.repetition_formula = read.text(value, k);
          if (p.repetition_formula != "datatrove" && p.repetition_formula != "covered")
            read.fail("repetition.formula must be datatrove or covered");
        } else if (k == "count_guard") {
          p.count_guard = read.boolean(value, k);
        } else {
          read.fail("unknown key 'repetition." + k + "'");
        }
      }
    } else if (key == "c4") {
      for (const auto& [k, value] : read.object(v, key)) {
        if (k == "terminal_punctuation")
          p.c4_terminal_punctuation = read.boolean(value, k);
        else if (k == "min_words_per_line")
          p.c4_min_words_per_line = read.integer(value, k, 0, 1000);
        else if (k == "max_word_length")
          p.c4_max_word_length = read.integer(value, k, 1, 1 << 30);
        else
          read.fail("unknown key 'c4." + k + "'");
      }
    } else if (key == "personal_data") {
      for (const auto& [kind, value] : read.object(v, key)) {
        if (!p.personal_data.count(kind)) read.fail("unknown kind of personal data '" + kind + "'");
        const std::string& name = read.text(value, kind);
        const auto* found = std::find(std::begin(kActionNames), std::end(kActionNames), name);
        if (found == std::end(kActionNames)) read.fail(kind + " must be off, mask or drop");
        p.personal_data[kind] = static_cast<PersonalDataAction>(found - std::begin(kActionNames));
      }
    } else if (key == "categories") {
      for (const auto& [category, value] : read.object(v, key))
        p.categories[category] = read.boolean(value, category);
    } else if (key == "duplicates") {
      for (const auto& [k, value] : read.object(v, key)) {
        if (k == "shingle")
          read.per_script(value, k, p.shingle);
        else if (k == "min_similarity")
          p.min_similarity = read.number(value, k);
        else if (k == "contamination_ngram")
          read.per_script(value, k, p.contamination_ngram);
        else
          read.fail("unknown key 'duplicates." + k + "'");
      }
    } else if (key == "semantic") {
      for (const auto& [k, value] : read.object(v, key)) {
        if (k == "max_units")
          p.semantic_max_units = read.integer(value, k, 16, 1 << 24);
        else if (k == "min_units")
          p.semantic_min_units = read.integer(value, k, 1, 1 << 24);
        else if (k == "embedder_digest")
          p.semantic_digest = read.text(value, k);
        else if (k == "cut")
          for (const auto& [script, cut] : read.object(value, k)) {
            const double c = read.number(cut, "semantic.cut." + script);
            if (!(c >= 0 && c < 1)) read.fail("semantic.cut." + script + " must be from 0 to below 1");
            p.semantic_cut[read.column(script, k)] = c;
          }
        else
          read.fail("unknown key 'semantic." + k + "'");
      }
    } else {
      read.fail("unknown key '" + key + "'");
    }
  }
}

Json profile_json(const Profile& p) {
  const auto pair = [](const int(&v)[kScripts]) {
    return Json(Json::Object{{"en", Json(v[0])}, {"zh", Json(v[1])}});
  };
  Json out;
  out.set("profile", Json(p.name));
  Json::Array stages, languages;
  for (const auto& s : p.stages) stages.emplace_back(s);
  for (const auto& l : p.languages) languages.emplace_back(l);
  out.set("stages", Json(std::move(stages)));
  out.set("languages", Json(std::move(languages)));
  Json rules(Json::Object{});
  for (size_t i = 0; i < p.rules.size(); ++i) {
    Json row(Json::Object{});
    for (int k = 0; k < kScripts; ++k)
      row.set(script_name(static_cast<Script>(k)),
              p.rules[i].on[k] ? Json(p.rules[i].threshold[k]) : Json(false));
    rules.set(all_rules()[i]->id, std::move(row));
  }
  out.set("rules", std::move(rules));
  Json::Array order;
  for (const int rule : p.order) order.emplace_back(all_rules()[rule]->id);
  out.set("order", Json(std::move(order)));
  out.set("repetition",
          Json(Json::Object{{"formula", Json(p.repetition_formula)}, {"count_guard", Json(p.count_guard)}}));
  out.set("c4", Json(Json::Object{{"terminal_punctuation", Json(p.c4_terminal_punctuation)},
                                  {"min_words_per_line", Json(p.c4_min_words_per_line)},
                                  {"max_word_length", Json(p.c4_max_word_length)}}));
  Json kinds(Json::Object{}), categories(Json::Object{});
  for (const auto& [kind, action] : p.personal_data) kinds.set(kind, Json(action_name(action)));
  for (const auto& [category, on] : p.categories) categories.set(category, Json(on));
  out.set("personal_data", std::move(kinds));
  out.set("categories", std::move(categories));
  out.set("duplicates", Json(Json::Object{{"shingle", pair(p.shingle)},
                                          {"min_similarity", Json(p.min_similarity)},
                                          {"contamination_ngram", pair(p.contamination_ngram)}}));
  out.set("semantic",
          Json(Json::Object{
              {"max_units", Json(p.semantic_max_units)},
              {"min_units", Json(p.semantic_min_units)},
              {"min_units", Json(p.semantic_min_units)},
              {"cut", Json(Json::Object{{"en", Json(p.semantic_cut[0])}, {"zh", Json(p.semantic_cut[1])}})},
              {"embedder_digest", Json(p.semantic_digest)}}));
  return out;
}

void Scorecard::restart(Script script, int first_rule) {
  script_ = script;
  base_ = first_rule;
  verdict_ = -1;
  verdict_value_ = 0;
  values_.clear();
  spans_.clear();
  note_.clear();
}

bool Scorecard::wants(int rule_in_stage) const {
  return profile_->rules[base_ + rule_in_stage].on[static_cast<int>(script_)];
}
double Scorecard::threshold(int rule_in_stage) const {
  return profile_->rules[base_ + rule_in_stage].threshold[static_cast<int>(script_)];
}

bool Scorecard::test(int rule_in_stage, double value) {
  const int rule = base_ + rule_in_stage;
  const RuleSetting& setting = profile_->rules[rule];
  if (!setting.on[static_cast<int>(script_)]) return false;
  const double threshold = setting.threshold[static_cast<int>(script_)];
  // A value that is no number fails neither comparison: nothing is dropped for 0/0.
  const bool failed =
      all_rules()[rule]->drop_when == DropWhen::kBelow ? value < threshold : value > threshold;
  values_.push_back({rule, value, failed});
  if (!failed) return false;
  const bool same_stage = verdict_ >= base_ && stage_of_rule(verdict_) == stage_of_rule(rule);
  if (verdict_ < 0 || (same_stage && rank(rule) < rank(verdict_))) {
    verdict_ = rule;
    verdict_value_ = value;
  }
  return !score_all();
}

int Scorecard::rank(int rule) const {
  const auto& order = profile_->order;
  const auto at = std::find(order.begin(), order.end(), rule);
  return at != order.end() ? static_cast<int>(at - order.begin()) : static_cast<int>(order.size()) + rule;
}

}  // namespace ds::filter
