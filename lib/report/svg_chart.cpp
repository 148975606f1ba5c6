#include "report/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "report/html.h"

namespace ds::report {
namespace {

constexpr double kWidth = 560, kHeight = 300, kLeft = 58, kRight = 14, kTop = 30, kBottom = 44;
constexpr size_t kMaxPoints = 1500;  // per series: a page stays small, a screen shows no more

std::string f1(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", v);
  return text;
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const char* css = "t") {
  return "<text class=\"" + std::string(css) + "\" x=\"" + f1(x) + "\" y=\"" + f1(y) + "\" text-anchor=\"" +
         anchor + "\">" + escape_html(text) + "</text>";
}

// Round steps of 1, 2 or 5 times a power of ten.
std::vector<double> ticks(double lo, double hi, int about, bool whole = false) {
  const double raw = (hi - lo) / about, power = std::pow(10, std::floor(std::log10(raw)));
  double step = (raw / power < 1.5 ? 1 : raw / power < 3.5 ? 2 : raw / power < 7.5 ? 5 : 10) * power;
  if (whole) step = std::max(1.0, step);
  std::vector<double> out;
  for (double v = std::ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step)
    out.push_back(std::fabs(v) < step * 1e-9 ? 0 : v);
  return out;
}

// 1, 2 and 5 of each decade between two exponents; only the decades when there are many.
std::vector<double> log_ticks(double lo, double hi) {
  std::vector<double> out;
  for (int e = static_cast<int>(std::floor(lo)); e <= static_cast<int>(std::ceil(hi)); ++e)
    for (const double m : {1.0, 2.0, 5.0}) {
      if (hi - lo > 3.2 && m != 1) continue;
      const double v = m * std::pow(10, e), at = std::log10(v);
      if (at >= lo - 1e-9 && at <= hi + 1e-9) out.push_back(v);
    }
  return out;
}

std::string tick_text(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

struct Axes {
  double x_lo = 0, x_hi = 1, y_lo = 0, y_hi = 1;
  bool nines = false, log_x = false, log_y = false;
  double scaled(double y) const {
    return nines ? -std::log10(std::max(1e-9, 1 - y)) : log_y ? std::log10(std::max(1e-9, y)) : y;
  }
  double px(double value) const {
    const double x = log_x ? std::log10(std::max(1e-9, value)) : value;
    return kLeft + (x - x_lo) / (x_hi - x_lo) * (kWidth - kLeft - kRight);
  }
  double py(double y) const {
    return kHeight - kBottom - (scaled(y) - y_lo) / (y_hi - y_lo) * (kHeight - kTop - kBottom);
  }
};

Axes fit(const Chart& c) {
  Axes a;
  a.nines = c.nines, a.log_x = c.log_x, a.log_y = c.log_y;
  double x_lo = INFINITY, x_hi = -INFINITY, y_lo = INFINITY, y_hi = -INFINITY;
  const auto see_y = [&](double y) {
    if (!std::isfinite(y)) return;
    y_lo = std::min(y_lo, a.scaled(y));
    y_hi = std::max(y_hi, a.scaled(y));
  };
  for (const auto& s : c.series) {
    for (const double v : s.x) {
      const double x = c.log_x ? std::log10(std::max(1e-9, v)) : v;
      x_lo = std::min(x_lo, x), x_hi = std::max(x_hi, x);
    }
    for (const auto* ys : {&s.y, &s.lo, &s.hi})
      for (const double y : *ys) see_y(y);
  }
  for (const auto& m : c.marks) see_y(m.y);
  if ((c.y_from_zero && !c.log_y) || c.nines) y_lo = std::min(y_lo, 0.0);
  if (!(x_hi > x_lo)) x_lo -= 0.5, x_hi += 0.5;
  if (!(y_hi > y_lo)) y_hi = y_lo + 1;
  a.x_lo = x_lo, a.x_hi = x_hi, a.y_lo = y_lo, a.y_hi = c.nines ? y_hi : y_lo + (y_hi - y_lo) * 1.05;
  if (c.y_end > 0) a.y_hi = c.y_end, a.y_lo = std::min(a.y_lo, c.y_end * 0.9);
  return a;
}

std::string frame(const Chart& c, const Axes& a) {
  std::string out;
  for (const double x : c.log_x ? log_ticks(a.x_lo, a.x_hi) : ticks(a.x_lo, a.x_hi, 6, c.whole_x)) {
    out += "<line class=\"g\" x1=\"" + f1(a.px(x)) + "\" x2=\"" + f1(a.px(x)) + "\" y1=\"" + f1(kTop) +
           "\" y2=\"" + f1(kHeight - kBottom) + "\"/>" +
           text_at(a.px(x), kHeight - kBottom + 15, "middle", tick_text(x));
  }
  std::vector<std::pair<double, std::string>> rows;
  if (c.nines) {
    for (const auto& [share, name] :
         {std::pair(0.0, "0"), {0.5, "P50"}, {0.9, "P90"}, {0.99, "P99"}, {0.999, "P99.9"}})
      if (a.scaled(share) <= a.y_hi + 1e-9) rows.emplace_back(share, name);
  } else {
    for (const double y : c.log_y ? log_ticks(a.y_lo, a.y_hi) : ticks(a.y_lo, a.y_hi, 5))
      rows.emplace_back(y, tick_text(y));
  }
  for (const auto& [y, name] : rows)
    out += "<line class=\"g\" x1=\"" + f1(kLeft) + "\" x2=\"" + f1(kWidth - kRight) + "\" y1=\"" +
           f1(a.py(y)) + "\" y2=\"" + f1(a.py(y)) + "\"/>" + text_at(kLeft - 6, a.py(y) + 4, "end", name);
  for (const auto& m : c.marks)
    out += "<line class=\"m\" x1=\"" + f1(kLeft) + "\" x2=\"" + f1(kWidth - kRight) + "\" y1=\"" +
           f1(a.py(m.y)) + "\" y2=\"" + f1(a.py(m.y)) + "\"/>" +
           text_at(kWidth - kRight - 4, a.py(m.y) - 5, "end", m.label);
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", c.x_label, "l");
  out += "<text class=\"l\" transform=\"translate(13 " + f1((kTop + kHeight - kBottom) / 2) +
         ") rotate(-90)\" text-anchor=\"middle\">" + escape_html(c.y_label) + "</text>";
  return out;
}

std::string draw(const ChartSeries& s, const Axes& a) {
  std::string out, path;
  const size_t n = std::min(s.x.size(), s.y.size()), step = n / kMaxPoints + 1;
  const std::string css = "s" + std::to_string(std::clamp(s.colour, 0, 5));
  const bool steps = s.style == ChartSeries::Style::kSteps;
  // A band needs both edges; where one is open it ends at the frame.
  if (s.lo.size() == n && s.hi.size() == n && n > 1) {
    std::string forth, back;
    const auto inside = [&](double y, double otherwise) {
      return std::clamp(std::isfinite(y) ? a.py(y) : otherwise, kTop, kHeight - kBottom);
    };
    for (size_t i = 0; i < n; i += step) {
      if (steps && i) forth += " " + f1(a.px(s.x[i])) + "," + f1(inside(s.hi[i - step], kTop));
      forth += " " + f1(a.px(s.x[i])) + "," + f1(inside(s.hi[i], kTop));
      if (steps && i)
        back = " " + f1(a.px(s.x[i])) + "," + f1(inside(s.lo[i - step], kHeight - kBottom)) + back;
      back = " " + f1(a.px(s.x[i])) + "," + f1(inside(s.lo[i], kHeight - kBottom)) + back;
    }
    out += "<polygon class=\"b " + css + "\" points=\"" + forth.substr(1) + back + "\"/>";
  }
  const bool line = s.style != ChartSeries::Style::kPoints,
             points = s.style == ChartSeries::Style::kPoints || s.style == ChartSeries::Style::kLinePoints;
  double last_y = 0;
  for (size_t i = 0; i < n; i += step) {
    if (!std::isfinite(s.y[i])) continue;
    const double x = a.px(s.x[i]), y = a.py(s.y[i]);
    if (points)
      out += "<circle class=\"p " + css + "\" cx=\"" + f1(x) + "\" cy=\"" + f1(y) + "\" r=\"" +
             f1(n > 400 ? 1.6 : 2.6) + "\"/>";
    if (!line) continue;
    if (steps && !path.empty()) path += " " + f1(x) + "," + f1(last_y);
    path += " " + f1(x) + "," + f1(y);
    last_y = y;
  }
  if (line && !path.empty()) out += "<polyline class=\"c " + css + "\" points=\"" + path.substr(1) + "\"/>";
  return out;
}

std::string open_svg(const std::string& title, double width, double height) {
  return "<svg viewBox=\"0 0 " + f1(width) + " " + f1(height) + "\" role=\"img\" aria-label=\"" +
         escape_html(title) + "\">" + text_at(8, 17, "start", title, "h");
}

// Beside the title where there is room, else in rows below the chart.
struct Legend {
  std::string svg;
  double extra_height = 0;
};
Legend draw_legend(const Chart& chart) {
  constexpr double kMark = 14, kGap = 14, kRow = 17;
  // Widths of text that a browser chooses: of wide letters of the usual faces.
  const auto width_of = [&](const ChartSeries& s) {
    return kMark + 6.4 * static_cast<double>(s.name.size()) + kGap;
  };
  double wanted = 0;
  int64_t n_names = 0;
  for (const auto& s : chart.series)
    if (!s.name.empty()) wanted += width_of(s), ++n_names;
  Legend legend;
  if (n_names < 2) return legend;
  const double title = 8 + 7.6 * static_cast<double>(chart.title.size()) + kGap;
  const bool beside = title + wanted <= kWidth - kRight;
  double x = beside ? kWidth - kRight - wanted : kLeft, y = beside ? 17 : kHeight + 8;
  if (!beside) legend.extra_height = kRow;
  for (const auto& s : chart.series) {
    if (s.name.empty()) continue;
    if (x > kLeft && x + width_of(s) > kWidth) x = kLeft, y += kRow, legend.extra_height += kRow;
    legend.svg += "<rect class=\"k s" + std::to_string(std::clamp(s.colour, 0, 5)) + "\" x=\"" + f1(x) +
                  "\" y=\"" + f1(y - 8) + "\" width=\"9\" height=\"9\"/>" +
                  text_at(x + kMark, y, "start", s.name);
    x += width_of(s);
  }
  return legend;
}

}  // namespace

std::string chart_svg(const Chart& chart) {
  size_t n = 0;
  for (const auto& s : chart.series) n += s.x.size();
  if (n == 0) return "";
  const Axes axes = fit(chart);
  std::string body = frame(chart, axes);
  for (const auto& s : chart.series) body += draw(s, axes);
  const Legend legend = draw_legend(chart);
  return open_svg(chart.title, kWidth, kHeight + legend.extra_height) + body + legend.svg + "</svg>\n";
}

std::string grid_svg(const std::string& title, const std::vector<GridCell>& cells) {
  if (cells.empty()) return "";
  std::vector<std::string> rows, columns;
  for (const auto& c : cells) {
    if (std::find(rows.begin(), rows.end(), c.row) == rows.end()) rows.push_back(c.row);
    if (std::find(columns.begin(), columns.end(), c.column) == columns.end()) columns.push_back(c.column);
  }
  constexpr double kLabel = 110, kCellHeight = 34;
  const double cell = std::min(110.0, (kWidth - kLabel - kRight) / static_cast<double>(columns.size()));
  const double height = kTop + 24 + kCellHeight * static_cast<double>(rows.size()) + 10;
  std::string out = open_svg(title, kWidth, height);
  for (size_t i = 0; i < columns.size(); ++i)
    out += text_at(kLabel + (static_cast<double>(i) + 0.5) * cell, kTop + 14, "middle", columns[i]);
  for (size_t i = 0; i < rows.size(); ++i)
    out += text_at(kLabel - 8, kTop + 24 + (static_cast<double>(i) + 0.62) * kCellHeight, "end", rows[i]);
  for (const auto& c : cells) {
    const auto col =
        static_cast<double>(std::find(columns.begin(), columns.end(), c.column) - columns.begin());
    const auto row = static_cast<double>(std::find(rows.begin(), rows.end(), c.row) - rows.begin());
    char shade[16];
    std::snprintf(shade, sizeof shade, "%.2f", 0.08 + 0.72 * c.share);
    out +=
        "<rect class=\"k s0\" fill-opacity=\"" + std::string(shade) + "\" x=\"" +
        f1(kLabel + col * cell + 1) + "\" y=\"" + f1(kTop + 24 + row * kCellHeight + 1) + "\" width=\"" +
        f1(cell - 2) + "\" height=\"" + f1(kCellHeight - 2) + "\" rx=\"3\"/>" +
        text_at(kLabel + (col + 0.5) * cell, kTop + 24 + (row + 0.62) * kCellHeight, "middle", c.text, "v");
  }
  return out + "</svg>\n";
}

}  // namespace ds::report
