// Text inside HTML.
#pragma once
#include <string>
#include <string_view>

#include "core/rooms.h"

namespace ds::report {

std::string escape_html(std::string_view text);
std::string unescape_html(std::string_view text);

}  // namespace ds::report
