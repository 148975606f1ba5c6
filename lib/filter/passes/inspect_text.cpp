#include <algorithm>
#include <cstdio>

#include "core/json_value.h"
#include "filter/passes/inspect.h"

namespace ds::filter {
namespace {

template <class... Args>
std::string line(const char* format, Args... args) {
  char text[512];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

}  // namespace

std::string explain_text(const Profile& profile, const RecordView& v, const std::string& id) {
  if (!v.found) return "no record " + id + "\n";
  std::string out = v.file + ":" + std::to_string(v.line) + "\n";
  if (!v.error.empty()) return out + "quarantined: " + v.error + "\n";
  out += line("thresholds of script %s; language %s (%.2f)\n\n", v.script.c_str(), v.language.c_str(),
              v.language_score);
  out += line("  %-30s %12s   %-14s %s\n", "rule", "value", "dropped when", "what it measures");
  const int k = v.script == "zh" ? 1 : 0;
  for (const RuleValue& r : v.values) {
    const RuleSpec& spec = *all_rules()[r.rule];
    out += line("%s %-30s %12.6g   %s %-12.6g %s (%s)\n", r.failed ? "x" : " ", spec.id, r.value,
                spec.drop_when == DropWhen::kBelow ? "<" : ">", profile.rules[r.rule].threshold[k], spec.says,
                spec.unit);
  }
  for (const auto& s : v.spans) out += "  found: " + s + "\n";
  if (!v.note.empty()) out += "  matched: " + v.note + "\n";
  if (v.verdict >= 0) return out + "\ndropped by " + all_rules()[v.verdict]->id + "\n";
  return out + "\nkept by all rules that look at one record; duplicates need the whole input\n";
}

std::string tune_text(const Profile& profile, const std::vector<RuleQuantiles>& quantiles) {
  std::string out = line("%-30s %-4s %9s %10s %8s  %9s %9s %9s %9s %9s %9s %9s\n", "rule", "", "records",
                         "threshold", "fail %", "1 %", "5 %", "25 %", "50 %", "75 %", "95 %", "99 %");
  for (const RuleQuantiles& q : quantiles) {
    const RuleSpec& spec = *all_rules()[q.rule];
    const int k = static_cast<int>(q.script);
    out += line("%-30s %-4s %9llu %s%9.4g %8.2f ", spec.id, script_name(q.script),
                static_cast<unsigned long long>(q.n), spec.drop_when == DropWhen::kBelow ? "<" : ">",
                profile.rules[q.rule].threshold[k], 100 * q.failed_share);
    for (const double v : q.at) out += line(" %9.4g", v);
    out += "\n";
  }
  return out;
}

std::string calibration_text(const Calibration& c) {
  std::string out = "embedder " + c.digest + "\n";
  for (int k = 0; k < kScripts; ++k) {
    const auto& s = c.scripts[k];
    if (s.n_in + s.n_out == 0) continue;
    out += line("\n%s: %llu in-domain, %llu other texts, %llu not scored\n",
                script_name(static_cast<Script>(k)), static_cast<unsigned long long>(s.n_in),
                static_cast<unsigned long long>(s.n_out), static_cast<unsigned long long>(s.unscored));
    uint64_t most = 1;
    for (int i = 0; i < 40; ++i)
      most = std::max({most, s.in[i] * 1000 / std::max<uint64_t>(1, s.n_in),
                       s.out[i] * 1000 / std::max<uint64_t>(1, s.n_out)});
    out += "  cosine   in-domain                        other\n";
    for (int i = 0; i < 40; ++i) {
      if (s.in[i] + s.out[i] == 0) continue;
      const auto bar = [&](uint64_t n, uint64_t total) {
        const int width = static_cast<int>(30 * (n * 1000 / std::max<uint64_t>(1, total)) / most);
        std::string b;
        for (int j = 0; j < width; ++j) b += "█";
        if (n && width == 0) b = "▏";
        std::string pad(static_cast<size_t>(32 - std::max(width, n && width == 0 ? 1 : width)), ' ');
        return b + pad;
      };
      out += line("  %.3f%s  ", i / 40.0, s.cut >= i / 40.0 && s.cut < (i + 1) / 40.0 ? "<" : " ") +
             bar(s.in[i], s.n_in) + " " + bar(s.out[i], s.n_out) + "\n";
    }
    if (s.n_in) out += line("  cut at cosine %.4f\n", s.cut);
    if (s.n_in && s.n_out) out += line("  it keeps %.1f %% of the other texts\n", 100 * s.kept_out);
    // Below this the two histograms lie over each other: any cut throws away as many of one as of the other.
    constexpr double kSeparates = 0.7;
    if (s.n_in && s.n_out && s.auc < kSeparates)
      out += line(
          "  this cut separates %s: an in-domain text is closer to the references than another one in %.0f "
          "%% of\n"
          "  pairs, by chance it would be 50; other --references or another --embedder may do better\n",
          s.auc < 0.55 ? "nothing" : "little", 100 * s.auc);
  }
  return out;
}

Json calibration_profile(const Calibration& c) {
  Json cut = Json::object();
  for (int k = 0; k < kScripts; ++k)
    if (c.scripts[k].n_in && c.scripts[k].cut > 0)
      cut[script_name(static_cast<Script>(k))] = c.scripts[k].cut;
  Json out;
  out["profile"] = "calibrated";
  out["semantic"] = Json{{"cut", std::move(cut)}, {"embedder_digest", c.digest}};
  return out;
}

}  // namespace ds::filter
