#include "report/html.h"

#include <utility>

namespace ds::report {

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string unescape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  constexpr std::pair<std::string_view, char> kNames[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}};
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '&')
      for (const auto& [name, value] : kNames)
        if (text.substr(i).starts_with(name)) {
          c = value;
          i += name.size() - 1;
          break;
        }
    out += c;
  }
  return out;
}

}  // namespace ds::report
