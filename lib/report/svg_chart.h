// Charts as inline SVG. Colours come from the page's style sheet (classes s0..s5), so one picture serves
// light and dark.
#pragma once
#include <string>
#include <vector>

#include "core/rooms.h"

namespace ds::report {

struct ChartSeries {
  std::string name;
  std::vector<double> x, y;
  std::vector<double> lo, hi;  // a band around y; empty: none
  enum class Style { kLine, kSteps, kPoints, kLinePoints } style = Style::kLine;
  int colour = 0;  // 0..5
};
struct ChartMark {  // a horizontal line with a label
  double y = 0;
  std::string label;
};
struct Chart {
  std::string title, x_label, y_label;
  std::vector<ChartSeries> series;
  std::vector<ChartMark> marks;
  bool nines = false;  // the y axis counts nines: 0, P50, P90, P99, ...
  bool y_from_zero = true;
  bool log_x = false, log_y = false;
  bool whole_x = false;  // x counts things: no ticks between them
  double y_end = 0;      // where the y axis ends, 0: a little above the values; 100 for shares in percent
};
// "" when there is nothing to draw.
std::string chart_svg(const Chart& chart);

// Shares in cells: rows by columns, each with its count.
struct GridCell {
  std::string row, column, text;
  double share = 0;
};
std::string grid_svg(const std::string& title, const std::vector<GridCell>& cells);

}  // namespace ds::report
