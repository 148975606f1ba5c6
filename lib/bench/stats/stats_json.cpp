// The machine form of stats.
#include "bench/stats/stats.h"
#include "core/json_value.h"

namespace ds::bench {
namespace {

Json quantile_json(const Quantile& q) {
  Json out{{"ms", q.value}};
  if (q.interval) {
    out["lo"] = q.interval->lo;
    out["hi"] = q.interval->hi;
  } else {
    // The value is then only what was seen, not an estimate with a stated error.
    out["withheld"] = interval_text(q);
  }
  return out;
}

Json counts_json(const std::map<std::string, int64_t>& counts) {
  Json out = Json::object();
  for (const auto& [name, n] : counts) out[name] = n;
  return out;
}

Json known(double v) { return v < 0 ? Json() : Json(v); }
Json known(int64_t v) { return v < 0 ? Json() : Json(v); }

}  // namespace

Json stats_json(const RecordSet& set, const std::vector<GroupSummary>& groups, const StatsOptions& options) {
  Json::array_t list;
  for (const GroupSummary& g : groups) {
    Json metrics = Json::object();
    for (const MetricSummary& m : g.metrics)
      metrics[std::string(m.metric == Metric::kItl ? g.gap_name() : metric_name(m.metric)) +
              (m.clock == Clock::kSvc ? ".svc" : ".resp")] = Json{{"n", m.n},
                                                                  {"effective_n", m.effective_n},
                                                                  {"mean", m.mean},
                                                                  {"max", m.max},
                                                                  {"p50", quantile_json(m.p50)},
                                                                  {"p90", quantile_json(m.p90)},
                                                                  {"p95", quantile_json(m.p95)},
                                                                  {"p99", quantile_json(m.p99)}};
    Json out{{"run", set.runs.empty() ? "" : set.runs[static_cast<size_t>(g.run)].name},
             {"arm", g.arm},
             {"point", g.point},
             {"n", g.n},
             {"n_ok", g.n_ok},
             {"n_warmup", g.n_warmup},
             {"errors", counts_json(g.errors)},
             {"finish", counts_json(g.finishes)},
             {"metrics", std::move(metrics)},
             {"wall_s", g.wall_s},
             {"requests_per_s", g.requests_per_s},
             {"tok_s", known(g.tok_s)},
             {"tok_s_user", known(g.tok_s_user)},
             {"prefill_tok_s", known(g.prefill_tok_s)},
             {"cached_share", known(g.cached_share)},
             {"tokens_source", g.tokens_source.empty() ? Json() : Json(g.tokens_source)},
             {"tokens_per_event", known(g.tokens_per_event)},
             {"n_in", Json::array({known(g.n_in_min), known(g.n_in_p50), known(g.n_in_max)})},
             {"n_out", Json::array({known(g.n_out_min), known(g.n_out_p50), known(g.n_out_max)})},
             {"short_share", g.short_share},
             {"unsteady_prefix", g.unsteady_prefix},
             {"late_p99_ms", g.late_p99_ms},
             {"n_silent", g.n_silent},
             {"at_once_share", g.at_once_share},
             {"peak_rss_bytes", known(g.peak_rss_bytes)},
             {"bytes_per_token", known(g.bytes_per_token)},
             {"bandwidth_share", known(g.bandwidth_share)}};
    if (g.good_share >= 0) {
      out["goodput"] = g.goodput;
      out["good_share"] =
          Json{{"share", g.good_share}, {"lo", g.good_share_interval.lo}, {"hi", g.good_share_interval.hi}};
    }
    const MetricSummary *svc = g.find(Metric::kE2e, Clock::kSvc), *resp = g.find(Metric::kE2e, Clock::kResp);
    if (svc && resp)
      out["coordinated_omission_ms"] = Json{{"p50", resp->p50.value - svc->p50.value},
                                            {"p90", resp->p90.value - svc->p90.value},
                                            {"p99", resp->p99.value - svc->p99.value}};
    list.push_back(std::move(out));
  }
  return Json{{"schema", "dsbench-stats/1"}, {"percentile_method", quantile_method_name(options.method)},
              {"level", options.level},      {"n_lines", set.n_lines},
              {"n_bad", set.n_bad},          {"interrupted", set.interrupted},
              {"cut_off", set.cut_off},      {"groups", std::move(list)}};
}

}  // namespace ds::bench
