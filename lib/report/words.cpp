#include "report/words.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ds::report {

std::string short_number(double v) {
  char text[32];
  const double a = std::fabs(v);
  std::snprintf(text, sizeof text,
                a >= 100 || a == 0 ? "%.0f"
                : a >= 10          ? "%.1f"
                : a >= 1           ? "%.2f"
                : a >= 0.1         ? "%.3f"
                                   : "%.3g",
                v);
  return text;
}

std::string percent(double share) { return short_number(share * 100) + " %"; }

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() <= 60) return text;
  size_t end = 57;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string byte_size(int64_t bytes) {
  constexpr const char* kUnits[] = {" bytes", " KiB", " MiB", " GiB", " TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && std::fabs(value) >= 1024) value /= 1024, ++unit;
  return short_number(value) + kUnits[unit];
}

std::string decimal_size(int64_t bytes) {
  const double b = static_cast<double>(bytes);
  char text[32];
  std::snprintf(text, sizeof text,
                b >= 1e9   ? "%.3f GB"
                : b >= 1e6 ? "%.2f MB"
                           : "%.1f kB",
                b >= 1e9   ? b * 1e-9
                : b >= 1e6 ? b * 1e-6
                           : b * 1e-3);
  return text;
}

std::string duration_text(double s) {
  char text[32];
  std::snprintf(text, sizeof text, s < 60 ? "%.0f s" : "%.0f min", s < 60 ? s : s / 60);
  return text;
}

std::string time_left(double elapsed_s, double share_done) {
  return share_done > 0 ? duration_text(elapsed_s / share_done - elapsed_s) + " left" : "";
}

std::string fold(const std::string& line, int width, size_t indent) {
  std::string out;
  size_t column = 0;
  for (size_t at = 0; at < line.size();) {
    size_t end = line.find(' ', line.find_first_not_of(' ', at));
    end = std::min(end, line.size());
    std::string word = line.substr(at, end - at);
    if (column > indent && column + word.size() > static_cast<size_t>(width)) {
      word.erase(0, word.find_first_not_of(' '));
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    out += word;
    column += word.size();
    at = end;
  }
  return out + "\n";
}

}  // namespace ds::report
