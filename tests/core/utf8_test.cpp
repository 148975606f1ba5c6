#include "core/utf8.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace ds;

namespace {

// Written from the definition: the bit pattern for a code point's size.
std::string encode(uint32_t c) {
  std::string s;
  const auto add = [&](uint32_t byte) { s += static_cast<char>(byte); };
  if (c <= 0x7F) return add(c), s;
  if (c <= 0x7FF) return add(0b11000000 + c / 64), add(128 + c % 64), s;
  if (c <= 0xFFFF) return add(0b11100000 + c / 4096), add(128 + c / 64 % 64), add(128 + c % 64), s;
  return add(0b11110000 + c / 262144), add(128 + c / 4096 % 64), add(128 + c / 64 % 64), add(128 + c % 64), s;
}
bool is_scalar_value(uint32_t c) { return c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF); }

// Which byte strings begin a valid character: the whole truth about invalid input, too.
struct Prefixes {
  std::vector<bool> one = std::vector<bool>(1 << 8), two = std::vector<bool>(1 << 16),
                    three = std::vector<bool>(1 << 24);
  Prefixes() {
    for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
      if (!is_scalar_value(c)) continue;
      const std::string s = encode(c);
      const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(s[i])); };
      one[byte(0)] = true;
      if (s.size() > 1) two[byte(0) << 8 | byte(1)] = true;
      if (s.size() > 2) three[byte(0) << 16 | byte(1) << 8 | byte(2)] = true;
    }
  }
};
const Prefixes& prefixes() {
  static const Prefixes p;
  return p;
}

int length_of(uint32_t lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

// Length of the valid character at the front, or minus the length of the maximal subpart.
int expected_length(const std::vector<uint32_t>& bytes) {
  const Prefixes& p = prefixes();
  if (!p.one[bytes[0]]) return -1;
  const int need = length_of(bytes[0]);
  if (need == 1) return 1;
  if (bytes.size() < 2 || !p.two[bytes[0] << 8 | bytes[1]]) return -1;
  if (need == 2) return 2;
  if (bytes.size() < 3 || !p.three[bytes[0] << 16 | bytes[1] << 8 | bytes[2]]) return -2;
  if (need == 3) return 3;
  if (bytes.size() < 4 || bytes[3] < 0x80 || bytes[3] > 0xBF) return -3;
  return 4;
}
bool agrees(const std::vector<uint32_t>& bytes) {
  std::string text;
  for (const uint32_t b : bytes) text += static_cast<char>(b);
  const Utf8Char c = decode_utf8(text);
  const int want = expected_length(bytes);
  if (want < 0) return c.length == 0 && c.invalid_length == -want;
  return c.length == want && c.invalid_length == 0 && encode(c.code_point) == text.substr(0, want);
}

std::string random_bytes(std::mt19937& rng, size_t n) {
  // Mostly whole characters, some cut, some noise.
  std::string text;
  while (text.size() < n) {
    const uint32_t kind = rng() % 8;
    uint32_t c = kind < 3   ? rng() % 0x80
                 : kind < 5 ? rng() % 0x800
                 : kind < 6 ? rng() % 0x10000
                            : rng() % 0x110000;
    if (!is_scalar_value(c)) c = 0x4E2D;
    std::string s = encode(c);
    if (rng() % 6 == 0) s.resize(rng() % s.size() + 1);
    if (rng() % 10 == 0) s = static_cast<char>(rng() % 256);
    text += s;
  }
  return text;
}

}  // namespace

TEST_CASE("every code point round-trips") {
  int n_wrong = 0;
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (!is_scalar_value(c)) continue;
    std::string s;
    append_utf8(s, c);
    const Utf8Char d = decode_utf8(s);
    n_wrong +=
        s != encode(c) || d.code_point != c || d.length != static_cast<int>(s.size()) || d.invalid_length;
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("every sequence of one, two and three bytes, valid or not, and the borders of four") {
  int n_wrong = 0;
  for (uint32_t a = 0; a < 256; ++a) {
    n_wrong += !agrees({a});
    for (uint32_t b = 0; b < 256; ++b) {
      n_wrong += !agrees({a, b});
      if (a < 0xC0) continue;  // decided by the first byte
      for (uint32_t c = 0; c < 256; c += (c % 64 > 1 && c % 64 < 62) ? 7 : 1) {
        n_wrong += !agrees({a, b, c});
        if (a >= 0xEF)
          for (const uint32_t d : {0x00u, 0x7Fu, 0x80u, 0xA5u, 0xBFu, 0xC0u, 0xFFu})
            n_wrong += !agrees({a, b, c, d});
      }
    }
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("invalid subparts become one U+FFFD each, as Unicode's table shows") {
  // Unicode 15, section 3.9, tables 3-8 to 3-11.
  CHECK(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") ==
        "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  CHECK(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") ==
        "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  CHECK(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") ==
        "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41\uFFFD\uFFFD\x42");
  CHECK(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  CHECK(replace_invalid_utf8("") == "");
  CHECK(find_invalid_utf8("abc\xE4\xB8\xAD") == std::string_view::npos);
  CHECK(find_invalid_utf8("abc\xE4\xB8") == 3);
  CHECK(find_invalid_utf8(std::string_view("a\0b", 3)) == std::string_view::npos);
}

TEST_CASE("a stream cut anywhere prints whole characters and loses nothing") {
  std::mt19937 rng(7);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_bytes(rng, 40);
    std::string held, printed;
    for (const char byte : text) {
      held += byte;
      const size_t n = complete_utf8_prefix(held);
      REQUIRE(n <= held.size());
      REQUIRE(held.size() - n <= 3);
      // What is held back can still become a character: some continuation makes all of it valid.
      if (n < held.size()) {
        const std::string rest = held.substr(n);
        bool can_finish = false;
        for (const char* tail :
             {"\x80", "\xBF", "\x80\x80", "\xBF\xBF", "\x80\x80\x80", "\x90\x80\x80", "\xA0\x80"})
          can_finish = can_finish || find_invalid_utf8(rest + tail) == std::string_view::npos;
        CHECK(can_finish);
      }
      printed += replace_invalid_utf8(held.substr(0, n));
      held.erase(0, n);
    }
    printed += replace_invalid_utf8(held);
    CHECK(printed == replace_invalid_utf8(text));
  }
}

TEST_CASE("a byte that can never begin a character is not held back") {
  for (const char* byte : {"\xFF", "\xC0", "\xC1", "\xF5", "\xFE", "\x80"})
    CHECK(complete_utf8_prefix(byte) == 1);
  CHECK(complete_utf8_prefix("a\xC3") == 1);
  CHECK(complete_utf8_prefix("a\xF0\x9F\x98") == 1);
  CHECK(complete_utf8_prefix("a\xF0\x9F\x98\x80") == 5);
  CHECK(complete_utf8_prefix("\xE0\x80") == 2);
  CHECK(complete_utf8_prefix("\xED\xA0") == 2);
  CHECK(complete_utf8_prefix("") == 0);
}
