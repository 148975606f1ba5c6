#include "filter/report/statistics.h"

#include <algorithm>

#include "core/error.h"
#include "core/json_value.h"
#include "filter/stages/stage.h"
#include "io/record.h"

namespace ds::filter {
namespace {

// One list of the plain counters, used by merging and both directions of JSON.
template <class S, class Visit>
void each_counter(S& s, Visit&& visit) {
  visit("read", s.read);
  visit("kept", s.kept);
  visit("dropped", s.dropped);
  visit("quarantined", s.quarantined);
  visit("blank_lines", s.blank_lines);
  visit("masked", s.masked);
  visit("transcoded", s.transcoded);
  visit("duplicate_keys", s.duplicate_keys);
  visit("without_text", s.without_text);
  visit("input_bytes", s.input_bytes);
  visit("text_bytes", s.text_bytes);
  visit("characters", s.characters);
  visit("kept_bytes", s.kept_bytes);
  visit("parse_nanoseconds", s.parse_nanoseconds);
}

Json number(uint64_t n) { return Json(static_cast<int64_t>(n)); }

Json map_json(const std::map<std::string, uint64_t>& map) {
  Json out = Json::object();
  for (const auto& [key, n] : map) out[key] = number(n);
  return out;
}

}  // namespace

Statistics::Statistics() : stages(stage_table().size()) {
  for (auto& r : rules) r.resize(all_rules().size());
}

double histogram_top(double threshold) { return threshold > 0 ? 2 * threshold : 10; }

void Statistics::add_values(const Profile& profile, Script script, const std::vector<RuleValue>& values) {
  const int k = static_cast<int>(script);
  for (const RuleValue& v : values) {
    RuleStatistics& r = rules[k][v.rule];
    ++r.evaluated;
    r.failed += v.failed;
    const double bin = v.value / histogram_top(profile.rules[v.rule].threshold[k]) * kBins;
    ++r.histogram[bin > 0 ? std::min<int>(kBins - 1, bin < kBins ? static_cast<int>(bin) : kBins - 1) : 0];
  }
}

void Statistics::note_without_text(std::string_view line) {
  ++without_text;
  each_text_member(line, [&](const std::string& name) { add_instead(name, 1); });
}

void Statistics::add_instead(const std::string& name, uint64_t n) {
  constexpr size_t kMostNames = 32;
  if (instead_of_text.size() < kMostNames || instead_of_text.count(name)) instead_of_text[name] += n;
}

void Statistics::merge(const Statistics& o) {
  std::vector<uint64_t> theirs;
  each_counter(o, [&](const char*, const uint64_t& n) { theirs.push_back(n); });
  size_t i = 0;
  each_counter(*this, [&](const char*, uint64_t& n) { n += theirs[i++]; });
  for (int k = 0; k < kScripts; ++k)
    for (size_t r = 0; r < rules[k].size(); ++r) {
      RuleStatistics& a = rules[k][r];
      const RuleStatistics& b = o.rules[k][r];
      a.evaluated += b.evaluated;
      a.failed += b.failed;
      a.dropped += b.dropped;
      for (int h = 0; h < kBins; ++h) a.histogram[h] += b.histogram[h];
    }
  for (size_t s = 0; s < stages.size(); ++s) {
    stages[s].records += o.stages[s].records;
    stages[s].dropped += o.stages[s].dropped;
    stages[s].nanoseconds += o.stages[s].nanoseconds;
    stages[s].text_bytes += o.stages[s].text_bytes;
  }
  for (const auto& [code, n] : o.languages) {
    languages[code][0] += n[0];
    languages[code][1] += n[1];
  }
  for (const auto& [reason, n] : o.quarantine_reasons) quarantine_reasons[reason] += n;
  for (const auto& [name, n] : o.instead_of_text) add_instead(name, n);
  for (const auto& [kind, n] : o.personal_data) personal_data[kind] += n;
  for (const auto& [category, n] : o.entity_categories) entity_categories[category] += n;
}

Json statistics_json(const Statistics& s) {
  Json out = Json::object();
  each_counter(s, [&](const char* name, const uint64_t& n) { out[name] = number(n); });
  Json stages = Json::object(), rules = Json::object(), languages = Json::object();
  for (size_t i = 0; i < s.stages.size(); ++i) {
    const StageStatistics& t = s.stages[i];
    stages[stage_table()[i].name] = Json{{"records", number(t.records)},
                                         {"dropped", number(t.dropped)},
                                         {"nanoseconds", number(t.nanoseconds)},
                                         {"text_bytes", number(t.text_bytes)}};
  }
  for (size_t r = 0; r < all_rules().size(); ++r) {
    Json row = Json::object();
    for (int k = 0; k < kScripts; ++k) {
      const RuleStatistics& t = s.rules[k][r];
      if (t.evaluated == 0 && t.dropped == 0) continue;
      Json::array_t bins;
      for (const uint64_t n : t.histogram) bins.push_back(number(n));
      row[script_name(static_cast<Script>(k))] = Json{{"evaluated", number(t.evaluated)},
                                                      {"dropped", number(t.dropped)},
                                                      {"would_drop", number(t.failed)},
                                                      {"histogram", std::move(bins)}};
    }
    if (!row.empty()) rules[all_rules()[r]->id] = std::move(row);
  }
  for (const auto& [code, n] : s.languages)
    languages[code] = Json{{"read", number(n[0])}, {"kept", number(n[1])}};
  out["stages"] = std::move(stages);
  out["rules"] = std::move(rules);
  out["languages"] = std::move(languages);
  out["quarantine_reasons"] = map_json(s.quarantine_reasons);
  out["instead_of_text"] = map_json(s.instead_of_text);
  out["personal_data"] = map_json(s.personal_data);
  out["entity_categories"] = map_json(s.entity_categories);
  return out;
}

Statistics statistics_from_json(const Json& json, const std::string& where) {
  Statistics s;
  const auto bad = [&](const std::string& what) { return Error(ErrorKind::kBadData, what, where); };
  const auto count = [&](const Json& object, const char* key) -> uint64_t {
    const Json* v = find(object, key);
    if (!v || !is_int(*v) || as_int(*v) < 0) throw bad(std::string(key) + " is no count");
    return static_cast<uint64_t>(as_int(*v));
  };
  const auto member = [&](const char* key) -> const Json::object_t& {
    const Json* v = find(json, key);
    if (!v || !v->is_object()) throw bad(std::string(key) + " is missing");
    return v->get_ref<const Json::object_t&>();
  };
  if (!json.is_object()) throw bad("no statistics");
  each_counter(s, [&](const char* name, uint64_t& n) { n = count(json, name); });
  for (const auto& [name, v] : member("stages")) {
    const int i = stage_index(name);
    if (i < 0 || !v.is_object()) throw bad("unknown stage " + name);
    s.stages[i] = {count(v, "records"), count(v, "dropped"), count(v, "nanoseconds"), count(v, "text_bytes")};
  }
  for (const auto& [id, v] : member("rules")) {
    const int r = rule_index(id);
    if (r < 0 || !v.is_object()) throw bad("unknown rule " + id);
    for (int k = 0; k < kScripts; ++k) {
      const Json* row = find(v, script_name(static_cast<Script>(k)));
      if (!row) continue;
      RuleStatistics& t = s.rules[k][r];
      t.evaluated = count(*row, "evaluated");
      t.dropped = count(*row, "dropped");
      t.failed = count(*row, "would_drop");
      const Json* bins = find(*row, "histogram");
      if (!bins || !bins->is_array() || bins->size() != kBins) throw bad("bad histogram of " + id);
      for (int h = 0; h < kBins; ++h) {
        const Json& n = (*bins)[h];
        if (!is_int(n)) throw bad("bad histogram of " + id);
        t.histogram[h] = static_cast<uint64_t>(as_int(n));
      }
    }
  }
  for (const auto& [code, v] : member("languages")) s.languages[code] = {count(v, "read"), count(v, "kept")};
  const auto map = [&](const char* key, std::map<std::string, uint64_t>& out) {
    for (const auto& [name, v] : member(key)) {
      if (!is_int(v)) throw bad(name + " is no count");
      out[name] = static_cast<uint64_t>(as_int(v));
    }
  };
  map("quarantine_reasons", s.quarantine_reasons);
  map("instead_of_text", s.instead_of_text);
  map("personal_data", s.personal_data);
  map("entity_categories", s.entity_categories);
  return s;
}

}  // namespace ds::filter
