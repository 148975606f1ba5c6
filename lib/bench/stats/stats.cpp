#include "bench/stats/stats.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <tuple>

#include "core/json_value.h"
#include "report/words.h"

namespace ds::bench {
namespace {

std::vector<double> sorted(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v;
}

// Intervals that belong to different percentiles may rest on different numbers of independent requests; an
// edge must still not fall while the percentile rises. The wider of two contradicting edges holds.
void make_monotone(MetricSummary& m) {
  Quantile* const all[] = {&m.p50, &m.p90, &m.p95, &m.p99};
  for (size_t i = 1; i < std::size(all); ++i) {
    auto &before = all[i - 1]->interval, &now = all[i]->interval;
    if (!before) now.reset();  // nothing can be said of a tail beyond one of which nothing can be said
    if (now) now->hi = std::max(now->hi, before->hi);
  }
  for (size_t i = std::size(all) - 1; i > 0; --i)
    if (all[i]->interval) all[i - 1]->interval->lo = std::min(all[i - 1]->interval->lo, all[i]->interval->lo);
}

MetricSummary summarize_metric(const std::vector<const RequestRecord*>& records, Metric metric, Clock clock,
                               const StatsOptions& options) {
  MetricSummary m;
  m.metric = metric;
  m.clock = clock;
  std::vector<double> values = metric_values(records, metric, clock);
  m.n = static_cast<int64_t>(values.size());
  if (values.empty()) return m;
  m.effective_n = effective_samples(values);
  const std::vector<double> in_order = values;
  values = sorted(std::move(values));
  for (const double v : values) m.mean += v;
  m.mean /= static_cast<double>(m.n);
  m.max = values.back();
  // What bounds a percentile is how many values lie beyond it, so it is that series whose dependence counts.
  for (const auto& [p, out] : {std::pair(0.5, &m.p50), {0.9, &m.p90}, {0.95, &m.p95}, {0.99, &m.p99}}) {
    const double at = quantile(values, p);
    std::vector<double> beyond(in_order.size());
    for (size_t i = 0; i < beyond.size(); ++i) beyond[i] = in_order[i] > at;
    *out = quantile_with_interval(values, p, options.method, options.level, effective_samples(beyond));
  }
  make_monotone(m);
  return m;
}

// Several events within microseconds: somebody on the way, or the server itself, held them back.
bool came_at_once(const RequestRecord& r) {
  constexpr int64_t kLeastGapNs = 50'000;
  return r.n_events() >= 3 && r.t_last_ns - r.t_first_ns < kLeastGapNs * (r.n_events() - 1);
}

double median_or(std::vector<double> values, double otherwise) {
  if (values.empty()) return otherwise;
  return quantile(sorted(std::move(values)), 0.5);
}

// The longest prefix, at most a quarter, whose removal still moves the median by more than half the width of
// its interval.
int64_t unsteady_prefix(const std::vector<double>& in_order) {
  const auto n = in_order.size();
  if (n < 24) return 0;
  const auto all = quantile_with_interval(sorted(in_order), 0.5);
  if (!all.interval) return 0;
  const double half = (all.interval->hi - all.interval->lo) / 2;
  // Each length costs two sorts: lengths a tenth apart are enough, and a million requests take seconds.
  for (size_t k = n / 4; k >= 1; k -= std::max<size_t>(1, k / 10)) {
    const double rest = quantile(sorted({in_order.begin() + static_cast<int64_t>(k), in_order.end()}), 0.5);
    const double before =
        quantile(sorted({in_order.begin(), in_order.begin() + static_cast<int64_t>(k)}), 0.5);
    // The prefix itself must be slower: a run that slows down later is no matter of warm-up.
    if (std::fabs(rest - all.value) > half && before > rest) return static_cast<int64_t>(k);
  }
  return 0;
}

void add_lengths(GroupSummary& g, const std::vector<const RequestRecord*>& records) {
  std::vector<double> in, out;
  int64_t n_short = 0, n_asked = 0, n_tokens = 0, n_events = 0, n_prompt = 0, n_cached = 0;
  for (const RequestRecord* r : records) {
    if (!r->ok()) continue;
    if (r->n_in >= 0) in.push_back(static_cast<double>(r->n_in));
    if (r->n_in > 0 && r->n_in_cached >= 0) n_prompt += r->n_in, n_cached += r->n_in_cached;
    if (g.want_in < 0) g.want_in = r->want_in;
    if (r->want_out >= 0) {
      g.want_out = g.want_out < 0 ? r->want_out : std::min(g.want_out, r->want_out);
      g.want_out_max = std::max(g.want_out_max, r->want_out);
    }
    if (r->n_out >= 0) {
      out.push_back(static_cast<double>(r->n_out));
      if (r->tokens_source != "events") n_tokens += r->n_out, n_events += r->n_events();
    }
    if (r->n_out >= 0 && r->want_out > 0) ++n_asked, n_short += r->n_out < r->want_out;
    if (!r->tokens_source.empty()) g.tokens_source = r->tokens_source;
  }
  const auto three = [](std::vector<double> v, int64_t& lo, int64_t& mid, int64_t& hi) {
    if (v.empty()) return;
    v = sorted(std::move(v));
    lo = static_cast<int64_t>(v.front()), mid = static_cast<int64_t>(quantile(v, 0.5)),
    hi = static_cast<int64_t>(v.back());
  };
  three(in, g.n_in_min, g.n_in_p50, g.n_in_max);
  three(out, g.n_out_min, g.n_out_p50, g.n_out_max);
  if (n_prompt) g.cached_share = static_cast<double>(n_cached) / static_cast<double>(n_prompt);
  if (n_asked) g.short_share = static_cast<double>(n_short) / static_cast<double>(n_asked);
  if (n_events) g.tokens_per_event = static_cast<double>(n_tokens) / static_cast<double>(n_events);
}

// Wall time of each segment and shard apart: a resumed run did not measure while it was away.
double wall_seconds(const std::vector<const RequestRecord*>& records) {
  std::map<std::pair<int32_t, int64_t>, std::pair<int64_t, int64_t>> segments;
  for (const RequestRecord* r : records) {
    auto [it, fresh] = segments.try_emplace({r->clock, r->segment}, r->t_send_ns, r->t_done_ns);
    if (!fresh) {
      it->second.first = std::min(it->second.first, r->t_send_ns);
      it->second.second = std::max(it->second.second, r->t_done_ns);
    }
  }
  double s = 0;
  for (const auto& [segment, span] : segments) s += static_cast<double>(span.second - span.first) * 1e-9;
  return s;
}

// Bytes a token moves, and which share of the measured read bandwidth that is at the median TPOT.
void add_bandwidth(GroupSummary& g, const RecordSet& set) {
  const MetricSummary* tpot = g.find(Metric::kTpot, Clock::kSvc);
  const RunHeader* h = header_of(set, g.run);
  if (!h || h->of_arm(g.arm).weight_bytes_per_token <= 0) return;
  const TargetHeader& target = h->of_arm(g.arm);
  const double context = static_cast<double>(std::max<int64_t>(0, g.n_in_p50)) +
                         static_cast<double>(std::max<int64_t>(0, g.n_out_p50)) / 2;
  g.bytes_per_token = target.weight_bytes_per_token + target.cache_bytes_per_token * context;
  if (h->read_gb_s > 0 && tpot && tpot->p50.value > 0)
    g.bandwidth_share = g.bytes_per_token / (tpot->p50.value * 1e-3) / (h->read_gb_s * 1e9);
}

void fill_group(GroupSummary& g, const RecordSet& set, const StatsOptions& options) {
  const auto records = group_records(set, g);
  const RunHeader* header = header_of(set, g.run);
  g.open = header && header->open;
  for (const auto& r : set.requests) g.n_warmup += r.phase == "warmup" && r.run == g.run && r.arm == g.arm;
  std::vector<double> user, prefill, late, e2e;
  int64_t n_tokens = 0, n_good = 0, n_several = 0, n_at_once = 0;
  bool tokens_known = false;
  for (const RequestRecord* r : records) {
    ++g.n;
    late.push_back(static_cast<double>(r->t_send_ns - r->t_plan_ns) * 1e-6);
    g.peak_rss_bytes = std::max(g.peak_rss_bytes, r->peak_rss_bytes);
    n_good += meets(*r, options.objectives, Clock::kResp);
    if (!r->ok()) {
      if (g.errors[r->error]++ == 0) g.error_details[r->error] = r->error_detail;
      continue;
    }
    ++g.n_ok;
    g.n_silent += r->silent();
    if (!r->finish.empty()) ++g.finishes[r->finish];
    if (r->n_out >= 0) n_tokens += r->n_out, tokens_known = true;
    n_several += r->n_events() >= 3;
    n_at_once += came_at_once(*r);
    if (const auto t = metric_ms(*r, Metric::kTpot, Clock::kSvc); t && *t > 0 && !came_at_once(*r))
      user.push_back(1e3 / *t);
    if (const auto t = metric_ms(*r, Metric::kTtft, Clock::kSvc); t && *t > 0 && r->n_in > 0)
      prefill.push_back(static_cast<double>(r->n_in) / (*t * 1e-3));
    e2e.push_back(*metric_ms(*r, Metric::kE2e, Clock::kSvc));
  }
  for (const Metric metric : kMetrics)
    for (const Clock clock : {Clock::kSvc, Clock::kResp}) {
      // Gaps and TPOT lie between events: the start plays no part in them.
      MetricSummary m = summarize_metric(records, metric, clock, options);
      if (m.n) g.metrics.push_back(std::move(m));
    }
  if (n_several) g.at_once_share = static_cast<double>(n_at_once) / static_cast<double>(n_several);
  g.wall_s = wall_seconds(records);
  if (g.wall_s > 0) {
    g.requests_per_s = static_cast<double>(g.n_ok) / g.wall_s;
    if (tokens_known) g.tok_s = static_cast<double>(n_tokens) / g.wall_s;
    if (!options.objectives.empty()) g.goodput = static_cast<double>(n_good) / g.wall_s;
  }
  if (!options.objectives.empty() && g.n) {
    g.good_share = static_cast<double>(n_good) / static_cast<double>(g.n);
    g.good_share_interval = wilson_interval(n_good, g.n, options.level);
  }
  g.tok_s_user = median_or(std::move(user), -1);
  g.prefill_tok_s = median_or(std::move(prefill), -1);
  add_lengths(g, records);
  add_bandwidth(g, set);
  g.unsteady_prefix = unsteady_prefix(e2e);
  if (!late.empty()) g.late_p99_ms = quantile(sorted(std::move(late)), 0.99);
}

}  // namespace

const MetricSummary* GroupSummary::find(Metric metric, Clock clock) const {
  for (const auto& m : metrics)
    if (m.metric == metric && m.clock == clock) return &m;
  return nullptr;
}

const char* GroupSummary::gap_name() const {
  return tokens_source.empty() || tokens_per_event > 1.05 ? "gap" : metric_name(Metric::kItl);
}

std::vector<const RequestRecord*> group_records(const RecordSet& set, const GroupSummary& g) {
  std::vector<const RequestRecord*> out;
  for (const RequestRecord& r : set.requests)
    if (r.phase != "warmup" && r.run == g.run && r.arm == g.arm && r.point == g.point) out.push_back(&r);
  std::stable_sort(out.begin(), out.end(), [](const RequestRecord* a, const RequestRecord* b) {
    return std::tuple(a->clock, a->segment, a->t_send_ns) < std::tuple(b->clock, b->segment, b->t_send_ns);
  });
  return out;
}

std::string group_name(const RecordSet& set, const GroupSummary& g) {
  std::string name = set.runs.size() > 1 ? set.runs[static_cast<size_t>(g.run)].name : "";
  const auto add = [&](const std::string& part) { name += (name.empty() ? "" : " ") + part; };
  const RunHeader* header = header_of(set, g.run);
  if (g.arm != "a" || (header && header->target_b)) add("arm " + g.arm);
  if (!g.point.empty()) add(g.point);
  return name;
}

std::vector<GroupSummary> summarize(const RecordSet& set, const StatsOptions& options) {
  std::vector<GroupSummary> groups;
  std::set<std::tuple<int32_t, std::string, std::string>> seen;
  for (const RequestRecord& r : set.requests) {
    if (r.phase == "warmup" || !seen.emplace(r.run, r.arm, r.point).second) continue;
    GroupSummary g;
    g.run = r.run, g.arm = r.arm, g.point = r.point;
    groups.push_back(std::move(g));
  }
  for (GroupSummary& g : groups) fill_group(g, set, options);
  return groups;
}

std::string withheld_text(const Quantile& q) {
  return (q.n_effective < q.n ? "n~" : "n ") + std::to_string(q.n_effective) + " < " +
         std::to_string(q.n_needed);
}

std::string interval_text(const Quantile& q) {
  if (!q.interval) return q.n == 0 ? "" : withheld_text(q);
  return "[" + short_number(q.interval->lo) + ", " + short_number(q.interval->hi) + "]" +
         (q.n_effective < q.n ? "~" : "");
}

std::string quantile_text(const Quantile& q) {
  if (q.n == 0) return "-";
  if (!q.interval) return ">= " + short_number(q.value) + " (" + withheld_text(q) + ")";
  return short_number(q.value) + " " + interval_text(q);
}

}  // namespace ds::bench
