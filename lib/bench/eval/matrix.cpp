#include "bench/eval/matrix.h"

#include <algorithm>
#include <cstdio>

#include "bench/eval/questions.h"
#include "bench/eval/tally.h"
#include "bench/load/load.h"
#include "bench/stats/stats.h"
#include "core/clock.h"
#include "core/json_value.h"
#include "report/words.h"

namespace ds::bench {
namespace {

MatrixRow accuracy_row(const char* capability, const char* metric,
                       const std::vector<const ItemRecord*>& items) {
  const Tally s = tally("", items);
  MatrixRow row{capability, metric, "no questions", "", s.n};
  if (s.n) {
    row.measured = percent(static_cast<double>(s.n_correct) / static_cast<double>(s.n));
    row.interval = percent(s.interval.lo) + " .. " + percent(s.interval.hi);
  }
  return row;
}

}  // namespace

Matrix measure_matrix(Target& target, const MatrixOptions& o) {
  Matrix m;
  const auto say = [&](const std::string& text) {
    if (o.note) o.note(text);
  };
  const auto evaluate = [&](const char* set) {
    std::vector<ItemRecord> items;
    say(std::string("evaluating ") + set);
    AskOptions e;
    e.limit = o.n_questions;
    e.max_tokens = o.max_tokens;
    e.stop = o.stop;
    e.on_item = [&](const ItemRecord& i) { items.push_back(i); };
    m.complete &= ask(target, read_questions(set, o.data_folder), e);
    return items;
  };
  const auto pointers = [](const std::vector<ItemRecord>& items, int64_t min_turns) {
    std::vector<const ItemRecord*> out;
    for (const auto& i : items)
      if (i.turns >= min_turns) out.push_back(&i);
    return out;
  };
  const auto math = evaluate("math");
  m.rows.push_back(accuracy_row("reasoning", "exact match, arithmetic and word problems", pointers(math, 0)));
  const auto talks = evaluate("multiturn");
  m.rows.push_back(
      accuracy_row("retention, 20+ turns", "earlier fact recalled in the last turn", pointers(talks, 20)));
  m.rows.push_back(
      accuracy_row("retention, all lengths", "earlier fact recalled in the last turn", pointers(talks, 0)));
  const auto reading = evaluate("reading");
  m.rows.push_back(accuracy_row("reading", "exact match on a list of facts", pointers(reading, 0)));

  say("measuring latency");
  PlanOptions p;
  p.n_requests = o.n_requests;
  RecordSet set;
  LoadOptions load;
  load.stop = o.stop;
  load.salt = static_cast<uint64_t>(now_ns()) | 1;  // a server must not answer from its cache
  load.on_record = [&](const RequestRecord& r) { set.requests.push_back(r); };
  m.complete &= !run_load({&target}, make_plan(p), load).stopped;
  const auto groups = summarize(set, {});
  for (const auto& [metric, name] : {std::pair(Metric::kTtft, "P90 time to first token, ms"),
                                     std::pair(Metric::kTpot, "P90 time per output token, ms"),
                                     std::pair(Metric::kE2e, "P90 end to end, ms")}) {
    MatrixRow row{"latency, one client", name, "no answers", "", 0};
    const MetricSummary* s = groups.empty() ? nullptr : groups[0].find(metric, Clock::kSvc);
    if (s && s->n) {
      row.n = s->n;
      row.measured = short_number(s->p90.value);
      row.interval = s->p90.interval
                         ? short_number(s->p90.interval->lo) + " .. " + short_number(s->p90.interval->hi)
                         : "withheld, n < " + std::to_string(s->p90.n_needed);
    }
    m.rows.push_back(row);
  }
  return m;
}

std::string matrix_text(const Matrix& m, int width) {
  char line[160];
  std::string out;
  constexpr int kWide = 70;
  const char* format = width < kWide ? "%-22s %-12s %-17s %4s" : "%-23s %-18s %-20s %5s";
  const auto row = [&](const char* capability, const char* measured, const char* interval, const char* n) {
    std::snprintf(line, sizeof line, format, capability, measured, interval, n);
    out += line;
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  };
  row("capability", "measured", "95 % interval", "n");
  for (const MatrixRow& r : m.rows) {
    row(r.capability.c_str(), r.measured.c_str(), r.interval.c_str(), r.n ? std::to_string(r.n).c_str() : "");
    out += fold("    " + r.metric, width, 4);
  }
  return out + (m.complete ? "" : "! interrupted: the rows are incomplete\n");
}

Json matrix_json(const Matrix& m) {
  Json::array_t rows;
  for (const MatrixRow& r : m.rows)
    rows.push_back(Json{{"capability", r.capability},
                        {"metric", r.metric},
                        {"measured", r.measured},
                        {"interval", r.interval},
                        {"n", r.n}});
  return Json{{"schema", "dsbench-matrix/1"}, {"complete", m.complete}, {"rows", std::move(rows)}};
}

}  // namespace ds::bench
