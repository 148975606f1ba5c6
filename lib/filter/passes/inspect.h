// Looking at records without writing any: one record in full, quantiles of all rules, the semantic cut.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "core/json.h"
#include "filter/passes/options.h"

namespace ds::filter {

struct RecordView {
  bool found = false;
  std::string file, error;  // error: the line is no record
  uint64_t line = 0;
  std::string script, language;
  double language_score = 0;
  std::vector<RuleValue> values;
  std::vector<std::string> spans;  // "what  text" of each
  int verdict = -1;
  std::string note;
};
// The first record with this id, or the one at "FILE:LINE", scored by every rule.
RecordView explain(const Profile& profile, const FilterOptions& options, const std::string& id);

struct RuleQuantiles {
  int rule;
  Script script;
  uint64_t n = 0;
  double failed_share = 0;
  std::array<double, 7> at{};  // 1 5 25 50 75 95 99 %
};
// Over at most `sample` records, evenly spread over the input.
std::vector<RuleQuantiles> tune(const Profile& profile, const FilterOptions& options, uint64_t sample);

struct Calibration {
  std::string digest;
  struct Side {
    uint64_t n_in = 0, n_out = 0, unscored = 0;
    std::array<uint64_t, 40> in{}, out{};  // histogram of cosines over [0, 1]
    double cut = 0, kept_out = 0;          // cosine; share of the other sample that would be kept
    double auc = 0;  // how often an in-domain text is closer than another one: .5 is chance, 1 always
  } scripts[kScripts];
};
// The cut loses `loss` of the in-domain records.
Calibration calibrate(const Profile& profile, const FilterOptions& options,
                      const std::vector<std::string>& in_domain, const std::string& out_of_domain,
                      double loss);

// For people; lines of at most `width` columns, but for what is quoted of the record.
std::string explain_text(const Profile& profile, const RecordView& view, const std::string& id, int width);
std::string tune_text(const Profile& profile, const std::vector<RuleQuantiles>& quantiles, int width);
std::string calibration_text(const Calibration& calibration);
// For --profile.
Json calibration_profile(const Calibration& calibration);

}  // namespace ds::filter
