// The report as a page: where the records went, which rules did it and how sharp their thresholds cut, how
// fast it was.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/json_value.h"
#include "filter/report/report.h"
#include "filter/stages/profile.h"
#include "filter/stages/stage.h"
#include "report/html.h"

namespace ds::filter {
namespace {

constexpr const char* kColours[] = {"#5b8ff9", "#f6903d", "#e8684a", "#9270ca", "#269a99"};  // one per stage
constexpr const char* kKept = "#3fa66b";
constexpr const char* kBad = "#8c8c8c";

constexpr const char* kStyle = R"(
:root{--bg:#fbfaf8;--ink:#22252a;--soft:#6b7078;--line:#e4e1db;--card:#fff}
@media(prefers-color-scheme:dark){:root{--bg:#17191c;--ink:#e7e6e3;--soft:#9aa0a8;--line:#2c3036;--card:#1f2226}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans","Noto Sans CJK SC",sans-serif}
main{max-width:1080px;margin:0 auto;padding:36px 24px 60px}h1{font-size:26px;margin:0 0 2px;letter-spacing:-.01em}h2{font-size:17px;margin:38px 0 10px}
p.sub{color:var(--soft);margin:0 0 22px}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}.tile b{display:block;font-size:24px;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.tile span{color:var(--soft);font-size:13px}.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:500;text-align:left;padding:4px 10px 6px 0;border-bottom:1px solid var(--line)}
td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:middle}td.n,th.n{text-align:right}tr:last-child td{border-bottom:0}code{font-size:12.5px}
.says{color:var(--soft);font-size:12.5px}.legend{display:flex;flex-wrap:wrap;gap:6px 18px;margin-top:10px;font-size:13px}.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
.ok{color:#3fa66b}.bad{color:#d64545}details summary{cursor:pointer;color:var(--soft)}pre{white-space:pre-wrap;font-size:12px}svg{display:block}svg text{fill:var(--soft);font-size:11px}
)";

std::string grouped(uint64_t n) {
  std::string s = std::to_string(n);
  for (int i = static_cast<int>(s.size()) - 3; i > 0; i -= 3) s.insert(i, ",");
  return s;
}

std::string number(const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

std::string percent(uint64_t n, uint64_t of) {
  return number("%.2f %%", of ? 100.0 * static_cast<double>(n) / static_cast<double>(of) : 0);
}

std::string tile(const std::string& value, const std::string& label) {
  return "<div class=tile><b>" + value + "</b><span>" + label + "</span></div>";
}

struct BarPart {
  std::string name;
  uint64_t n;
  const char* colour;
};

// One bar of all records, cut by their fate.
std::string fate_bar(const std::vector<BarPart>& parts, uint64_t total) {
  std::string
      svg = "<svg viewBox='0 0 1000 46' width='100%' height='46' preserveAspectRatio='none' role='img'>",
      legend = "<div class=legend>";
  double x = 0;
  for (const BarPart& p : parts) {
    if (p.n == 0) continue;
    const double w = 1000.0 * static_cast<double>(p.n) / static_cast<double>(std::max<uint64_t>(1, total));
    svg += "<rect x='" + number("%.2f", x) + "' y='0' width='" + number("%.2f", std::max(w - 1.5, 0.8)) +
           "' height='46' rx='3' fill='" + p.colour + "'><title>" + p.name + ": " + grouped(p.n) +
           "</title></rect>";
    legend += std::string("<span><i style='background:") + p.colour + "'></i>" + p.name + " <b>" +
              grouped(p.n) + "</b> (" + percent(p.n, total) + ")</span>";
    x += w;
  }
  return svg + "</svg>" + legend + "</div>";
}

// Where an axis of values in this unit can end at last; infinite for what has no bound.
double largest_value(std::string_view unit) {
  const bool share = unit.starts_with("share") || unit == "probability" || unit.ends_with("cosine");
  return share ? 1 : HUGE_VAL;
}

// A rule's values; the threshold is the line in the middle, unless a share ends at 1 before twice the
// threshold; the dropping side is coloured. Heights are square roots: a tail of one record in a thousand must
// be seen.
std::string histogram(const RuleStatistics& r, const RuleSpec& spec, double threshold, const char* colour) {
  constexpr int kWidth = 220, kHeight = 44;
  uint64_t most = 1;
  for (const uint64_t n : r.histogram) most = std::max(most, n);
  const double top = histogram_top(threshold), line = threshold > 0 ? 0.5 : 0.5 / kBins;
  const double end = std::min(top, largest_value(spec.unit)), bin = kWidth * top / end / kBins;
  std::string svg =
      "<svg width='" + std::to_string(kWidth) + "' height='" + std::to_string(kHeight + 14) + "'>";
  for (int i = 0; i < kBins; ++i) {
    if (!r.histogram[i]) continue;
    const double h =
        std::max(1.5, kHeight * std::sqrt(static_cast<double>(r.histogram[i]) / static_cast<double>(most)));
    const bool drops = spec.drop_when == DropWhen::kBelow
                           ? (i + 0.5) / kBins < line
                           : (threshold > 0 ? (i + 0.5) / kBins > line : i > 0);
    svg += "<rect x='" + number("%.1f", i * bin) + "' y='" + number("%.1f", kHeight - h) + "' width='" +
           number("%.1f", std::min(bin, kWidth - i * bin) - 0.8) + "' height='" + number("%.1f", h) +
           "' fill='" + (drops ? colour : "#b9c0c9") + "'><title>" + number("%.4g", top * i / kBins) +
           " to " +
           (i + 1 == kBins ? std::string("any") : number("%.4g", std::min(end, top * (i + 1) / kBins))) +
           ": " + grouped(r.histogram[i]) + "</title></rect>";
  }
  const double x = line * bin * kBins;
  svg += "<line x1='" + number("%.1f", x) + "' x2='" + number("%.1f", x) + "' y1='0' y2='" +
         std::to_string(kHeight) + "' stroke='currentColor' stroke-dasharray='2 2'/><text x='0' y='" +
         std::to_string(kHeight + 12) + "'>0</text>" +
         (threshold > 0 ? "<text text-anchor='middle' x='" + number("%.1f", x) + "' y='" +
                              std::to_string(kHeight + 12) + "'>" + number("%.4g", threshold) + "</text>"
                        : std::string()) +
         "<text text-anchor='end' x='" + std::to_string(kWidth) + "' y='" + std::to_string(kHeight + 12) +
         "'>" + number("%.4g", end) + (end < top ? "" : "+") + "</text></svg>";
  return svg;
}

std::string rules_section(const Report& r) {
  struct Row {
    size_t rule;
    int script;
    uint64_t dropped, failed;
  };
  std::vector<Row> rows;
  for (size_t i = 0; i < all_rules().size(); ++i)
    for (int k = 0; k < kScripts; ++k) {
      const RuleStatistics& s = r.statistics.rules[k][i];
      if (s.failed || s.dropped) rows.push_back({i, k, s.dropped, s.failed});
    }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.dropped != b.dropped ? a.dropped > b.dropped : a.failed > b.failed;
  });
  std::string out =
      "<h2>Rules that dropped something</h2><div class=card><table><tr><th>rule<th>script<th "
      "class=n>dropped<th class=n>would drop<th class=n>evaluated<th>values around the threshold "
      "(dashed)</tr>";
  for (const Row& row : rows) {
    const RuleSpec& spec = *all_rules()[row.rule];
    const RuleStatistics& s = r.statistics.rules[row.script][row.rule];
    const int stage = stage_of_rule(static_cast<int>(row.rule));
    const bool duplicates = std::string(spec.id) == "s4.exact" || std::string(spec.id) == "s4.near";
    out += std::string("<tr><td><code style='color:") + kColours[stage % 5] + "'>" + spec.id +
           "</code><div class=says>" + escape_html(spec.says) + "; " + escape_html(spec.unit) + "</div><td>" +
           (duplicates ? "all" : script_name(static_cast<Script>(row.script))) + "<td class=n>" +
           grouped(row.dropped) + "<td class=n>" + (duplicates ? "" : grouped(row.failed)) + "<td class=n>" +
           (duplicates ? "" : grouped(s.evaluated)) + "<td>" +
           (duplicates
                ? ""
                : histogram(s, spec, r.profile.rules[row.rule].threshold[row.script], kColours[stage % 5])) +
           "</tr>";
  }
  return out + "</table></div>";
}

std::string speed_section(const Report& r) {
  const Statistics& s = r.statistics;
  double total = static_cast<double>(s.parse_nanoseconds);
  for (const auto& t : s.stages) total += static_cast<double>(t.nanoseconds);
  std::string out =
      "<h2>Time</h2><div class=card><table><tr><th>step<th class=n>thread seconds<th class=n>MB/s a "
      "thread<th>share</tr>";
  const auto row = [&](const std::string& name, uint64_t ns, uint64_t bytes, const char* colour) {
    const double seconds = static_cast<double>(ns) * 1e-9,
                 share = total > 0 ? static_cast<double>(ns) / total : 0;
    out += "<tr><td>" + name + "<td class=n>" + number("%.2f", seconds) + "<td class=n>" +
           (seconds > 0 ? number("%.0f", static_cast<double>(bytes) / 1e6 / seconds) : "") +
           "<td style='width:45%'><svg width='100%' height='12'><rect width='" + number("%.1f", 100 * share) +
           "%' height='12' rx='2' fill='" + colour + "'/></svg></tr>";
  };
  row("JSON and UTF-8", s.parse_nanoseconds, s.text_bytes, "#b9c0c9");
  for (size_t i = 0; i < s.stages.size(); ++i)
    if (s.stages[i].nanoseconds)
      row(stage_table()[i].name, s.stages[i].nanoseconds, s.stages[i].text_bytes, kColours[i % 5]);
  return out + "</table></div>";
}

}  // namespace

std::string report_html(const Report& r, const std::string& command_line) {
  const Statistics& s = r.statistics;
  std::string out =
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
      "content='width=device-width,initial-scale=1'><title>ds-filter report</title><style>";
  const std::string kept = r.step == Report::Step::kJudge ? "go on to the next step" : "kept";
  out += kStyle;
  out += "</style><main><h1>ds-filter</h1>" + page_origin(command_line) + "<p class=sub>" +
         grouped(r.files.size()) + (r.files.size() == 1 ? " file" : " files") + ", profile " +
         escape_html(r.profile.name) + ", " + std::to_string(r.threads) +
         (r.threads == 1 ? " thread" : " threads") + (r.interrupted ? ", <b class=bad>interrupted</b>" : "") +
         "</p><div class=tiles>";
  out += tile(grouped(s.read), "records read") +
         tile(grouped(s.kept), kept + ", " + percent(s.kept, s.read)) + tile(grouped(s.dropped), "dropped") +
         tile(grouped(s.quarantined), "quarantined") +
         tile(number("%.1f MB", static_cast<double>(s.text_bytes) / 1e6),
              "of text, " + grouped(s.characters) + " characters") +
         tile(number("%.1f s", r.seconds),
              number("%.1f MB/s", r.seconds > 0 ? static_cast<double>(s.text_bytes) / 1e6 / r.seconds : 0));
  out += "</div><div class=card>";
  std::vector<BarPart> parts = {{kept, s.kept, kKept}};
  for (size_t i = 0; i < s.stages.size(); ++i)
    parts.push_back({stage_table()[i].name, s.stages[i].dropped, kColours[i % 5]});
  parts.push_back({"quarantined", s.quarantined, kBad});
  out += fate_bar(parts, s.read);
  out += std::string("<p class='") + (r.conserved ? "ok'>checked: " : "bad'>NOT HELD: ") + "read " +
         grouped(s.read) + " = kept " + grouped(s.kept) + " + dropped " + grouped(s.dropped) +
         " + quarantined " + grouped(s.quarantined) + "</p></div>";
  out += rules_section(r);
  const auto table = [&](const char* title, const std::map<std::string, uint64_t>& map, const char* what) {
    if (map.empty()) return;
    out += std::string("<h2>") + title + "</h2><div class=card><table><tr><th>" + what +
           "<th class=n>count</tr>";
    for (const auto& [key, n] : map)
      out += "<tr><td>" + escape_html(key) + "<td class=n>" + grouped(n) + "</tr>";
    out += "</table></div>";
  };
  if (!s.languages.empty()) {
    out +=
        "<h2>Languages</h2><div class=card><table><tr><th>language<th class=n>read<th class=n>passed the "
        "record-local stages<th></tr>";
    for (const auto& [code, n] : s.languages)
      out += "<tr><td>" + escape_html(code) + "<td class=n>" + grouped(n[0]) + "<td class=n>" +
             grouped(n[1]) + "<td style='width:45%'><svg width='100%' height='12'><rect width='" +
             number("%.2f", s.read ? 100.0 * static_cast<double>(n[0]) / static_cast<double>(s.read) : 0) +
             "%' height='12' rx='2' fill='#d5d9de'/><rect width='" +
             number("%.2f", s.read ? 100.0 * static_cast<double>(n[1]) / static_cast<double>(s.read) : 0) +
             "%' height='12' rx='2' fill='" + kKept + "'/></svg></tr>";
    out += "</table></div>";
  }
  if (!r.largest_clusters.empty()) {
    out +=
        "<h2>Largest of " + grouped(r.n_clusters) +
        " duplicate clusters</h2><div class=card><table><tr><th class=n>records<th>the one that stayed</tr>";
    for (const auto& c : r.largest_clusters)
      out += "<tr><td class=n>" + grouped(c.size) + "<td><code>" + escape_html(c.kept) + "</code></tr>";
    out += "</table></div>";
  }
  table("Personal data found", s.personal_data, "kind");
  table("Entities found", s.entity_categories, "category");
  table("Why lines were quarantined", s.quarantine_reasons, "reason");
  out += speed_section(r);
  out += "<h2>Input</h2><div class=card><table><tr><th>file<th class=n>MB of content<th></tr>";
  for (const auto& f : r.files)
    out += "<tr><td><code>" + escape_html(f.path) + "</code><td class=n>" +
           number("%.1f", static_cast<double>(f.content_bytes) / 1e6) + "<td class=bad>" +
           escape_html(f.damage) + "</tr>";
  out += "</table></div>";
  for (const auto& [stage, facts] : r.stage_facts) {
    out += "<p class=says>Stage " + escape_html(stage) + ":";
    for (const auto& [name, value] : facts.items())
      out += " " + escape_html(name) + " " + escape_html(value.is_string() ? as_string(value) : dump(value));
    out += "</p>";
  }
  for (const auto& n : r.notes) out += "<p class=says>" + escape_html(n) + "</p>";
  out += "<h2>Configuration</h2><details><summary>effective profile</summary><pre>" +
         escape_html(dump(profile_json(r.profile))) + "</pre></details></main></html>\n";
  return out;
}

}  // namespace ds::filter
