#include "filter/report/report.h"

#include <algorithm>
#include <cstdio>

#include "core/json_value.h"
#include "filter/stages/profile.h"
#include "filter/stages/stage.h"

namespace ds::filter {
namespace {

double mb(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

std::string printed(const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

std::string grouped(uint64_t n) {
  std::string s = std::to_string(n);
  for (int i = static_cast<int>(s.size()) - 3; i > 0; i -= 3) s.insert(i, ",");
  return s;
}

std::string bar(double share, int width) {
  static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * width * 8 + 0.5);
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  if (eighths == 0 && share > 0) out = "▏";
  return out;
}

// The words in lines of at most `width` columns, each indented by two; one that is longer (a path) stands
// alone.
std::string wrapped(const std::string& text, int width) {
  std::string out, current = " ";
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (current.size() > 1 && current.size() + 1 + (end - at) > static_cast<size_t>(width)) {
      out += current + "\n";
      current = "   ";
    }
    current += " " + text.substr(at, end - at);
    at = end + 1;
  }
  return out + current + "\n";
}

// "content (3), id (1)", the commonest first.
std::string listed(const std::map<std::string, uint64_t>& counts, size_t most) {
  std::vector<std::pair<std::string, uint64_t>> rows(counts.begin(), counts.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string out;
  for (size_t i = 0; i < std::min(most, rows.size()); ++i)
    out += (i ? ", " : "") + rows[i].first + " (" + grouped(rows[i].second) + ")";
  return rows.size() > most ? out + ", ..." : out;
}

}  // namespace

std::vector<Problem> problems(const Report& r, double max_bad) {
  std::vector<Problem> out;
  const Statistics& s = r.statistics;
  const auto add = [&](ErrorKind kind, const std::string& says) { out.push_back({kind, says}); };
  if (r.interrupted)
    add(ErrorKind::kInterrupted, "interrupted: nothing was written" +
                                     (r.work.empty() ? std::string() : "; --resume goes on from " + r.work));
  else if (!r.conserved)
    add(ErrorKind::kInternal, "read != kept + dropped + quarantined");
  for (const auto& f : r.files)
    if (!f.damage.empty()) add(ErrorKind::kBadData, f.path + ": " + f.damage);
  const bool all_bad = s.read > 0 && s.quarantined == s.read;
  const double share = s.read ? static_cast<double>(s.quarantined) / static_cast<double>(s.read) : 0;
  if (s.read > 0 && s.without_text == s.read)
    add(ErrorKind::kBadData, "no record has its text where --text-field says; members with text: " +
                                 (s.instead_of_text.empty() ? "none" : listed(s.instead_of_text, 8)));
  else if (all_bad)
    add(ErrorKind::kBadData,
        "none of the " + grouped(s.read) + " records can be read: " + listed(s.quarantine_reasons, 4));
  else if (share > max_bad)
    add(ErrorKind::kBadData, printed("%.3g", 100 * share) +
                                 " % of the records are quarantined, more than --max-bad " +
                                 printed("%.3g", max_bad) + " allows: " + listed(s.quarantine_reasons, 4));
  return out;
}

Json report_json(const Report& r) {
  const Statistics& s = r.statistics;
  Json out;
  out["tool"] = "ds-filter";
  out["interrupted"] = r.interrupted;
  Json counts{{"read", static_cast<int64_t>(s.read)},
              {"kept", static_cast<int64_t>(s.kept)},
              {"dropped", static_cast<int64_t>(s.dropped)},
              {"quarantined", static_cast<int64_t>(s.quarantined)},
              {"conserved", r.conserved}};
  out["records"] = std::move(counts);
  Json files = Json::array();
  for (const auto& f : r.files) {
    Json row{{"path", f.path}, {"content_bytes", static_cast<int64_t>(f.content_bytes)}};
    if (!f.damage.empty()) row["damage"] = f.damage;
    files.push_back(std::move(row));
  }
  out["files"] = std::move(files);
  out["counts"] = statistics_json(s);
  Json clusters = Json::array();
  for (const auto& c : r.largest_clusters)
    clusters.push_back(Json{{"size", static_cast<int64_t>(c.size)}, {"kept", c.kept}});
  out["duplicate_clusters"] =
      Json{{"count", static_cast<int64_t>(r.n_clusters)}, {"largest", std::move(clusters)}};
  Json speed{{"seconds", r.seconds},
             {"megabytes_per_second", r.seconds > 0 ? mb(s.text_bytes) / r.seconds : 0},
             {"duplicate_search_seconds", r.dedup_seconds},
             {"writing_seconds", r.write_seconds},
             {"threads", r.threads}};
  Json stages = Json::object();
  for (size_t i = 0; i < s.stages.size(); ++i) {
    const double seconds = static_cast<double>(s.stages[i].nanoseconds) * 1e-9;
    stages[stage_table()[i].name] =
        Json{{"thread_seconds", seconds},
             {"megabytes_per_second", seconds > 0 ? mb(s.stages[i].text_bytes) / seconds : 0}};
  }
  speed["stages"] = std::move(stages);
  out["speed"] = std::move(speed);
  for (const auto& [stage, facts] : r.stage_facts) out[stage] = facts;
  Json notes = Json::array();
  for (const auto& n : r.notes) notes.push_back(Json(n));
  out["notes"] = std::move(notes);
  out["shard"] = std::to_string(r.shard) + "/" + std::to_string(r.n_shards);
  out["config"] = profile_json(r.profile);
  return out;
}

std::string report_text(const Report& r, int width, bool colour) {
  const Statistics& s = r.statistics;
  const auto paint = [&](const char* code, const std::string& text) {
    return colour ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  };
  const double read = static_cast<double>(std::max<uint64_t>(1, s.read));
  std::string out;
  const int bar_width = std::clamp(width - 60, 10, 40);
  const auto line = [&](const std::string& text) { out += wrapped(text, width); };
  const auto row = [&](const std::string& name, uint64_t n, const char* code) {
    char head[128];
    std::snprintf(head, sizeof head, "  %-30s %12s %6.2f %%  ", name.c_str(), grouped(n).c_str(),
                  100.0 * static_cast<double>(n) / read);
    out += head + paint(code, bar(static_cast<double>(n) / read, bar_width)) + "\n";
  };
  line("read " + grouped(s.read) + " records, " + printed("%.1f", mb(s.text_bytes)) + " MB of text in " +
       printed("%.1f", r.seconds) + " s (" +
       printed("%.1f", r.seconds > 0 ? mb(s.text_bytes) / r.seconds : 0) + " MB/s, " +
       std::to_string(r.threads) + (r.threads == 1 ? " thread" : " threads") + ")");
  const bool judged_only = r.step == Report::Step::kJudge;
  row(judged_only ? "go on to the next step" : "kept", s.kept, "32");
  for (size_t i = 0; i < s.stages.size(); ++i)
    if (s.stages[i].records || s.stages[i].dropped)
      row(std::string("dropped by ") + stage_table()[i].name, s.stages[i].dropped, "33");
  row("quarantined", s.quarantined, "31");
  if (s.masked)
    row(judged_only ? "with personal data masked" : "kept with personal data masked", s.masked, "36");
  // The rules that dropped most.
  std::vector<std::pair<uint64_t, size_t>> rules;
  for (size_t i = 0; i < all_rules().size(); ++i) {
    const uint64_t n = s.rules[0][i].dropped + s.rules[1][i].dropped;
    if (n) rules.emplace_back(n, i);
  }
  std::sort(rules.begin(), rules.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (!rules.empty()) out += "top reasons\n";
  for (size_t i = 0; i < std::min<size_t>(8, rules.size()); ++i)
    row(all_rules()[rules[i].second]->id, rules[i].first, "35");
  for (const auto& [reason, n] : s.quarantine_reasons)
    line("quarantined: " + reason + " (" + grouped(n) + ")");
  if (s.without_text && !s.instead_of_text.empty())
    line("members with text in those without: " + listed(s.instead_of_text, 8));
  if (s.languages.size() > 1) {
    std::map<std::string, uint64_t> read_by;
    for (const auto& [code, n] : s.languages) read_by[code] = n[0];
    line("languages: " + listed(read_by, 8));
  }
  if (r.n_clusters)
    line(grouped(r.n_clusters) + " duplicate clusters, the largest of " +
         grouped(r.largest_clusters[0].size) + " records around " + r.largest_clusters[0].kept);
  if (!r.largest_clusters.empty() && static_cast<double>(r.largest_clusters[0].size) > 0.01 * read &&
      s.read >= 1000)
    out += paint("33", "  that cluster is more than 1 % of the input: look at it before you trust it") + "\n";
  // Where the time went, summed over threads.
  double thread_seconds = static_cast<double>(s.parse_nanoseconds) * 1e-9;
  for (const auto& t : s.stages) thread_seconds += static_cast<double>(t.nanoseconds) * 1e-9;
  if (thread_seconds > 0) out += "thread seconds\n";
  const auto time_row = [&](const std::string& name, uint64_t ns, uint64_t bytes) {
    if (ns == 0) return;
    const double seconds = static_cast<double>(ns) * 1e-9;
    char head[128];
    std::snprintf(head, sizeof head, "  %-30s %10.2f s %6.0f MB/s", name.c_str(), seconds,
                  mb(bytes) / seconds);
    out += head + std::string("  ") + paint("34", bar(seconds / thread_seconds, bar_width)) + "\n";
  };
  time_row("JSON and UTF-8", s.parse_nanoseconds, s.text_bytes);
  for (size_t i = 0; i < s.stages.size(); ++i)
    time_row(stage_table()[i].name, s.stages[i].nanoseconds, s.stages[i].text_bytes);
  for (const auto& n : r.notes) line(n);
  if (!r.interrupted && r.conserved)
    out += judged_only ? "check: read = going on + dropped + quarantined holds\n"
                       : "check: read = kept + dropped + quarantined holds\n";
  return out;
}

}  // namespace ds::filter
