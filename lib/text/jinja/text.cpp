// Python's string operations on UTF-8.
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "core/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"

namespace ds::text::jinja {
namespace {

std::string from_icu(const icu::UnicodeString& s) {
  std::string out;
  s.toUTF8String(out);
  return out;
}
icu::UnicodeString to_icu(std::string_view s) {
  if (s.size() > INT32_MAX) fail_unsupported("text beyond 2 GiB");
  return icu::UnicodeString::fromUTF8(icu::StringPiece(s.data(), static_cast<int32_t>(s.size())));
}
std::string title_case_char(std::string_view c) {
  return from_icu(to_icu(c).toTitle(nullptr, icu::Locale::getRoot(), U_TITLECASE_NO_LOWERCASE));
}
uint32_t code_point(std::string_view c) {
  const Utf8Char u = decode_utf8(c);
  return u.length ? u.code_point : 0xFFFD;
}

}  // namespace

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    const size_t n = static_cast<size_t>(c.length ? c.length : c.invalid_length);
    out.push_back(text.substr(i, n));
    i += n;
  }
  return out;
}

std::string upper(std::string_view text) { return from_icu(to_icu(text).toUpper(icu::Locale::getRoot())); }
std::string lower(std::string_view text) { return from_icu(to_icu(text).toLower(icu::Locale::getRoot())); }

std::string capitalize(std::string_view text) {
  const auto letters = characters(text);
  if (letters.empty()) return "";
  const std::string rest = lower(text);
  const size_t first = characters(lower(letters[0])).size();
  std::string out = title_case_char(letters[0]);
  const auto tail = characters(rest);
  for (size_t i = first; i < tail.size(); ++i) out += tail[i];
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool after_cased = false;
  for (const std::string_view c : characters(text)) {
    const bool cased = u_hasBinaryProperty(static_cast<UChar32>(code_point(c)), UCHAR_CASED);
    out += !cased ? std::string(c) : after_cased ? lower(c) : title_case_char(c);
    after_cased = cased;
  }
  return out;
}

std::string strip(std::string_view text, const Value* chars, bool left, bool right) {
  const bool by_space = !chars || chars->is(Kind::kNone);
  if (!by_space && !chars->is_string()) fail("strip arg must be None or str");
  const auto strips = [&](std::string_view c) {
    return by_space ? is_space(code_point(c)) : chars->text().find(c) != std::string::npos;
  };
  while (left && !text.empty()) {
    const Utf8Char u = decode_utf8(text);
    const size_t n = static_cast<size_t>(u.length ? u.length : u.invalid_length);
    if (!strips(text.substr(0, n))) break;
    text.remove_prefix(n);
  }
  while (right && !text.empty()) {
    size_t p = text.size() - 1;
    while (p > 0 && text.size() - p < 4 && (static_cast<uint8_t>(text[p]) & 0xC0) == 0x80) --p;
    if (!strips(text.substr(p))) break;
    text = text.substr(0, p);
  }
  return std::string(text);
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t count) {
  constexpr size_t kMaxText = size_t{16} << 20;
  std::string out;
  const auto check = [&] {
    if (out.size() > kMaxText) fail_unsupported("the template makes too much text");
  };
  if (from.empty()) {  // between all characters
    for (const std::string_view c : characters(text)) {
      if (count != 0) out += to, --count;
      out += c;
      check();
    }
    if (count != 0) out += to;
    return out;
  }
  size_t done = 0;
  for (size_t at = text.find(from); at != text.npos && count != 0; at = text.find(from, done), --count) {
    out.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
    check();
  }
  return out.append(text.substr(done));
}

}  // namespace ds::text::jinja
