#include "bench/records/embedded.h"

#include "core/error.h"
#include "report/html.h"

namespace ds::bench {

const std::string_view kRecordsBegin = "<pre id=\"ds-bench-records\">";
const std::string_view kRecordsEnd = "</pre>";

std::string embedded_records(std::string_view page, const std::string& where) {
  const size_t begin = page.find(kRecordsBegin);
  const size_t end = begin == std::string_view::npos ? begin : page.find(kRecordsEnd, begin);
  if (end == std::string_view::npos)
    throw Error(ErrorKind::kBadData, "no embedded records", where,
                "was this page written by ds-bench report?");
  const size_t from = begin + kRecordsBegin.size();
  return unescape_html(page.substr(from, end - from));
}

}  // namespace ds::bench
