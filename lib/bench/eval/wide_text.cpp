#include "bench/eval/wide_text.h"

#include "core/utf8.h"

namespace ds::bench {

std::u32string decoded(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    out += c.length ? static_cast<char32_t>(c.code_point) : U'\uFFFD';
    text.remove_prefix(static_cast<size_t>(c.length ? c.length : c.invalid_length));
  }
  return out;
}

std::string encoded(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

void replace_all(std::u32string& s, std::u32string_view from, std::u32string_view to) {
  for (size_t at = s.find(from); at != std::u32string::npos; at = s.find(from, at + to.size()))
    s.replace(at, from.size(), to);
}

}  // namespace ds::bench
