#include "filter/stages/rules.h"

#include <algorithm>

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

}  // namespace

std::span<const RuleSpec* const> all_rules() { return rule_table().rules; }
int stage_of_rule(int rule) { return rule_table().stage[rule]; }
int rule_index(std::string_view id) {
  const auto rules = all_rules();
  for (size_t i = 0; i < rules.size(); ++i)
    if (id == rules[i]->id) return static_cast<int>(i);
  return -1;
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
