// A run's report as JSON, as lines for a terminal, as one HTML page.
#pragma once
#include <string>

#include "filter/passes/pipeline.h"

namespace ds::filter {

Json report_json(const Report& report);
// At most `width` columns; with colour when asked.
std::string report_text(const Report& report, int width, bool colour);
// Self-contained: no network, no scripts from elsewhere.
std::string report_html(const Report& report);

}  // namespace ds::filter
