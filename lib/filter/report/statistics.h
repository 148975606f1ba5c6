// What a run counted. Sums only, so that parts merge in any order to the same whole.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "filter/stages/rules.h"

namespace ds::filter {

constexpr int kBins = 40;  // over [0, 2 * threshold]; the last bin also takes what is beyond

struct RuleStatistics {
  uint64_t evaluated = 0;
  uint64_t failed = 0;   // beyond the threshold, whether or not another rule dropped the record first
  uint64_t dropped = 0;  // this rule was the reason
  std::array<uint64_t, kBins> histogram{};
};

struct StageStatistics {
  uint64_t records = 0, dropped = 0, nanoseconds = 0, text_bytes = 0;
};

struct Statistics {
  // read = kept + dropped + quarantined; before the duplicate search, kept are its candidates.
  uint64_t read = 0, kept = 0, dropped = 0, quarantined = 0;
  uint64_t blank_lines = 0, masked = 0, transcoded = 0, duplicate_keys = 0, without_text = 0;
  uint64_t input_bytes = 0, text_bytes = 0, characters = 0, kept_bytes = 0;
  uint64_t parse_nanoseconds = 0;
  std::vector<RuleStatistics> rules[kScripts];
  std::vector<StageStatistics> stages;
  std::map<std::string, std::array<uint64_t, 2>> languages;  // read, kept
  std::map<std::string, uint64_t> quarantine_reasons;
  std::map<std::string, uint64_t> personal_data, entity_categories;
  std::map<std::string, uint64_t>
      instead_of_text;  // members that records without a text have; not all where many

  Statistics();
  void add_values(const Profile& profile, Script script, const std::vector<RuleValue>& values);
  // Counts a record whose text is not where it should be, and what could be meant instead.
  void note_without_text(std::string_view line);
  void merge(const Statistics& other);

 private:
  void add_instead(const std::string& name, uint64_t n);
};

// The upper end of a rule's histogram.
double histogram_top(double threshold);

Json statistics_json(const Statistics& s);
Statistics statistics_from_json(const Json& json, const std::string& where);

}  // namespace ds::filter
