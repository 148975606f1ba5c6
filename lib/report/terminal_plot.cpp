#include "report/terminal_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/utf8.h"
#include "report/words.h"

namespace ds::report {
namespace {

// A grid of braille cells, 2 dots wide and 4 high each; in ASCII one dot per cell.
class Canvas {
 public:
  Canvas(int width, int height, bool unicode)
      : width_(width), height_(height), unicode_(unicode), cells_(static_cast<size_t>(width * height)) {}
  int dots_x() const { return unicode_ ? width_ * 2 : width_; }
  int dots_y() const { return unicode_ ? height_ * 4 : height_; }
  // y counts from the bottom.
  void set(int x, int y) {
    if (x < 0 || y < 0 || x >= dots_x() || y >= dots_y()) return;
    const int top = dots_y() - 1 - y;
    if (!unicode_) {
      cells_[static_cast<size_t>(top * width_ + x)] = 1;
      return;
    }
    constexpr unsigned char kDot[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    cells_[static_cast<size_t>(top / 4 * width_ + x / 2)] |= kDot[top % 4][x % 2];
  }
  // A line through the empty cells of this column.
  void mark_column(int x) { marked_ = x; }
  std::string row(int r) const {
    std::string out;
    for (int x = 0; x < width_; ++x) {
      const unsigned char c = cells_[static_cast<size_t>(r * width_ + x)];
      if (!c && x == marked_)
        out += unicode_ ? "┊" : ":";
      else if (!unicode_)
        out += c ? '*' : ' ';
      else if (c)
        append_utf8(out, 0x2800u + c);
      else
        out += ' ';
    }
    return out.substr(0, out.find_last_not_of(' ') + 1);
  }

 private:
  int width_, height_, marked_ = -1;
  bool unicode_;
  std::vector<unsigned char> cells_;
};

std::string bottom_axis(double lo, double mid, double hi, int width, const char* unit, int margin) {
  const std::string left = short_number(lo), middle = short_number(mid), right = short_number(hi) + unit;
  std::string line(static_cast<size_t>(margin), ' ');
  line += left;
  const int mid_at = margin + width / 2 - static_cast<int>(middle.size()) / 2;
  if (mid_at > static_cast<int>(line.size()))
    line += std::string(static_cast<size_t>(mid_at) - line.size(), ' ') + middle;
  const int right_at = margin + width - static_cast<int>(right.size());
  line += right_at > static_cast<int>(line.size())
              ? std::string(static_cast<size_t>(right_at) - line.size(), ' ')
              : " ";
  return line + right + "\n";
}

}  // namespace

std::string plot_cdf(std::span<const double> sorted, const PlotStyle& style) {
  if (sorted.size() < 2) return "";
  constexpr int kMargin = 7;
  const int width = std::max(10, style.width - kMargin - 1);
  Canvas canvas(width, style.height, style.unicode);
  const auto n = static_cast<double>(sorted.size());
  const double lo = sorted.front(), hi = sorted.back() > lo ? sorted.back() : lo + 1;
  // One slow request must not press all others against the edge: then the axis is logarithmic.
  const bool is_log = lo > 0 && hi > 10 * sorted[sorted.size() / 2];
  // The top of the axis is the largest share the sample can show.
  const double top = std::log10(n + 1);
  const auto nines = [&](double share) { return -std::log10(std::max(1e-12, 1 - share)) / top; };
  for (int x = 0; x < canvas.dots_x(); ++x) {
    const double place = (x + 0.5) / canvas.dots_x();
    const double value = is_log ? lo * std::pow(hi / lo, place) : lo + (hi - lo) * place;
    const auto below =
        static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
    canvas.set(x, static_cast<int>(nines(below / (n + 1)) * (canvas.dots_y() - 1) + 0.5));
  }
  if (style.limit_ms >= lo && style.limit_ms <= hi) {
    const double at =
        is_log ? std::log(style.limit_ms / lo) / std::log(hi / lo) : (style.limit_ms - lo) / (hi - lo);
    canvas.mark_column(std::min(width - 1, static_cast<int>(at * width)));
  }
  std::vector<std::string> labels(static_cast<size_t>(style.height));
  for (const auto& [share, label] : {std::pair(0.0, "0"),
                                     {0.5, "P50"},
                                     {0.9, "P90"},
                                     {0.99, "P99"},
                                     {0.999, "P99.9"},
                                     {0.9999, "P99.99"}}) {
    const double y = nines(share);
    if (y <= 1)
      labels[static_cast<size_t>(style.height - 1 - static_cast<int>(y * (style.height - 1) + 0.5))] = label;
  }
  std::string out;
  for (int r = 0; r < style.height; ++r) {
    char label[16];
    std::snprintf(label, sizeof label, "%6s ", labels[static_cast<size_t>(r)].c_str());
    out += label + std::string(style.unicode ? "│" : "|") + canvas.row(r) + "\n";
  }
  return out + bottom_axis(lo, is_log ? std::sqrt(lo * hi) : (lo + hi) / 2, hi, width,
                           is_log ? " ms (log)" : " ms", kMargin + 1);
}

std::string plot_curve(std::span<const double> x, std::span<const double> y, const PlotStyle& style) {
  constexpr int kMargin = 10;
  double lo = INFINITY, hi = -INFINITY;
  for (const double v : y)
    if (std::isfinite(v)) lo = std::min(lo, v), hi = std::max(hi, v);
  if (x.empty() || x.size() != y.size() || lo > hi) return "";
  const int width = std::max(10, style.width - kMargin - 1);
  Canvas canvas(width, style.height, style.unicode);
  const double x_range = x.back() > x.front() ? x.back() - x.front() : 1, y_range = hi > lo ? hi - lo : 1;
  int last_x = -1, last_y = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(y[i])) continue;
    const int px = static_cast<int>(std::lround((x[i] - x.front()) / x_range * (canvas.dots_x() - 1)));
    const int py = static_cast<int>(std::lround((y[i] - lo) / y_range * (canvas.dots_y() - 1)));
    // Each column between two points, so that the curve has no gaps across.
    for (int c = last_x < 0 ? px : last_x + 1; c <= px; ++c)
      canvas.set(c, last_x < 0 ? py : last_y + (py - last_y) * (c - last_x) / (px - last_x));
    canvas.set(px, py);
    last_x = px, last_y = py;
  }
  std::string out;
  for (int r = 0; r < style.height; ++r) {
    std::string label = r == 0 ? short_number(hi) : r == style.height - 1 ? short_number(lo) : "";
    label.insert(0, label.size() < kMargin - 2 ? kMargin - 2 - label.size() : 0, ' ');
    out += label + (style.unicode ? " ┤" : " |") + canvas.row(r) + "\n";
  }
  return out + bottom_axis(x.front(), x.front() + x_range / 2, x.back(), width, "", kMargin);
}

std::string sparkline(std::span<const double> values, int width, bool unicode) {
  if (values.empty() || width <= 0) return "";
  const auto n = values.size(), columns = std::min(n, static_cast<size_t>(width));
  const double top = *std::max_element(values.begin(), values.end());
  std::string out;
  for (size_t c = 0; c < columns; ++c) {
    const size_t from = c * n / columns, to = std::max(from + 1, (c + 1) * n / columns);
    const double v = *std::max_element(values.begin() + static_cast<int64_t>(from),
                                       values.begin() + static_cast<int64_t>(to));
    const int level = top > 0 ? std::clamp(static_cast<int>(v / top * 7.999), 0, 7) : 0;
    if (unicode)
      append_utf8(out, 0x2581u + static_cast<uint32_t>(level));
    else
      out += "_.-=+*#@"[level];
  }
  return out;
}

}  // namespace ds::report
