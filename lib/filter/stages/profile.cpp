#include "filter/stages/profile.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json_value.h"
#include "filter/stages/stage.h"
#include "io/files.h"
#include "io/json.h"

namespace ds::filter {
namespace {

// Takes what an object holds; names the place of what is wrong.
class ProfileReader : public SettingVisitor {
 public:
  ProfileReader(const Json& json, std::string where) : where_(std::move(where)) { open(json, "the profile"); }

  void flag(const char* key, bool& value) override {
    if (const Json* v = take(key)) value = boolean(*v, key);
  }
  void integer(const char* key, int& value, int least, int most) override {
    const Json* v = take(key);
    if (!v) return;
    if (!is_int(*v) || as_int(*v) < least || as_int(*v) > most)
      fail(name(key) + " must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
    value = static_cast<int>(as_int(*v));
  }
  void number(const char* key, double& value, double least, double most) override {
    const Json* v = take(key);
    if (!v) return;
    if (!v->is_number() || !(v->get<double>() >= least && v->get<double>() <= most)) {
      std::string range;
      append_json_number(range, least);
      range += " to ";
      append_json_number(range, most);
      fail(name(key) + " must be a number from " + range);
    }
    value = v->get<double>();
  }
  void text(const char* key, std::string& value) override {
    if (const Json* v = take(key)) value = string(*v, key);
  }
  void texts(const char* key, std::vector<std::string>& value) override {
    const Json* v = take(key);
    if (!v) return;
    if (!v->is_array()) fail(name(key) + " must be a list of strings");
    value.clear();
    for (const Json& item : *v) value.push_back(string(item, key));
  }
  void choice(const char* key, int& value, std::span<const char* const> names) override {
    const Json* v = take(key);
    if (!v) return;
    const auto found = std::find(names.begin(), names.end(), string(*v, key));
    if (found == names.end()) {
      std::string list;
      for (size_t i = 0; i < names.size(); ++i)
        list += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + std::string(names[i]);
      fail(name(key) + " must be " + list);
    }
    value = static_cast<int>(found - names.begin());
  }
  void flags(const char* key, std::map<std::string, bool>& value) override {
    const Json* v = take(key);
    if (!v) return;
    for (const auto& [switched, on] : object(*v, key)) value[switched] = boolean(on, switched);
  }
  void section(const char* key, const std::function<void()>& members) override {
    const Json* v = take(key);
    if (!v) return;
    open(*v, key);
    members();
    close();
  }
  // {"rule id": threshold, false, or {"en": ..., "zh": ...}}
  void rules(const char* key, std::vector<RuleSetting>& settings) {
    const Json* v = take(key);
    if (!v) return;
    for (const auto& [id, setting] : object(*v, key)) apply_rule(settings[rule(id)], setting, id);
  }
  int rule(const std::string& id) const {
    const int rule = rule_index(id);
    if (rule < 0) fail("unknown rule '" + id + "'");
    return rule;
  }
  void close() {
    for (const auto& [key, value] : object(*open_.back().json, open_.back().name))
      if (!open_.back().taken.count(key)) fail("unknown key '" + name(key) + "'");
    open_.pop_back();
  }
  void refuse(const std::string& what) override { fail(what); }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kBadModel, what, where_, "ds-filter --show-config prints a complete profile");
  }

 private:
  struct Open {
    const Json* json;
    std::string name;
    std::set<std::string> taken;
  };
  void open(const Json& json, const std::string& key) {
    object(json, key);
    open_.push_back({&json, key, {}});
  }
  const Json* take(const char* key) {
    open_.back().taken.insert(key);
    return find(*open_.back().json, key);
  }
  std::string name(const std::string& key) const {
    return open_.size() > 1 ? open_.back().name + "." + key : key;
  }
  bool boolean(const Json& v, const std::string& key) const {
    if (!v.is_boolean()) fail(name(key) + " must be true or false");
    return v.get<bool>();
  }
  const std::string& string(const Json& v, const std::string& key) const {
    if (!v.is_string()) fail(name(key) + " must be a string");
    return as_string(v);
  }
  const Json::object_t& object(const Json& v, const std::string& key) const {
    if (!v.is_object()) fail(key + " must be an object");
    return v.get_ref<const Json::object_t&>();
  }
  // Short forms: false switches the rule off, a number is the threshold for both scripts.
  void apply_rule(RuleSetting& setting, const Json& json, const std::string& id) const {
    const auto set = [&](int script, const Json& v) {
      if (!v.is_boolean() && !v.is_number()) fail(id + " must be true, false or a threshold");
      setting.on[script] = v.is_boolean() ? v.get<bool>() : true;
      if (v.is_number()) setting.threshold[script] = v.get<double>();
    };
    if (!json.is_object()) return set(0, json), set(1, json);
    for (const auto& [script, value] : json.items()) {
      if (script != "en" && script != "zh") fail(id + ": unknown script '" + script + "', expected en or zh");
      set(script == "zh", value);
    }
  }

  std::string where_;
  std::vector<Open> open_;
};

class ProfileWriter : public SettingVisitor {
 public:
  void flag(const char* key, bool& value) override { put(key, Json(value)); }
  void integer(const char* key, int& value, int, int) override { put(key, Json(value)); }
  void number(const char* key, double& value, double, double) override { put(key, Json(value)); }
  void text(const char* key, std::string& value) override { put(key, Json(value)); }
  void texts(const char* key, std::vector<std::string>& value) override {
    Json::array_t out;
    for (const auto& text : value) out.emplace_back(text);
    put(key, Json(std::move(out)));
  }
  void choice(const char* key, int& value, std::span<const char* const> names) override {
    put(key, Json(names[value]));
  }
  void flags(const char* key, std::map<std::string, bool>& value) override {
    Json out = Json::object();
    for (const auto& [name, on] : value) out[name] = on;
    put(key, std::move(out));
  }
  void section(const char* key, const std::function<void()>& members) override {
    open_.emplace_back(Json::object());
    members();
    Json done = std::move(open_.back());
    open_.pop_back();
    put(key, std::move(done));
  }
  void refuse(const std::string&) override {}  // what is written was read
  void put(const char* key, Json value) { open_.back()[key] = std::move(value); }
  Json take() { return std::move(open_.back()); }

 private:
  std::vector<Json> open_ = std::vector<Json>(1, Json::object());
};

}  // namespace

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
  return p;
}

void apply_profile(Profile& p, const Json& json, const std::string& where) {
  ProfileReader read(json, where);
  read.text("profile", p.name);
  read.texts("stages", p.stages);
  for (const auto& name : p.stages)
    if (stage_index(name) < 0) read.fail("unknown stage '" + name + "'");
  read.rules("rules", p.rules);
  std::vector<std::string> order;
  for (const int rule : p.order) order.emplace_back(all_rules()[rule]->id);
  read.texts("order", order);
  p.order.clear();
  for (const auto& id : order) p.order.push_back(read.rule(id));
  for (const StageRow& row : stage_table()) row.visit_settings(p, read);
  read.close();
}

void choose_stages(Profile& profile, const std::string& list) {
  Json::array_t names;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    const std::string name = list.substr(at, comma - at);
    if (stage_index(name) < 0) {
      std::string known;
      for (const StageRow& row : stage_table()) known += (known.empty() ? "" : ",") + std::string(row.name);
      throw Error(ErrorKind::kUsage, "no stage is called '" + name + "'", "--stages", "there are " + known);
    }
    names.emplace_back(name);
    at = comma + 1;
  }
  apply_profile(profile, Json{{"stages", std::move(names)}}, "--stages");
}

Profile read_profile(const std::string& path, const std::string& stages) {
  Profile profile = default_profile();
  if (!path.empty())
    apply_profile(profile, parse_json(read_file(path, 1 << 26), path, ErrorKind::kBadModel), path);
  if (!stages.empty()) choose_stages(profile, stages);
  return profile;
}

Json profile_json(const Profile& given) {
  Profile p = given;  // a visitor may change what it visits
  ProfileWriter write;
  write.text("profile", p.name);
  write.texts("stages", p.stages);
  Json rules = Json::object();
  for (size_t i = 0; i < p.rules.size(); ++i) {
    Json row = Json::object();
    for (int k = 0; k < kScripts; ++k)
      row[script_name(static_cast<Script>(k))] =
          p.rules[i].on[k] ? Json(p.rules[i].threshold[k]) : Json(false);
    rules[all_rules()[i]->id] = std::move(row);
  }
  write.put("rules", std::move(rules));
  std::vector<std::string> order;
  for (const int rule : p.order) order.emplace_back(all_rules()[rule]->id);
  write.texts("order", order);
  for (const StageRow& row : stage_table()) row.visit_settings(p, write);
  return write.take();
}

}  // namespace ds::filter
