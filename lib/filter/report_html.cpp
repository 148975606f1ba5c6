#include "filter/report.h"

namespace ds::filter {
std::string report_html(const Report& r) { return "<!doctype html><pre>" + report_text(r, 100, false) + "</pre>"; }
}  // namespace ds::filter
