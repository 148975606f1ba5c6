#include "bench/stats/metric.h"

#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace ds::bench {

const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::kTtft:
      return "ttft";
    case Metric::kTtfa:
      return "ttfa";
    case Metric::kTpot:
      return "tpot";
    case Metric::kItl:
      return "itl";
    case Metric::kE2e:
      return "e2e";
  }
  return "?";
}

std::optional<Metric> metric_from_name(std::string_view name) {
  for (const Metric m : kMetrics)
    if (name == metric_name(m)) return m;
  return std::nullopt;
}

std::optional<double> metric_ms(const RequestRecord& r, Metric metric, Clock clock) {
  if (!r.ok()) return std::nullopt;
  const int64_t start = clock == Clock::kSvc ? r.t_send_ns : r.t_plan_ns;
  const auto ms = [](int64_t ns) { return static_cast<double>(ns) * 1e-6; };
  switch (metric) {
    case Metric::kTtft:
      if (r.t_first_ns < 0) return std::nullopt;
      return ms(r.t_first_ns - start);
    case Metric::kTtfa:
      if (r.t_answer_ns < 0) return std::nullopt;
      return ms(r.t_answer_ns - start);
    case Metric::kTpot:
      // Everything in one event tells nothing about the time between tokens.
      if (r.t_first_ns < 0 || r.n_out < 2 || r.t_last_ns == r.t_first_ns) return std::nullopt;
      return ms(r.t_last_ns - r.t_first_ns) / static_cast<double>(r.n_out - 1);
    case Metric::kItl: {
      if (r.gaps_ns.empty()) return std::nullopt;
      int64_t sum = 0;
      for (const int64_t g : r.gaps_ns) sum += g;
      return ms(sum) / static_cast<double>(r.gaps_ns.size());
    }
    case Metric::kE2e:
      return ms(r.t_done_ns - start);
  }
  return std::nullopt;
}

std::vector<double> metric_values(const std::vector<const RequestRecord*>& records, Metric metric,
                                  Clock clock) {
  std::vector<double> values;
  for (const RequestRecord* r : records) {
    if (metric == Metric::kItl) {
      if (r->ok())
        for (const int64_t g : r->gaps_ns) values.push_back(static_cast<double>(g) * 1e-6);
    } else if (const auto v = metric_ms(*r, metric, clock)) {
      values.push_back(*v);
    }
  }
  return values;
}

double parse_duration_ms(const std::string& text, const std::string& where) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double scale = unit == "ms"   ? 1
                       : unit == "s"  ? 1e3
                       : unit == "us" ? 1e-3
                       : unit == "m"  ? 6e4
                       : unit == "h"  ? 3.6e6
                                      : 0;
  if (end == text.c_str() || scale == 0 || !std::isfinite(number) || number < 0)
    throw Error(ErrorKind::kUsage, "'" + text + "' is no duration", where, "write 200ms, 1.5s, 10m");
  return number * scale;
}

std::vector<Objective> parse_objectives(const std::string& text, const std::string& where) {
  std::vector<Objective> objectives;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string term = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t equals = term.find('='), at = term.find('@');
    const auto metric = metric_from_name(term.substr(0, equals));
    if (equals == std::string::npos || !metric)
      throw Error(ErrorKind::kUsage, "'" + term + "' is no objective", where,
                  "write ttft=200ms@p99,tpot=50ms@p90 (metrics: ttft, tpot, itl, e2e)");
    Objective o{*metric, 0, 1};
    o.limit_ms =
        parse_duration_ms(term.substr(equals + 1, at == std::string::npos ? at : at - equals - 1), where);
    if (at != std::string::npos) {
      const std::string share = term.substr(at + 1);
      char* rest = nullptr;
      o.share = share.size() > 1 && share[0] == 'p' ? std::strtod(share.c_str() + 1, &rest) / 100 : 0;
      if (!rest || *rest || !(o.share > 0) || o.share >= 1)
        throw Error(ErrorKind::kUsage, "'" + share + "' is no percentile", where,
                    "write @p90, @p99 or @p99.9");
    }
    objectives.push_back(o);
  }
  return objectives;
}

bool meets(const RequestRecord& record, const std::vector<Objective>& objectives, Clock clock) {
  if (!record.ok()) return false;
  for (const Objective& o : objectives)
    if (const auto v = metric_ms(record, o.metric, clock); v && *v > o.limit_ms) return false;
  return true;
}

}  // namespace ds::bench
