// The numbers of stats as a table for other programs: CSV and Markdown.
#include "bench/stats/stats.h"
#include "report/words.h"

namespace ds::bench {
namespace {

struct TableRow {
  std::string group, metric;
  const MetricSummary* summary;
};

std::vector<TableRow> rows_of(const RecordSet& set, const std::vector<GroupSummary>& groups) {
  std::vector<TableRow> rows;
  for (const GroupSummary& g : groups)
    for (const MetricSummary& m : g.metrics) {
      const bool between_events = m.metric == Metric::kTpot || m.metric == Metric::kItl;
      if (m.clock == Clock::kResp && (!g.open || between_events)) continue;
      std::string name = m.metric == Metric::kItl ? g.gap_name() : metric_name(m.metric);
      if (g.open && !between_events) name += m.clock == Clock::kSvc ? ".svc" : ".resp";
      rows.push_back({group_name(set, g), name, &m});
    }
  return rows;
}

constexpr std::pair<const char*, Quantile MetricSummary::*> kColumns[] = {{"p50", &MetricSummary::p50},
                                                                          {"p90", &MetricSummary::p90},
                                                                          {"p95", &MetricSummary::p95},
                                                                          {"p99", &MetricSummary::p99}};

// RFC 4180: quotes around what holds a comma, a quote or a line break.
std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

// A bar ends a cell, whoever wrote it.
std::string markdown_text(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

int64_t n_errors(const GroupSummary& g) {
  int64_t n = 0;
  for (const auto& [kind, count] : g.errors) n += count;
  return n;
}

std::string number_text(double v) {
  std::string out;
  append_json_number(out, v);
  return out;
}

}  // namespace

std::string stats_csv(const RecordSet& set, const std::vector<GroupSummary>& groups) {
  std::string out = "group,metric,n,mean_ms";
  for (const auto& [name, member] : kColumns)
    out += std::string(",") + name + "_ms," + name + "_lo_ms," + name + "_hi_ms";
  out += "\n";
  for (const TableRow& row : rows_of(set, groups)) {
    out += csv_cell(row.group) + "," + row.metric + "," + std::to_string(row.summary->n) + "," +
           number_text(row.summary->mean);
    for (const auto& [name, member] : kColumns) {
      const Quantile& q = row.summary->*member;
      out += "," + number_text(q.value) + "," + (q.interval ? number_text(q.interval->lo) : "") + "," +
             (q.interval ? number_text(q.interval->hi) : "");
    }
    out += "\n";
  }
  for (const GroupSummary& g : groups)
    out += csv_cell(group_name(set, g)) + ",errors," + std::to_string(n_errors(g)) +
           std::string(1 + 3 * std::size(kColumns), ',') + "\n";
  return out;
}

std::string stats_markdown(const RecordSet& set, const std::vector<GroupSummary>& groups) {
  std::string out = "| ms | n | P50 | P90 | P95 | P99 | mean |\n|---|---|---|---|---|---|---|\n";
  for (const TableRow& row : rows_of(set, groups)) {
    out += "| " + (row.group.empty() ? "" : markdown_text(row.group) + " ") + row.metric + " | " +
           std::to_string(row.summary->n);
    for (const auto& [name, member] : kColumns) out += " | " + quantile_text(row.summary->*member);
    out += " | " + short_number(row.summary->mean) + " |\n";
  }
  for (const GroupSummary& g : groups)
    if (const int64_t n = n_errors(g); n > 0)
      out += "\n" + group_name(set, g) + (group_name(set, g).empty() ? "" : ": ") + std::to_string(n) +
             " FAILED\n";
  return out + "\n" + header_text(set);
}

}  // namespace ds::bench
