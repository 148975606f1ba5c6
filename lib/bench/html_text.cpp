#include "bench/html_text.h"

#include "core/error.h"

namespace ds::bench {

const std::string_view kRecordsBegin = "<pre id=\"ds-bench-records\">";
const std::string_view kRecordsEnd = "</pre>";

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

std::string embedded_records(std::string_view page, const std::string& where) {
  const size_t begin = page.find(kRecordsBegin);
  const size_t end = begin == std::string_view::npos ? begin : page.find(kRecordsEnd, begin);
  if (end == std::string_view::npos)
    throw Error(ErrorKind::kBadData, "no embedded records", where,
                "was this page written by ds-bench report?");
  const size_t from = begin + kRecordsBegin.size();
  return unescape_html(page.substr(from, end - from));
}

}  // namespace ds::bench
