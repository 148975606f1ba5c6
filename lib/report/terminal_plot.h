// Plots made of characters.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/rooms.h"

namespace ds::report {

struct PlotStyle {
  int width = 60, height = 8;  // in characters
  bool unicode = true;         // braille dots and block sparks, or ASCII
  double limit_ms = -1;        // a line across the distribution at this value; -1: none
};

// The share of values below x, on an axis of nines: P50, P90, P99, P99.9 are equally far apart, so the tail
// has room. Left labels are percentiles, the bottom one milliseconds. One line per row, ending in a newline.
std::string plot_cdf(std::span<const double> sorted_ms, const PlotStyle& style);
// A curve of y over x, which ascends, between its smallest and its largest value; what is not finite is left
// out. Both values stand left of it, the ends of x below.
std::string plot_curve(std::span<const double> x, std::span<const double> y, const PlotStyle& style);
// One line: the largest value of each of `width` stretches of the series.
std::string sparkline(std::span<const double> values, int width, bool unicode);

}  // namespace ds::report
