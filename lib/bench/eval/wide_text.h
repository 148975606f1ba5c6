// Text as code points, which are easier to walk over than bytes.
#pragma once
#include <string>
#include <string_view>

namespace ds::bench {

std::u32string decoded(std::string_view utf8);  // broken bytes are U+FFFD
std::string encoded(std::u32string_view text);
inline bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
void replace_all(std::u32string& text, std::u32string_view from, std::u32string_view to);

}  // namespace ds::bench
