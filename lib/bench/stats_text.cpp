// The terminal form of stats: at most a screen per group, warnings last, each with the flag that helps.
#include <algorithm>
#include <cstdio>

#include "bench/stats.h"
#include "bench/terminal_plot.h"

namespace ds::bench {
namespace {

std::string text_member(const Json* object, const char* key) {
  const Json* v = object ? object->find(key) : nullptr;
  if (!v || v->is_null()) return "";
  return v->is_string() ? v->as_string() : v->dump();
}

std::string pad(std::string text, size_t width) {
  // Interval text is ASCII, so bytes are columns.
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string join_counts(const std::map<std::string, int64_t>& counts) {
  std::string out;
  for (const auto& [name, n] : counts) out += (out.empty() ? "" : ", ") + std::to_string(n) + " " + name;
  return out;
}

std::string megabytes(int64_t bytes) { return short_number(static_cast<double>(bytes) / (1 << 20)) + " MiB"; }

std::string cost_text(double ms) { return ms < 0.001 ? "less than 0.001 ms" : short_number(ms) + " ms"; }

std::string overhead_line(const RecordSet& set) {
  for (const Json& h : set.headers)
    if (const Json* o = h.find("overhead"); o && o->is_object()) {
      const Json *p50 = o->find("ttft_p50_ms"), *e2e = o->find("e2e_p50_ms");
      if (p50 && p50->is_number() && e2e && e2e->is_number())
        return "own cost  " + cost_text(p50->as_double()) + " to first byte, " + cost_text(e2e->as_double()) +
               " end to end (" + text_member(o, "what") + ")\n";
    }
  return "";
}

std::string metric_table(const GroupSummary& g, bool open) {
  std::string out = "ms        " + pad("n", 8) + pad("P50", 23) + pad("P90", 23) + pad("P99", 25) + "mean\n";
  for (const MetricSummary& m : g.metrics) {
    const bool between_events = m.metric == Metric::kTpot || m.metric == Metric::kItl;
    if (m.clock == Clock::kResp && (!open || between_events)) continue;
    std::string name = metric_name(m.metric);
    if (m.metric == Metric::kItl && g.tokens_per_event > 1.05) name = "gap";  // several tokens an event
    if (open && !between_events) name += m.clock == Clock::kSvc ? ".svc" : ".resp";
    out += pad(name, 10) + pad(std::to_string(m.n), 8) + pad(quantile_text(m.p50), 23) +
           pad(quantile_text(m.p90), 23) + pad(quantile_text(m.p99), 25) + short_number(m.mean) + "\n";
  }
  return out;
}

std::string warnings(const GroupSummary& g) {
  std::string out;
  const auto warn = [&](const std::string& text) { out += "! " + text + "\n"; };
  if (g.tokens_per_event > 1.05)
    warn(short_number(g.tokens_per_event) +
         " tokens per event: gaps between events are not inter-token latency");
  if (g.tokens_source == "events") warn("tokens were counted as events: the target told no count");
  if (g.short_share > 0.01)
    warn(short_number(g.short_share * 100) +
         " % of answers ended before the asked length: not comparable unless "
         "intended (--ignore-eos)");
  if (g.unsteady_prefix > 0)
    warn("the first " + std::to_string(g.unsteady_prefix) + " requests shift the median: --warmup " +
         std::to_string(g.unsteady_prefix + static_cast<int64_t>(g.n_warmup)));
  if (g.effective_n < 0.5 * static_cast<double>(g.n_ok))
    warn("requests depend on each other: " + std::to_string(g.n_ok) + " count like " +
         short_number(g.effective_n) + ", intervals are too narrow; prefer several short runs");
  return out;
}

std::string group_text(const RecordSet& set, const GroupSummary& g, const StatsOptions& options) {
  const auto records = group_records(set, g.arm, g.point);
  const MetricSummary *svc = g.find(Metric::kE2e, Clock::kSvc), *resp = g.find(Metric::kE2e, Clock::kResp);
  bool open = false;
  for (const Json& h : set.headers)
    open |= !text_member(h.find("plan"), "arrivals").empty() &&
            text_member(h.find("plan"), "arrivals") != "closed";
  std::string title;
  if (g.arm != "a" || !g.point.empty())
    title = "arm " + g.arm + (g.point.empty() ? "" : "  " + g.point) + "  ";
  std::string out = title + std::to_string(g.n) + " requests in " + short_number(g.wall_s) + " s, " +
                    (g.errors.empty() ? "none failed" : "FAILED " + join_counts(g.errors)) + ", " +
                    std::to_string(g.n_warmup) + " warm-up left out" +
                    (g.finishes.empty() ? "" : "; finish " + join_counts(g.finishes)) + "\n";
  out += metric_table(g, open);
  std::string rates = "rate      " + short_number(g.requests_per_s) + " requests/s";
  if (g.tok_s >= 0) rates += ", " + short_number(g.tok_s) + " tokens/s system";
  if (g.tok_s_user >= 0) rates += ", " + short_number(g.tok_s_user) + " tokens/s per user";
  if (g.prefill_tok_s >= 0) rates += ", prefill " + short_number(g.prefill_tok_s) + " tokens/s";
  out += rates + "\n";
  if (g.n_in_p50 >= 0 || g.n_out_p50 >= 0)
    out += "tokens    in " + std::to_string(g.n_in_min) + ".." + std::to_string(g.n_in_p50) + ".." +
           std::to_string(g.n_in_max) + ", out " + std::to_string(g.n_out_min) + ".." +
           std::to_string(g.n_out_p50) + ".." + std::to_string(g.n_out_max) +
           " (least, median, most; counted by " + g.tokens_source + ")\n";
  if (g.peak_rss_bytes >= 0)
    out += "memory    peak " + megabytes(g.peak_rss_bytes) +
           (g.bytes_per_token >= 0
                ? "; " + megabytes(static_cast<int64_t>(g.bytes_per_token)) + " read per token"
                : "") +
           (g.bandwidth_share >= 0
                ? ", " + short_number(g.bandwidth_share * 100) + " % of the measured read bandwidth"
                : "") +
           "\n";
  if (g.good_share >= 0)
    out += "goodput   " + short_number(g.goodput) + " requests/s meet every limit, " +
           short_number(g.good_share * 100) + " % [" + short_number(g.good_share_interval.lo * 100) + ", " +
           short_number(g.good_share_interval.hi * 100) + "]\n";
  if (svc && resp)
    out += "omission  from plan minus from send, e2e: P50 +" +
           short_number(resp->p50.value - svc->p50.value) + " P90 +" +
           short_number(resp->p90.value - svc->p90.value) + " P99 +" +
           short_number(resp->p99.value - svc->p99.value) + " ms; sent late by at most " +
           short_number(g.late_p99_ms) + " ms at P99\n";
  if (options.plots && g.n_ok >= 2) {
    const Metric shown = g.find(Metric::kTtft, Clock::kResp) ? Metric::kTtft : Metric::kE2e;
    std::vector<double> values = metric_values(records, shown, open ? Clock::kResp : Clock::kSvc);
    out += "over time " + sparkline(values, std::max(10, options.width - 34), options.unicode) + "  " +
           metric_name(shown) + ", top " + short_number(*std::max_element(values.begin(), values.end())) +
           " ms\n";
    std::sort(values.begin(), values.end());
    out += plot_cdf(values, {std::max(30, options.width - 10), 6, options.unicode});
  }
  return out + warnings(g);
}

}  // namespace

std::string header_text(const RecordSet& set) {
  std::string out;
  for (const Json& h : set.headers) {
    const Json *target = h.find("target"), *plan = h.find("plan"), *env = h.find("env");
    std::string what = text_member(target, "model");
    for (const char* key : {"command", "url"})
      if (what.empty()) what = text_member(target, key);
    if (out.find(what) != std::string::npos && !what.empty()) continue;
    if (!text_member(target, "kind").empty()) out += text_member(target, "kind") + " " + what;
    if (const std::string b = text_member(h.find("target_b"), "kind"); !b.empty())
      out += " against a second arm";
    if (const std::string hash = text_member(plan, "hash"); !hash.empty())
      out += "  plan " + hash.substr(0, 10);
    if (!text_member(env, "cpu_model").empty())
      out += "  " + text_member(env, "cpu_model") + ", " + text_member(env, "isa") + ", " +
             text_member(env, "threads") + " threads";
    out += "\n";
  }
  return out;
}

std::string stats_text(const RecordSet& set, const std::vector<GroupSummary>& groups,
                       const StatsOptions& options) {
  std::string out = header_text(set);
  for (const GroupSummary& g : groups) out += group_text(set, g, options);
  out += overhead_line(set);
  out += "percentiles: " + std::string(quantile_method_name(options.method)) + "; [ ] " +
         short_number(options.level * 100) +
         " % order-statistic intervals; >= what was seen, n too small to say\n";
  if (set.n_bad)
    out += "! " + std::to_string(set.n_bad) + " of " + std::to_string(set.n_lines) + " lines are malformed\n";
  if (set.interrupted) out += "! the run was interrupted: --resume completes it\n";
  if (set.cut_off) out += "! no trailer: the file is cut off or still being written\n";
  return out;
}

}  // namespace ds::bench
