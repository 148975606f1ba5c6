// Text inside HTML.
#pragma once
#include <string>
#include <string_view>

#include "core/rooms.h"

namespace ds::report {

std::string escape_html(std::string_view text);
std::string unescape_html(std::string_view text);
// What stands below every page's title: the command line and the date.
std::string page_origin(const std::string& command_line);
// The head of a self-contained page, light or dark as its reader's system is: title, command line, date.
std::string page_head(const std::string& title, const std::string& command_line);

}  // namespace ds::report
