#include <algorithm>
#include <cstdio>

#include "core/json_value.h"
#include "filter/passes/inspect.h"
#include "report/words.h"

namespace ds::filter {
namespace {

template <class... Args>
std::string line(const char* format, Args... args) {
  char text[512];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

// Cells in as many lines as the width asks for, all but the first indented; the same breaks for all rows
// whose cells have the same widths.
std::string laid_out(const std::vector<std::string>& cells, int width) {
  constexpr size_t kIndent = 4;
  std::string out, current;
  const auto flush = [&] {
    current.erase(current.find_last_not_of(' ') + 1);
    out += current + "\n";
  };
  for (const std::string& cell : cells) {
    if (!current.empty() && current.size() + cell.size() > static_cast<size_t>(width)) {
      flush();
      current.assign(kIndent, ' ');
    }
    current += cell;
  }
  flush();
  return out;
}

}  // namespace

std::string explain_text(const Profile& profile, const RecordView& v, const std::string& id, int width) {
  if (!v.found) return "no record " + id + "\n";
  std::string out = v.file + ":" + std::to_string(v.line) + "\n";
  if (!v.error.empty()) return out + fold("quarantined: " + v.error, width, 2);
  out += line("thresholds of script %s; language %s (%.2f)\n\n", v.script.c_str(), v.language.c_str(),
              v.language_score);
  // What a rule measures stands behind it where there is room for all of that, else below.
  const auto row = [&](const std::string& head, const std::string& says) {
    if (head.size() + 1 + says.size() <= static_cast<size_t>(width)) {
      out += head + " " + says + "\n";
      return;
    }
    out += laid_out({head.substr(0, 32), head.substr(32)}, width) + fold("      " + says, width, 6);
  };
  row(line("  %-30s %12s   %-14s", "rule", "value", "dropped when"), "what it measures");
  const int k = v.script == "zh" ? 1 : 0;
  for (const RuleValue& r : v.values) {
    const RuleSpec& spec = *all_rules()[r.rule];
    row(line("%s %-30s %12.6g   %s %-12.6g", r.failed ? "x" : " ", spec.id, r.value,
             spec.drop_when == DropWhen::kBelow ? "<" : ">", profile.rules[r.rule].threshold[k]),
        std::string(spec.says) + " (" + spec.unit + ")");
  }
  for (const auto& s : v.spans) out += "  found: " + s + "\n";
  if (!v.note.empty()) out += "  matched: " + v.note + "\n";
  if (v.verdict >= 0) return out + "\ndropped by " + all_rules()[v.verdict]->id + "\n";
  return out + "\n" +
         fold("kept by all rules that look at one record; duplicates need the whole input", width, 2);
}

std::string tune_text(const Profile& profile, const std::vector<RuleQuantiles>& quantiles, int width) {
  std::vector<std::string> head = {line("%-30s", "rule"), line(" %-4s %9s", "", "records"),
                                   line(" %10s %8s", "threshold", "fail %")};
  for (const char* at : {"1 %", "5 %", "25 %", "50 %", "75 %", "95 %", "99 %"})
    head.push_back(line(" %9s", at));
  std::string out = laid_out(head, width);
  for (const RuleQuantiles& q : quantiles) {
    const RuleSpec& spec = *all_rules()[q.rule];
    const int k = static_cast<int>(q.script);
    std::vector<std::string> row = {
        line("%-30s", spec.id),
        line(" %-4s %9llu", script_name(q.script), static_cast<unsigned long long>(q.n)),
        line(" %s%9.4g %8.2f", spec.drop_when == DropWhen::kBelow ? "<" : ">",
             profile.rules[q.rule].threshold[k], 100 * q.failed_share)};
    for (const double v : q.at) row.push_back(line(" %9.4g", v));
    out += laid_out(row, width);
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
