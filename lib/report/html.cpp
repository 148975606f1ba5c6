#include "report/html.h"

#include <ctime>
#include <utility>

namespace ds::report {
namespace {

constexpr const char* kPageStyle =
    ":root{color-scheme:light dark;--ink:#222;--dim:#555;--rule:#ddd;--bar:#3568b0;--page:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--dim:#aaa;--rule:#444;--bar:#7aa7e8;--page:#181818}}"
    "body{font:15px system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color:var(--ink);"
    "background:var(--page)}svg{width:100%}rect{fill:var(--bar)}line{stroke:var(--rule)}"
    "text{font-size:11px;text-anchor:middle;fill:var(--dim)}.y{text-anchor:end}"
    "code{overflow-wrap:anywhere}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid var(--rule)}"
    "td:first-child,th:first-child{text-align:left}.names td:first-child{font-family:monospace}";

// "2026-11-30 10:20:30 UTC"
std::string now_utc_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text;
}

}  // namespace

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

std::string page_origin(const std::string& command_line) {
  return "<p class=sub><code>" + escape_html(command_line) + "</code><br>" + now_utc_text() + "</p>\n";
}

std::string page_head(const std::string& title, const std::string& command_line) {
  const std::string name = escape_html(title);
  return "<!doctype html><html lang='en'><meta charset='utf-8'><title>" + name + "</title>\n<style>" +
         kPageStyle + "</style>\n<h1>" + name + "</h1>\n" + page_origin(command_line);
}

}  // namespace ds::report
