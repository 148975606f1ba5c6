#include "core/utf8.h"

#include <cstring>

namespace ds {

Utf8Char decode_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t b0 = byte(0);
  if (b0 < 0x80) return {b0, 1, 0};
  int n_more = 0;
  uint32_t code_point = 0;
  uint8_t low = 0x80, high = 0xBF;  // allowed range of the second byte (Unicode table 3-7)
  if (b0 >= 0xC2 && b0 <= 0xDF) {
    n_more = 1, code_point = b0 & 0x1F;
  } else if (b0 >= 0xE0 && b0 <= 0xEF) {
    n_more = 2, code_point = b0 & 0x0F;
    if (b0 == 0xE0) low = 0xA0;
    if (b0 == 0xED) high = 0x9F;
  } else if (b0 >= 0xF0 && b0 <= 0xF4) {
    n_more = 3, code_point = b0 & 0x07;
    if (b0 == 0xF0) low = 0x90;
    if (b0 == 0xF4) high = 0x8F;
  } else {
    return {0, 0, 1};
  }
  for (int i = 1; i <= n_more; ++i) {
    if (static_cast<size_t>(i) >= text.size() || byte(i) < low || byte(i) > high) return {0, 0, i};
    code_point = code_point << 6 | (byte(i) & 0x3F);
    low = 0x80, high = 0xBF;
  }
  return {code_point, n_more + 1, 0};
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t b) { out.push_back(static_cast<char>(b)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

size_t find_invalid_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    // Most text is runs of ASCII or of three-byte characters, whose second byte is free but after E0 and ED.
    uint64_t eight = 0;
    if (text.size() - i >= sizeof eight) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
      if (byte(i) > 0xE0 && byte(i) < 0xF0 && byte(i) != 0xED && (byte(i + 1) & 0xC0) == 0x80 &&
          (byte(i + 2) & 0xC0) == 0x80) {
        i += 3;
        continue;
      }
    }
    const Utf8Char c = decode_utf8(text.substr(i));
    if (c.length == 0) return i;
    i += c.length;
  }
  return std::string_view::npos;
}

size_t complete_utf8_prefix(std::string_view text) {
  // Only the last three bytes can belong to an unfinished character.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const uint8_t b = static_cast<uint8_t>(text[text.size() - back]);
    if ((b & 0xC0) == 0x80) continue;
    const size_t need = b >= 0xF0 ? 4 : b >= 0xE0 ? 3 : b >= 0xC0 ? 2 : 1;
    if (need <= back || (back == 1 && (b < 0xC2 || b > 0xF4))) return text.size();
    const Utf8Char c = decode_utf8(text.substr(text.size() - back));
    // Unfinished only if every byte so far fits; otherwise it is broken for good and may go out.
    return c.invalid_length == static_cast<int>(back) ? text.size() - back : text.size();
  }
  return text.size();
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    if (c.length != 0) {
      out.append(text.substr(i, c.length));
      i += c.length;
    } else {
      out += "\xEF\xBF\xBD";
      i += c.invalid_length;
    }
  }
  return out;
}

}  // namespace ds
