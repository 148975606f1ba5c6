// The block of records inside a report that makes the page readable by ds-bench again.
#pragma once
#include <string>
#include <string_view>

namespace ds::bench {

// The tags around the escaped JSON lines.
extern const std::string_view kRecordsBegin, kRecordsEnd;
// The JSON lines inside a page. Throws Error{kBadData} naming `where` when there are none.
std::string embedded_records(std::string_view page, const std::string& where);

}  // namespace ds::bench
