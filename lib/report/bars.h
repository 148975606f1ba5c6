// Bars: upright ones as inline SVG, lying ones as characters.
#pragma once
#include <string>
#include <vector>

namespace ds::report {

struct Bar {
  std::string label;
  double value;
  std::string tip;  // shown under the pointer
};
// A heading, a paragraph and bars with three lines of a vertical scale; `unit` follows the numbers on it.
// Colours come from page_head()'s style sheet.
std::string bars_svg(const std::string& title, const std::string& explanation, const std::vector<Bar>& bars,
                     const char* unit);
// A bar of at most `columns` characters, drawn in eighths of one; a share above 0 is seen.
std::string bar(double share, int columns);

}  // namespace ds::report
