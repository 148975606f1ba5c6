// ds-bench stats: whatever the records hold, requests or answers or both, in one form.
#pragma once
#include <string>

#include "bench/records/record.h"
#include "bench/stats/stats.h"

namespace ds::bench {

enum class ReportForm { kText, kJson, kCsv, kMarkdown };
// CSV and Markdown show the requests alone.
std::string records_report(const RecordSet& set, const StatsOptions& options, ReportForm form);

}  // namespace ds::bench
