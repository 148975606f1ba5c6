#include "bench/render/html_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/compare/judge.h"
#include "bench/eval/tally.h"
#include "bench/records/embedded.h"
#include "core/error.h"
#include "core/json_value.h"
#include "report/html.h"
#include "report/svg_chart.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--bg:#fbfbfa;--fg:#1d1f21;--soft:#667;--line:#dcdde0;--card:#fff;
--s0:#2563c9;--s1:#c2410c;--s2:#0f8a5f;--s3:#8b3fb8;--s4:#b08900;--s5:#5b6470;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--fg:#e6e7e9;--soft:#9aa3ad;--line:#31353b;--card:#1c1f23;
--s0:#6ea8ff;--s1:#ff9a62;--s2:#4fd1a0;--s3:#cf9bf5;--s4:#e5c558;--s5:#a7b0bb;--bad:#ff8b80}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1220px;padding:24px;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,sans-serif}h1{font-size:22px;margin:0 0 2px}h2{font-size:17px;margin:26px 0 8px}
p{margin:4px 0}.soft{color:var(--soft)}.bad{color:var(--bad)}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--soft);font-weight:500}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:14px}
svg{width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;display:block}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg .h{font-size:13px;font-weight:600;fill:var(--fg)}svg .v{font-size:12px;fill:var(--fg)}
.g{stroke:var(--line);stroke-width:1}.m{stroke:var(--bad);stroke-width:1.2;stroke-dasharray:5 4}
.c{fill:none;stroke-width:1.7;stroke-linejoin:round}.b{fill-opacity:.16;stroke:none}.p{fill-opacity:.6}
.c.s0{stroke:var(--s0)}.c.s1{stroke:var(--s1)}.c.s2{stroke:var(--s2)}.c.s3{stroke:var(--s3)}.c.s4{stroke:var(--s4)}.c.s5{stroke:var(--s5)}
.b.s0,.p.s0,.k.s0{fill:var(--s0)}.b.s1,.p.s1,.k.s1{fill:var(--s1)}.b.s2,.p.s2,.k.s2{fill:var(--s2)}
.b.s3,.p.s3,.k.s3{fill:var(--s3)}.b.s4,.p.s4,.k.s4{fill:var(--s4)}.b.s5,.p.s5,.k.s5{fill:var(--s5)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:12px/1.45 ui-monospace,monospace;background:var(--card);
border:1px solid var(--line);border-radius:8px;padding:10px;max-height:420px;overflow:auto}
pre.t{white-space:pre}.lines{white-space:pre-wrap}
details{margin:14px 0}summary{cursor:pointer;color:var(--soft)}
)";

std::string cell(const std::string& text, const char* tag = "td") {
  return "<" + std::string(tag) + ">" + escape_html(text) + "</" + tag + ">";
}

std::string metric_table(const RecordSet& set, const std::vector<GroupSummary>& groups) {
  std::string out =
      "<div "
      "class=scroll><table><tr><th>ms</th><th>n</th><th>P50</th><th>P90</th><th>P95</th><th>P99</"
      "th><th>mean</th></tr>\n";
  for (const auto& g : groups)
    for (const auto& m : g.metrics) {
      const bool between = m.metric == Metric::kTpot || m.metric == Metric::kItl;
      if (m.clock == Clock::kResp && (!g.open || between)) continue;
      if (groups.size() > 1 && g.open && m.clock == Clock::kSvc && !between)
        continue;  // a sweep: what users waited
      std::string name = m.metric == Metric::kItl ? g.gap_name() : metric_name(m.metric);
      if (g.open && !between) name += m.clock == Clock::kSvc ? " from send" : " from plan";
      if (groups.size() > 1) name = group_name(set, g) + " " + name;
      out += "<tr>" + cell(name) + cell(std::to_string(m.n)) + cell(quantile_text(m.p50)) +
             cell(quantile_text(m.p90)) + cell(quantile_text(m.p95)) + cell(quantile_text(m.p99)) +
             cell(short_number(m.mean)) + "</tr>\n";
    }
  return out +
         "</table></div>\n<p class=soft>[ ] 95 % order-statistic intervals; ~ adjusted: neighbours depend on "
         "each "
         "other, and the interval is the wider one of fewer independent requests; &ge; what was seen, the "
         "sample "
         "is too small to say more.</p>\n";
}

// The empirical distribution with the band of Dvoretzky, Kiefer and Wolfowitz (95 %, all points at once).
// Begins on the axis; reach_ends() leads it to its end.
ChartSeries cdf_series(std::vector<double> values, const std::string& name, int colour) {
  std::sort(values.begin(), values.end());
  ChartSeries s;
  s.name = name;
  s.style = ChartSeries::Style::kSteps;
  s.colour = colour;
  const auto n = static_cast<double>(values.size());
  const double band = std::sqrt(std::log(2 / 0.05) / (2 * n)), top = n / (n + 1);
  s.x.push_back(values.front()), s.y.push_back(0), s.lo.push_back(0), s.hi.push_back(std::min(top, band));
  for (size_t i = 0; i < values.size(); ++i) {
    const double share = static_cast<double>(i + 1) / (n + 1);
    s.x.push_back(values[i]);
    s.y.push_back(share);
    s.lo.push_back(std::max(0.0, share - band));
    s.hi.push_back(std::min(top, share + band));
  }
  return s;
}

// Where the slowest request of one curve is faster than that of another, all of its requests are still below.
void reach_ends(std::vector<ChartSeries>& series) {
  double end = 0;
  for (const auto& s : series) end = std::max(end, s.x.back());
  for (auto& s : series)
    for (auto* v : {&s.y, &s.lo, &s.hi, &s.x})
      if (!v->empty()) v->push_back(v == &s.x ? end : v->back());
}

// One slow request must not press all others against the edge.
bool spreads_far(const std::vector<ChartSeries>& series, std::vector<double> ChartSeries::*member) {
  std::vector<double> all;
  for (const auto& s : series) all.insert(all.end(), (s.*member).begin(), (s.*member).end());
  if (all.empty()) return false;
  std::sort(all.begin(), all.end());
  return all.front() > 0 && all.back() > 10 * all[all.size() / 2];
}

std::string latency_charts(const RecordSet& set, const std::vector<GroupSummary>& groups,
                           const StatsOptions& options) {
  const bool open = std::any_of(groups.begin(), groups.end(), [](const auto& g) { return g.open; });
  const Clock clock = open ? Clock::kResp : Clock::kSvc;
  std::string out;
  const std::string from = open ? " from plan, ms" : ", ms";
  for (const Metric metric : {Metric::kTtft, Metric::kE2e, Metric::kTpot}) {
    Chart cdf;
    cdf.nines = true;
    cdf.title = std::string(metric_name(metric)) + ": distribution with 95 % band";
    cdf.x_label = metric_name(metric) + (metric == Metric::kTpot ? ", ms" : from);
    cdf.y_label = "share of requests";
    int colour = 0;
    for (const auto& g : groups) {
      auto values = metric_values(group_records(set, g), metric, clock);
      if (values.size() > 1 && colour < 6)
        cdf.series.push_back(cdf_series(std::move(values), group_name(set, g), colour++));
    }
    // What a clock that starts at the send would have shown.
    if (open && metric == Metric::kE2e && groups.size() == 1) {
      cdf.series[0].name = "from plan";
      auto s = cdf_series(metric_values(group_records(set, groups[0]), metric, Clock::kSvc), "from send", 1);
      s.lo.clear(), s.hi.clear();
      cdf.series.push_back(std::move(s));
    }
    reach_ends(cdf.series);
    cdf.log_x = spreads_far(cdf.series, &ChartSeries::x);
    if (cdf.log_x) cdf.x_label += " (logarithmic)";
    out += chart_svg(cdf);
  }
  const bool has_ttft = std::any_of(groups.begin(), groups.end(),
                                    [](const auto& g) { return g.find(Metric::kTtft, Clock::kSvc); });
  const Metric shown = has_ttft ? Metric::kTtft : Metric::kE2e;
  Chart time, prompt;
  time.title = std::string(metric_name(shown)) + " over the run";
  time.x_label = "seconds since the start";
  time.y_label = metric_name(shown) + from;
  prompt.title = "ttft against prompt length";
  prompt.x_label = "prompt tokens";
  prompt.y_label = "ttft" + from;
  int colour = 0;
  for (const auto& g : groups) {
    ChartSeries t, p;
    t.name = p.name = group_name(set, g);
    t.style = p.style = ChartSeries::Style::kPoints;
    t.colour = p.colour = std::min(colour++, 5);
    for (const auto* r : group_records(set, g)) {
      if (const auto v = metric_ms(*r, shown, clock))
        t.x.push_back(static_cast<double>(r->t_send_ns) * 1e-9), t.y.push_back(*v);
      if (const auto v = metric_ms(*r, Metric::kTtft, clock); v && r->n_in >= 0)
        p.x.push_back(static_cast<double>(r->n_in)), p.y.push_back(*v);
    }
    time.series.push_back(std::move(t));
    prompt.series.push_back(std::move(p));
  }
  for (const auto& o : options.objectives) {
    if (o.metric == shown) time.marks.push_back({o.limit_ms, "limit"});
    if (o.metric == Metric::kTtft) prompt.marks.push_back({o.limit_ms, "limit"});
  }
  time.log_y = spreads_far(time.series, &ChartSeries::y);
  prompt.log_y = spreads_far(prompt.series, &ChartSeries::y);
  return out + chart_svg(time) + chart_svg(prompt);
}

// Load points against what they cost: throughput or good requests over the offered rate, and P90 beside it.
std::string rate_charts(const std::vector<GroupSummary>& groups, const std::string& run_name) {
  Chart good, cost;
  ChartSeries reached, met, ttft;
  for (const auto& g : groups) {
    if (g.point.size() < 3 || g.point[1] != '=') continue;
    if (g.open && g.point[0] == 'c') continue;  // closed runs by which a search found where to begin
    const double x = std::atof(g.point.c_str() + 2);
    cost.x_label = good.x_label = g.point[0] == 'c' ? "clients at once" : "offered requests per second";
    reached.x.push_back(x), reached.y.push_back(g.requests_per_s);
    if (g.goodput >= 0) met.x.push_back(x), met.y.push_back(g.goodput);
    const MetricSummary* m = g.find(Metric::kTtft, Clock::kResp);
    if (!m) m = g.find(Metric::kE2e, Clock::kResp);
    if (!m) continue;
    ttft.x.push_back(x), ttft.y.push_back(m->p90.value);
    ttft.lo.push_back(m->p90.interval ? m->p90.interval->lo : NAN);
    ttft.hi.push_back(m->p90.interval ? m->p90.interval->hi : NAN);
    cost.y_label = std::string("P90 ") + metric_name(m->metric) + ", ms";
  }
  if (reached.x.size() < 2) return "";
  // The search visits rates in its own order.
  const auto sort_series = [](ChartSeries& s) {
    std::vector<size_t> order(s.x.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return s.x[a] < s.x[b]; });
    for (auto* v : {&s.y, &s.lo, &s.hi, &s.x}) {
      if (v->size() != order.size()) continue;
      std::vector<double> sorted;
      for (const size_t i : order) sorted.push_back((*v)[i]);
      *v = sorted;
    }
  };
  reached.name = "completed", met.name = "within limits", ttft.name = "P90";
  met.colour = 2, ttft.colour = 1;
  for (auto* s : {&reached, &met, &ttft}) s->style = ChartSeries::Style::kLinePoints, sort_series(*s);
  good.title = "rate and goodput" + run_name;
  good.y_label = "requests per second";
  good.series = {reached, met};
  cost.title = "P90 against load" + run_name;
  cost.series = {ttft};
  return chart_svg(good) + chart_svg(cost);
}

std::string accuracy_charts(const std::vector<ItemRecord>& items) {
  std::map<std::pair<std::string, std::string>, std::pair<int64_t, int64_t>> cells;
  std::map<std::pair<int64_t, int64_t>, std::pair<int64_t, int64_t>> turns;
  for (const auto& i : items) {
    if (i.nll >= 0) continue;
    auto& c = cells[{i.set, i.category.empty() ? "all" : i.category}];
    ++c.first, c.second += i.correct;
    if (i.turns > 0) {
      auto& t = turns[{i.turns, std::min<int64_t>(i.distance / 4 * 4, 20)}];
      ++t.first, t.second += i.correct;
    }
  }
  const auto make = [](const std::string& row, const std::string& column,
                       const std::pair<int64_t, int64_t>& c) {
    return GridCell{row, column, std::to_string(c.second) + "/" + std::to_string(c.first),
                    static_cast<double>(c.second) / static_cast<double>(c.first)};
  };
  std::map<std::string, std::vector<GridCell>> by_set;
  for (const auto& [key, c] : cells) by_set[key.first].push_back(make(key.first, key.second, c));
  std::string out;
  for (const auto& [set, list] : by_set)
    if (list.size() <= 8 && (turns.empty() || set != "multiturn")) out += grid_svg("accuracy, " + set, list);
  std::vector<GridCell> grid;
  for (const auto& [key, c] : turns)
    grid.push_back(make(std::to_string(key.first) + " turns", std::to_string(key.second) + "+ back", c));
  // Columns in rising order, whatever row comes first.
  std::stable_sort(grid.begin(), grid.end(), [](const auto& a, const auto& b) {
    return std::atoi(a.column.c_str()) < std::atoi(b.column.c_str());
  });
  std::vector<GridCell> rows_in_order = grid;
  return out + grid_svg("facts recalled: length of the dialogue by distance", rows_in_order);
}

std::string ledger_chart(const std::vector<Json>& drift) {
  if (drift.empty()) return "";
  const auto number = [](const Json& j, const char* key) {
    const Json* v = find(j, key);
    return v && v->is_number() ? std::clamp(v->get<double>(), -1e15, 1e15) : 0.0;
  };
  Chart share, sum;
  ChartSeries s, c;
  for (const Json& d : drift) {
    const double n = std::max(1.0, number(d, "n")), right = std::clamp(number(d, "n_correct"), 0.0, n);
    const Interval w = wilson_interval(static_cast<int64_t>(right), static_cast<int64_t>(n));
    s.x.push_back(number(d, "seq")), s.y.push_back(right / n * 100), s.lo.push_back(w.lo * 100),
        s.hi.push_back(w.hi * 100);
    c.x.push_back(number(d, "seq")), c.y.push_back(number(d, "cusum"));
  }
  s.style = c.style = ChartSeries::Style::kLinePoints;
  c.colour = 1;
  share.title = "accuracy ledger, 95 % Wilson band";
  share.x_label = sum.x_label = "entry";
  share.whole_x = sum.whole_x = true;
  share.y_end = 100;
  share.y_label = "right, %";
  share.y_from_zero = false;
  share.series = {s};
  sum.title = "CUSUM, the summed evidence of a fall: alarm at the dashed line";
  sum.y_label = "sum";
  sum.series = {c};
  sum.marks.push_back({number(drift.back(), "h"), "alarm"});
  return chart_svg(share) + chart_svg(sum);
}

// The commands that made the records, and when.
std::string origins(const RecordSet& set) {
  std::string out;
  for (const RunHeader& h : set.headers)
    if (!h.command.empty() || !h.time_utc.empty())
      out +=
          "<p class=soft><code>" + escape_html(h.command) + "</code> " + escape_html(h.time_utc) + "</p>\n";
  return out;
}

std::string warning_list(const RecordSet& set, const std::vector<GroupSummary>& groups) {
  std::vector<std::string> all;
  for (const auto& g : groups) {
    const std::string name = group_name(set, g);
    for (const auto& [error, n] : g.errors) {
      const auto detail = g.error_details.find(error);
      all.push_back((name.empty() ? "" : name + ": ") + std::to_string(n) + " of " + std::to_string(g.n) +
                    " requests failed with " + error +
                    (detail == g.error_details.end() || detail->second.empty() ? "" : ": " + detail->second));
    }
    for (const std::string& w : group_warnings(g)) all.push_back((name.empty() ? "" : name + ": ") + w);
  }
  if (set.n_bad) all.push_back(std::to_string(set.n_bad) + " malformed lines were left out");
  if (set.interrupted) all.push_back("a run was interrupted");
  if (set.cut_off) all.push_back("a run has no trailer: its file is cut off or still being written");
  std::string out;
  for (const std::string& w : all) out += "<li>" + escape_html(w) + "</li>\n";
  return out.empty() ? "" : "<ul class=bad>\n" + out + "</ul>\n";
}

RecordSet run_alone(const RecordSet& set, size_t run) {
  RecordSet out;
  out.runs = {{set.runs[run].name, {}}};
  for (const size_t h : set.runs[run].headers) {
    out.runs[0].headers.push_back(out.headers.size());
    out.headers.push_back(set.headers[h]);
  }
  for (RequestRecord r : set.requests)
    if (r.run == static_cast<int32_t>(run)) r.run = 0, out.requests.push_back(std::move(r));
  for (ItemRecord i : set.items)
    if (i.run == static_cast<int32_t>(run)) i.run = 0, out.items.push_back(std::move(i));
  return out;
}

// Two runs, or the two arms of one, lie beside each other to be compared.
std::string verdict(const RecordSet& set) {
  const bool arms =
      std::any_of(set.requests.begin(), set.requests.end(), [](const auto& r) { return r.arm == "b"; });
  if (!(set.runs.size() == 2 || (arms && set.runs.size() == 1))) return "";
  std::string text;
  try {
    const bool two = set.runs.size() == 2;
    text = two ? compare_records(run_alone(set, 0), run_alone(set, 1), true, {}).text
               : compare_records(set, {}, false, {}).text;
    if (two) text = "A: " + set.runs[0].name + "   B: " + set.runs[1].name + "\n" + text;
  } catch (const Error& e) {
    text = "not compared: " + e.message();
  }
  return "<h2>Verdict</h2>\n<pre class=t>" + escape_html(text) + "</pre>\n";
}

std::string table_of(const Json& object) {
  std::string out = "<div class=scroll><table>";
  for (const auto& [key, value] : object.items()) {
    if (key == "missing" && value.is_object()) continue;
    std::string text = value.is_string() ? as_string(value) : dump(value);
    if (value.is_null())
      if (const Json* missing = find(object, "missing"))
        if (const Json* why = find(*missing, key); why && why->is_string())
          text = "not known: " + as_string(*why);
    out += "<tr>" + cell(key, "th") + cell(text) + "</tr>";
  }
  return out + "</table></div>";
}

}  // namespace

std::string report_html(const RecordSet& set, const StatsOptions& options, const std::string& title) {
  const auto groups = summarize(set, options);
  std::string out =
      "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport "
      "content=\"width=device-width\">\n<title>" +
      escape_html(title) + "</title><style>" + kStyle + "</style></head><body>\n<h1>" + escape_html(title) +
      "</h1>\n";
  std::string about = header_text(set);
  while (about.ends_with('\n')) about.pop_back();
  if (!about.empty()) out += "<p class=\"soft lines\">" + escape_html(about) + "</p>\n";
  out += origins(set) + warning_list(set, groups) + verdict(set);
  StatsOptions words = options;
  words.plots = false;
  if (!groups.empty()) {
    std::string rates;
    for (size_t run = 0; run < std::max<size_t>(1, set.runs.size()); ++run) {
      std::vector<GroupSummary> of_run;
      for (const auto& g : groups)
        if (g.run == static_cast<int32_t>(run)) of_run.push_back(g);
      rates += rate_charts(of_run, set.runs.size() > 1 ? ", " + set.runs[run].name : "");
    }
    out += "<h2>Latency</h2>\n" + metric_table(set, groups) + "<div class=charts>" + rates +
           latency_charts(set, groups, options) + "</div>\n";
    out += "<details><summary>the same as text, with rates and lengths</summary><pre class=t>" +
           escape_html(stats_text(set, groups, words)) + "</pre></details>\n";
  }
  if (!set.items.empty())
    out += "<h2>Accuracy</h2>\n<pre class=t>" + escape_html(scores_text(set)) + "</pre>";
  const auto evaluations = items_by_run(set);
  for (const auto& [name, items] : evaluations)
    out += (evaluations.size() > 1 ? "<p class=soft>" + escape_html(name) + "</p>" : std::string()) +
           "<div class=charts>" + accuracy_charts(items) + "</div>\n";
  if (!set.drift.empty()) out += "<h2>Drift</h2>\n<div class=charts>" + ledger_chart(set.drift) + "</div>\n";
  for (const Run& run : set.runs)
    for (const size_t h : run.headers)
      for (const auto& [part, name] :
           {std::pair("target", "what was measured"), std::pair("target_b", "what was measured as arm b"),
            std::pair("plan", "the plan of requests"), std::pair("env", "the machine")})
        if (const Json* v = find(set.headers[h].object, part); v && v->is_object())
          out += "<details><summary>" + escape_html((set.runs.size() > 1 ? run.name + ": " : "") + name) +
                 "</summary>" + table_of(*v) + "</details>\n";
  out += "<details><summary>records (ds-bench stats reads them from this page)</summary>" +
         std::string(kRecordsBegin) + escape_html(records_text(set)) + std::string(kRecordsEnd) +
         "</details>\n</body></html>\n";
  return out;
}

}  // namespace ds::bench
