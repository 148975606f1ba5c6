#include "report/bars.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ds::report {
namespace {

template <class... Args>
std::string format(const char* text, Args... args) {
  char buffer[512];
  std::snprintf(buffer, sizeof buffer, text, args...);
  return buffer;
}

}  // namespace

std::string bars_svg(const std::string& title, const std::string& explanation, const std::vector<Bar>& bars,
                     const char* unit) {
  constexpr int kWidth = 940, kRight = 924, kHeight = 210, kLeft = 60, kTop = 12, kBase = 180,
                kLabelWidth = 40;
  double most = 0;
  for (const Bar& b : bars) most = std::max(most, b.value);
  if (most <= 0) most = 1;
  std::string svg =
      "<h2>" + title + "</h2>\n<p>" + explanation + "</p>\n" +
      format("<svg viewBox='0 0 %d %d' role='img'><title>%s</title>\n", kWidth, kHeight, title.c_str());
  for (const int half : {0, 1, 2}) {
    const int y = kBase - (kBase - kTop) * half / 2;
    svg += format("<line x1='%d' x2='%d' y1='%d' y2='%d'/><text class='y' x='%d' y='%d'>%.3g%s</text>\n",
                  kLeft, kWidth, y, y, kLeft - 6, y + 4, most * half / 2, unit);
  }
  const double step =
      static_cast<double>(kRight - kLeft) / static_cast<double>(std::max<size_t>(bars.size(), 1));
  const auto every = static_cast<size_t>(std::ceil(kLabelWidth / step));
  for (size_t i = 0; i < bars.size(); ++i) {
    const double h = bars[i].value / most * (kBase - kTop), x = kLeft + step * static_cast<double>(i);
    svg += format("<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f'><title>%s</title></rect>", x + 0.5,
                  kBase - h, std::max(step - 1, 0.5), h, bars[i].tip.c_str());
    if (i % every == 0 || (every == 1 && i + 1 == bars.size()))
      svg += format("<text x='%.1f' y='%d'>%s</text>\n", x + step / 2, kBase + 16, bars[i].label.c_str());
  }
  return svg + "</svg>\n";
}

std::string bar(double share, int columns) {
  static constexpr const char* kPart[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  int eighths = static_cast<int>(std::lround(share * 8 * columns));
  if (eighths == 0 && share > 0) eighths = 1;
  std::string text;
  for (; eighths >= 8; eighths -= 8) text += "█";
  return text + kPart[eighths];
}

}  // namespace ds::report
