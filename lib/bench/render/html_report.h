// One self-contained HTML page: no scripts, nothing fetched, light and dark. The records are inside, so
// `ds-bench stats report.html` reads it back.
#pragma once
#include <string>

#include "bench/records/record.h"
#include "bench/stats/stats.h"

namespace ds::bench {

std::string report_html(const RecordSet& set, const StatsOptions& options, const std::string& title);

}  // namespace ds::bench
