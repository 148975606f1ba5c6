// Text inside HTML: escaping, and the block of records that makes a report readable by ds-bench again.
#pragma once
#include <string>
#include <string_view>

namespace ds::bench {

std::string escape_html(std::string_view text);
std::string unescape_html(std::string_view text);

// The tags around the escaped JSON lines.
extern const std::string_view kRecordsBegin, kRecordsEnd;
// The JSON lines inside a page. Throws Error{kBadData} naming `where` when there are none.
std::string embedded_records(std::string_view page, const std::string& where);

}  // namespace ds::bench
