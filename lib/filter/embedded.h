// Files of data/filter that are part of the program: it runs without its source tree.
#pragma once
#include <string_view>

namespace ds::filter {

// Content of data/filter/<name>; a name that is not in the table is a bug and fails DS_CHECK.
std::string_view embedded_file(std::string_view name);

}  // namespace ds::filter
