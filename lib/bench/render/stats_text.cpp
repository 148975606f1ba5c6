// The terminal form of stats: at most a screen per group, warnings last, each with the flag that helps.
#include <algorithm>
#include <cstdio>

#include "bench/stats/stats.h"
#include "core/json_value.h"
#include "report/terminal_plot.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr size_t kLabel = 10;  // columns before what a line says

std::string pad(std::string text, size_t width) {
  // Interval text is ASCII, so bytes are columns.
  text.append(text.size() < width ? width - text.size() : 1, ' ');
  return text;
}

std::string join_counts(const std::map<std::string, int64_t>& counts) {
  std::string out;
  for (const auto& [name, n] : counts) out += (out.empty() ? "" : ", ") + std::to_string(n) + " " + name;
  return out;
}

std::string cost_text(double ms) { return ms < 0.001 ? "less than 0.001 ms" : short_number(ms) + " ms"; }

std::string overhead_lines(const RecordSet& set, int width) {
  std::string out;
  for (const RunHeader& h : set.headers)
    if (h.overhead_ttft_ms >= 0 && out.find(h.overhead_of) == std::string::npos)
      out += fold("own cost  " + cost_text(h.overhead_ttft_ms) + " to first byte, " +
                      cost_text(h.overhead_e2e_ms) + " end to end (" + h.overhead_of + ")",
                  width, kLabel);
  return out;
}

constexpr int kOneLineTable = 120, kWholeTable = 80;
constexpr size_t kCell = 24, kNarrowCell = 15, kNarrowestCell = 14;

// A row per metric with the intervals beside the values; on a narrow screen below them, on a narrower one
// without P95 and mean.
std::string metric_table(const GroupSummary& g, int width) {
  const bool wide = width >= kOneLineTable, whole = width >= kWholeTable;
  const size_t cell = wide ? kCell : whole ? kNarrowCell : kNarrowestCell;
  std::string out = pad("ms", 10) + pad("n", 6);
  for (const char* name : {"P50", "P90", "P95", "P99"})
    if (whole || std::string_view(name) != "P95") out += pad(name, cell);
  if (whole) out += "mean";
  out = out.substr(0, out.find_last_not_of(' ') + 1) + "\n";
  for (const MetricSummary& m : g.metrics) {
    const bool between_events = m.metric == Metric::kTpot || m.metric == Metric::kItl;
    if (m.clock == Clock::kResp && (!g.open || between_events)) continue;
    std::string name = m.metric == Metric::kItl ? g.gap_name() : metric_name(m.metric);
    if (g.open && !between_events) name += m.clock == Clock::kSvc ? ".svc" : ".resp";
    std::string first = pad(name, 10) + pad(std::to_string(m.n), 6), second(16, ' ');
    for (const Quantile* q : {&m.p50, &m.p90, &m.p95, &m.p99}) {
      if (!whole && q == &m.p95) continue;
      first += pad(wide ? quantile_text(*q) : (q->interval ? "" : ">= ") + short_number(q->value), cell);
      second += pad(interval_text(*q), cell);
    }
    if (whole) first += short_number(m.mean);
    out += first.substr(0, first.find_last_not_of(' ') + 1) + "\n";
    if (!wide) out += second.substr(0, second.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string warnings(const GroupSummary& g, int width) {
  std::string out;
  for (const std::string& text : group_warnings(g)) out += fold("! " + text, width, kLabel);
  return out;
}

std::string group_title(const RecordSet& set, const GroupSummary& g) {
  const std::string name = group_name(set, g);
  return (name.empty() ? "" : name + ": ") + std::to_string(g.n) + " requests in " + short_number(g.wall_s) +
         " s, " + (g.errors.empty() ? "none failed" : "FAILED " + join_counts(g.errors)) + ", " +
         std::to_string(g.n_warmup) + " warm-up left out" +
         (g.finishes.empty() ? "" : "; finish " + join_counts(g.finishes));
}

std::string group_text(const RecordSet& set, const GroupSummary& g, const StatsOptions& options) {
  const auto records = group_records(set, g);
  const MetricSummary *svc = g.find(Metric::kE2e, Clock::kSvc), *resp = g.find(Metric::kE2e, Clock::kResp);
  std::string out = fold(group_title(set, g), options.width, kLabel);
  for (const auto& [error, detail] : g.error_details)
    if (!detail.empty())
      out += fold("failed    " + error + ": " + detail.substr(0, detail.find('\n')), options.width, kLabel);
  out += metric_table(g, options.width);
  const auto line = [&](const std::string& text) { out += fold(text, options.width, kLabel); };
  std::string rates = "rate      " + short_number(g.requests_per_s) + " requests/s";
  if (g.tok_s >= 0) rates += ", " + short_number(g.tok_s) + " tokens/s system";
  if (g.tok_s_user >= 0) rates += ", " + short_number(g.tok_s_user) + " tokens/s per user";
  if (g.prefill_tok_s >= 0) rates += ", prefill " + short_number(g.prefill_tok_s) + " tokens/s";
  line(rates);
  if (g.n_in_p50 >= 0 || g.n_out_p50 >= 0) {
    const auto three = [](int64_t lo, int64_t mid, int64_t hi, int64_t asked, int64_t asked_most) {
      if (mid < 0) return std::string("not told");
      return std::to_string(lo) + ".." + std::to_string(mid) + ".." + std::to_string(hi) +
             (asked >= 0 ? " (asked " + std::to_string(asked) : "") +
             (asked_most > asked ? ".." + std::to_string(asked_most) : "") + (asked >= 0 ? ")" : "");
    };
    line("tokens    in " + three(g.n_in_min, g.n_in_p50, g.n_in_max, g.want_in, g.want_in) + ", out " +
         three(g.n_out_min, g.n_out_p50, g.n_out_max, g.want_out, g.want_out_max) + "; least, median, most" +
         (g.tokens_source.empty() ? "" : "; counted by " + g.tokens_source));
  }
  if (g.peak_rss_bytes >= 0)
    line("memory    peak " + byte_size(g.peak_rss_bytes) +
         (g.bytes_per_token >= 0
              ? "; " + byte_size(static_cast<int64_t>(g.bytes_per_token)) + " read per token"
              : "") +
         (g.bandwidth_share >= 0
              ? ", " + short_number(g.bandwidth_share * 100) + " % of the measured read bandwidth"
              : ""));
  if (g.good_share >= 0)
    line("goodput   " + short_number(g.goodput) + " requests/s meet every limit, " +
         short_number(g.good_share * 100) + " % [" + short_number(g.good_share_interval.lo * 100) + ", " +
         short_number(g.good_share_interval.hi * 100) + "]");
  if (g.open && svc && resp)
    line("omission  from plan minus from send, e2e: P50 +" + short_number(resp->p50.value - svc->p50.value) +
         " P90 +" + short_number(resp->p90.value - svc->p90.value) + " P99 +" +
         short_number(resp->p99.value - svc->p99.value) + " ms; sent late by at most " +
         short_number(g.late_p99_ms) + " ms at P99");
  if (options.plots && g.n_ok >= 2) {
    const Metric shown = g.find(Metric::kTtft, Clock::kResp) ? Metric::kTtft : Metric::kE2e;
    std::vector<double> values = metric_values(records, shown, g.open ? Clock::kResp : Clock::kSvc);
    out += "over time " + sparkline(values, std::max(10, options.width - 34), options.unicode) + "  " +
           metric_name(shown) + ", top " + short_number(*std::max_element(values.begin(), values.end())) +
           " ms\n";
    std::sort(values.begin(), values.end());
    PlotStyle style{std::max(30, options.width - 2), 6, options.unicode, -1};
    for (const Objective& o : options.objectives)
      if (o.metric == shown) style.limit_ms = o.limit_ms;
    out += plot_cdf(values, style);
  }
  return out + warnings(g, options.width);
}

// A sweep on one screen: a row per load point, what was reached and what it cost.
std::string sweep_text(const RecordSet& set, const std::vector<const GroupSummary*>& points, int width) {
  const GroupSummary& first = *points[0];
  const Clock clock = first.open ? Clock::kResp : Clock::kSvc;
  const Metric metric = first.find(Metric::kTtft, clock) ? Metric::kTtft : Metric::kE2e;
  const bool limits = first.good_share >= 0;
  const size_t narrow = width < kWholeTable ? 2 : 0;
  std::string out = pad("point", 12 - narrow) + pad("n", 7 - narrow) + pad("failed", 8 - narrow / 2) +
                    pad("req/s", 9 - narrow) + pad("tok/s", 9 - narrow) +
                    (limits ? pad("goodput", 9 - narrow / 2) : "") + "P90 " + metric_name(metric) +
                    (first.open ? " from plan" : "") + ", ms\n";
  std::vector<std::pair<std::string, std::string>> notes;  // what, at which points
  for (const GroupSummary* g : points) {
    const MetricSummary* m = g->find(metric, clock);
    const std::string name = group_name(set, *g);
    out += pad(name, 12 - narrow) + pad(std::to_string(g->n), 7 - narrow) +
           pad(std::to_string(g->n - g->n_ok), 8 - narrow / 2) +
           pad(short_number(g->requests_per_s), 9 - narrow) +
           pad(g->tok_s >= 0 ? short_number(g->tok_s) : "-", 9 - narrow) +
           (limits ? pad(short_number(g->goodput), 9 - narrow / 2) : "") + (m ? quantile_text(m->p90) : "-") +
           "\n";
    const std::string w = warnings(*g, width);
    if (w.empty()) continue;
    const auto same =
        std::find_if(notes.begin(), notes.end(), [&](const auto& note) { return note.first == w; });
    if (same == notes.end())
      notes.emplace_back(w, name);
    else
      same->second += ", " + name;
  }
  for (const auto& [what, where] : notes) out += fold("at " + where, width, 3) + what;
  return out;
}

}  // namespace

std::vector<std::string> group_warnings(const GroupSummary& g) {
  std::vector<std::string> out;
  const auto warn = [&](const std::string& text) { out.push_back(text); };
  if (g.n_silent > 0)
    warn(std::to_string(g.n_silent) + " of " + std::to_string(g.n_ok) +
         " answers ended without a single token: they have no time to first token, and are quick");
  if (g.at_once_share > 0.2)
    warn(short_number(g.at_once_share * 100) +
         " % of the answers came all at once (a proxy that collects them, or a server that does not stream): "
         "tpot "
         "and gaps are not the model's, ttft is nearly e2e");
  if (g.tokens_per_event > 1.05)
    warn(short_number(g.tokens_per_event) +
         " tokens per event: gaps between events are not inter-token latency");
  if (g.tokens_per_event >= 0 && g.tokens_per_event < 0.95)
    warn("fewer tokens (" + short_number(g.tokens_per_event) +
         ") than events with text: the count of the target is not believable");
  if (g.cached_share > 0.3)
    warn(short_number(g.cached_share * 100) +
         " % of the prompt tokens came from the target's cache: ttft and prefill are those of a cache");
  if (g.tokens_source == "events") warn("tokens were counted as events: the target told no count");
  if (g.short_share > 0.01)
    warn(short_number(g.short_share * 100) +
         " % of answers ended before the asked length: not comparable unless intended (--ignore-eos)");
  if (g.unsteady_prefix > 0)
    warn("the first " + std::to_string(g.unsteady_prefix) + " requests shift the median: --warmup " +
         std::to_string(g.unsteady_prefix + static_cast<int64_t>(g.n_warmup)));
  for (const MetricSummary& m : g.metrics)
    if (m.metric == Metric::kE2e && m.clock == Clock::kSvc && m.effective_n < 0.5 * static_cast<double>(m.n))
      warn("requests depend on their neighbours: " + std::to_string(m.n) + " count like " +
           short_number(m.effective_n) + ", and the intervals are as wide; several short runs say more");
  return out;
}

std::string header_text(const RecordSet& set) {
  std::string out;
  for (size_t i = 0; i < std::max<size_t>(1, set.runs.size()); ++i) {
    const RunHeader* h = header_of(set, static_cast<int32_t>(i));
    if (!h) continue;
    if (set.runs.size() > 1) out += set.runs[i].name + ": ";
    if (!h->target.kind.empty()) out += h->target.kind + " " + h->target.what;
    if (h->target_b) out += " (arm a) against " + h->target_b->what + " (arm b)";
    if (!h->plan_hash.empty()) out += "  plan " + h->plan_hash.substr(0, 10);
    if (!h->cpu_model.empty()) out += "  " + h->cpu_model + ", " + h->isa + ", " + h->threads + " threads";
    if (!h->job_id.empty()) out += ", job " + h->job_id + " on " + h->node;
    out += "\n";
  }
  return out;
}

std::string stats_text(const RecordSet& set, const std::vector<GroupSummary>& groups,
                       const StatsOptions& options) {
  std::string out;
  std::string about = header_text(set);
  for (size_t at = 0, end; (end = about.find('\n', at)) != std::string::npos; at = end + 1)
    out += fold(about.substr(at, end - at), options.width, kLabel);
  // Load points of one run share a table; --json has everything about each.
  for (size_t i = 0; i < groups.size();) {
    std::vector<const GroupSummary*> points;
    for (; i < groups.size() && groups[i].run == groups[points.empty() ? i : i - 1].run &&
           !groups[i].point.empty();
         ++i)
      points.push_back(&groups[i]);
    if (points.size() > 1)
      out += sweep_text(set, points, options.width);
    else
      out += group_text(set, points.empty() ? groups[i++] : *points[0], options);
  }
  out += overhead_lines(set, options.width);
  out += fold(
      "times: ttft to the first token, tpot per further token, itl (gap) between tokens (events), e2e of the "
      "whole request",
      options.width, kLabel);
  out += fold(
      "percentiles: " + std::string(quantile_method_name(options.method)) + "; [ ] " +
          short_number(options.level * 100) +
          " % order-statistic intervals, ~ adjusted to how many requests are independent; >= what was seen, "
          "n too small to say",
      options.width, kLabel);
  if (set.n_bad)
    out += "! " + std::to_string(set.n_bad) + " of " + std::to_string(set.n_lines) + " lines are malformed\n";
  if (set.interrupted) out += "! the run was interrupted: --resume completes it\n";
  if (set.cut_off) out += "! no trailer: the file is cut off or still being written\n";
  return out;
}

}  // namespace ds::bench
