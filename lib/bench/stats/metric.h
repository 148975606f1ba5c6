// The metrics, defined once.
//
//   ttft  first event with content - start           itl   gaps between successive events with content
//   ttfa  first event of the answer itself - start, where the target puts reasoning before it
//   tpot  (last - first) / (output tokens - 1)       e2e   end of stream (or exit of the command) - start
//
// The start is when the request was sent (.svc) or when the load plan wanted it sent (.resp): under load a
// slow server delays later sends, and only the second clock sees what a user would have waited (coordinated
// omission).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bench/records/record.h"

namespace ds::bench {

enum class Metric { kTtft, kTtfa, kTpot, kItl, kE2e };
enum class Clock { kSvc, kResp };
constexpr Metric kMetrics[] = {Metric::kTtft, Metric::kTtfa, Metric::kTpot, Metric::kItl, Metric::kE2e};

const char* metric_name(Metric metric);  // "ttft", ...
std::optional<Metric> metric_from_name(std::string_view name);

// One request's value in ms; absent for failed requests and where it is undefined. ITL: its mean gap.
std::optional<double> metric_ms(const RequestRecord& record, Metric metric, Clock clock);
// All values in ms, in send order; ITL pools every gap.
std::vector<double> metric_values(const std::vector<const RequestRecord*>& records, Metric metric,
                                  Clock clock);

// An objective on every request: "ttft=200ms,e2e=2s", or with the share that must meet it:
// "ttft=200ms@p99,tpot=50ms@p90". Throws Error{kUsage}.
struct Objective {
  Metric metric = Metric::kTtft;
  double limit_ms = 0;
  double share = 1;  // 0.99 for @p99; 1 when none was given
};
std::vector<Objective> parse_objectives(const std::string& text, const std::string& where);
// "200ms", "1.5s", "800us" to ms. Throws Error{kUsage}.
double parse_duration_ms(const std::string& text, const std::string& where);

// A failed request misses. A request for which a limit's metric is undefined (TPOT of one token) passes it.
bool meets(const RequestRecord& record, const std::vector<Objective>& objectives, Clock clock);

}  // namespace ds::bench
