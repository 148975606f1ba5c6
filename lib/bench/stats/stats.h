// From records to numbers: one summary per arm and load point, as text for people or JSON for programs.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "bench/records/record.h"
#include "bench/stats/metric.h"
#include "bench/stats/quantile.h"

namespace ds::bench {

struct StatsOptions {
  QuantileMethod method = QuantileMethod::kNearestRank;
  double level = 0.95;
  std::vector<Objective> objectives;  // for goodput
  int width = 100;
  bool unicode = true;  // braille and blocks, or ASCII
  bool plots = true;
};

struct MetricSummary {
  Metric metric = Metric::kTtft;
  Clock clock = Clock::kSvc;
  int64_t n = 0;
  double effective_n = 0;  // of the values in send order; each percentile has its own
  double mean = 0, max = 0;
  Quantile p50, p90, p95, p99;
};

struct GroupSummary {
  int32_t run = 0;  // place in RecordSet::runs
  std::string arm, point;
  bool open = false;  // open loop: planned and actual send time differ
  int64_t n = 0, n_ok = 0, n_warmup = 0;
  std::map<std::string, int64_t> errors, finishes;
  std::map<std::string, std::string> error_details;  // of the first of each class
  std::vector<MetricSummary> metrics;                // every metric that has values, both clocks
  double wall_s = 0;  // first send to last end, summed over segments and shards
  double requests_per_s = 0;
  double tok_s = -1;                     // system: output tokens per second of wall time; -1: not known
  double tok_s_user = -1;                // median over requests of 1 / tpot
  double prefill_tok_s = -1;             // median over requests of n_in / ttft
  double goodput = -1, good_share = -1;  // requests per second that meet all objectives; their share
  Interval good_share_interval;
  double tokens_per_event = -1;
  std::string tokens_source;
  int64_t n_in_min = -1, n_in_p50 = -1, n_in_max = -1, n_out_min = -1, n_out_p50 = -1, n_out_max = -1;
  int64_t want_in = -1;                      // tokens asked for, of the first request that says so
  int64_t want_out = -1, want_out_max = -1;  // least and most asked for
  double cached_share = -1;                  // of prompt tokens, where the target tells
  double short_share = 0;                    // answers shorter than asked for
  int64_t n_silent = 0;                      // answers without a single token, and no error
  double at_once_share = 0;                  // answers of several events that arrived all together
  int64_t unsteady_prefix = 0;  // leading requests whose removal moves the median beyond its interval
  double late_p99_ms = 0;       // sent after the plan by so much
  int64_t peak_rss_bytes = -1;
  double bytes_per_token = -1;  // weights and cache that one decoded token reads; engine only
  double bandwidth_share = -1;  // of what was measured beside the run

  const MetricSummary* find(Metric metric, Clock clock) const;
  // "itl", or "gap" where an event is not known to be one token.
  const char* gap_name() const;
};

// Measured requests of each (run, arm, point), in order of appearance; warm-up is counted, not measured.
std::vector<GroupSummary> summarize(const RecordSet& set, const StatsOptions& options);
// The measured requests of one group, in send order.
std::vector<const RequestRecord*> group_records(const RecordSet& set, const GroupSummary& group);
// What tells a group from the others of its set: run, arm, load point; "" when it is the only one.
std::string group_name(const RecordSet& set, const GroupSummary& group);

Json stats_json(const RecordSet& set, const std::vector<GroupSummary>& groups, const StatsOptions& options);
std::string stats_text(const RecordSet& set, const std::vector<GroupSummary>& groups,
                       const StatsOptions& options);

// A line per group, metric and clock: CSV with plain numbers, Markdown with what stats_text shows.
std::string stats_csv(const RecordSet& set, const std::vector<GroupSummary>& groups);
std::string stats_markdown(const RecordSet& set, const std::vector<GroupSummary>& groups);

// What a reader of the numbers must know first.
std::vector<std::string> group_warnings(const GroupSummary& group);
// Target, plan and machine of each run, one line each.
std::string header_text(const RecordSet& set);
// "68.1 [66.9, 69.8]" or ">= 81 (n 300 < 368)"; "~" when fewer than all samples are independent, and the
// interval is the wider one of so few.
std::string quantile_text(const Quantile& quantile);
// Its second half alone: "[66.9, 69.8]", "n 300 < 368".
std::string interval_text(const Quantile& quantile);

}  // namespace ds::bench
