// UTF-8, decoded strictly (no overlong forms, surrogates or values beyond U+10FFFF).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ds {

// One decoded code point: `length` bytes from the start of the text. length 0: the bytes there are no valid
// UTF-8; then `invalid_length` (1..3) bytes are to be replaced by one U+FFFD (Unicode's maximal subpart).
struct Utf8Char {
  uint32_t code_point = 0;
  int length = 0;
  int invalid_length = 0;
};
Utf8Char decode_utf8(std::string_view text);

void append_utf8(std::string& out, uint32_t code_point);

// Offset of the first invalid byte, or npos when all is valid.
size_t find_invalid_utf8(std::string_view text);

// How many bytes from the front can be printed now: all but an incomplete last character that more bytes may
// finish.
size_t complete_utf8_prefix(std::string_view text);

// Each invalid subpart becomes one U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace ds
