#include "bench/records/redact.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "core/json_value.h"

namespace ds::bench {
namespace {

constexpr const char* kHidden = "***";
constexpr std::string_view kQuotes = "\"'\n", kBlank = " \t\n\"'";

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; }

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view e) { return name.ends_with(e); });
}

// Where the secret begins that this name announces, with `after` behind the name; npos: it announces none.
size_t secret_begin(std::string_view name, std::string_view text, size_t after) {
  size_t at = std::min(text.find_first_not_of("\"'\\ \t", after), text.size());
  if (name.ends_with("bearer")) return at > after ? at : std::string_view::npos;
  if (!ends_with_any(name, {"authorization", "cookie", "key", "token", "secret", "password", "passwd"}))
    return std::string_view::npos;
  if (at < text.size() && (text[at] == ':' || text[at] == '='))
    return std::min(text.find_first_not_of("\"'\\ \t", at + 1), text.size());
  return name.starts_with('-') && at > after ? at : std::string_view::npos;  // "--api-key VALUE"
}

}  // namespace

std::string redacted(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && in_name(text[end])) ++end;
    if (end == at) {
      out += text[at++];
      continue;
    }
    std::string name = text.substr(at, end - at);
    out += name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    at = end;
    if (text.compare(at, 3, "://") == 0) {
      const size_t host_end = std::min(text.find_first_of("/?# \t\n\"'", at + 3), text.size());
      const size_t user_end = text.substr(0, host_end).rfind('@');
      if (user_end == std::string::npos || user_end < at) continue;
      out += std::string("://") + kHidden;
      at = user_end;
    } else if (const size_t begin = secret_begin(name, text, at); begin < text.size()) {
      // A header's value and a quoted one have words; any other secret is one.
      const bool words = ends_with_any(name, {"authorization", "cookie"}) ||
                         kQuotes.find(text[begin - 1]) != std::string_view::npos;
      out += text.substr(at, begin - at) + kHidden;
      at = std::min(text.find_first_of(words ? kQuotes : kBlank, begin), text.size());
    }
  }
  return out;
}

Json redacted(const std::vector<std::string>& argv) {
  Json::array_t out;
  for (const std::string& a : argv) out.push_back(redacted(a));
  return out;
}

}  // namespace ds::bench
