#include "text/tokenizer/split_pattern.h"

#include <random>

#include "core/utf8.h"
#include "doctest/doctest.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace ds::text {
namespace {

const char* const kPatterns[] = {
    R"(\p{N}{1,3})",
    R"([一-龥぀-ゟ゠-ヿ]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++|\s++$|\s+(?!\S)|\s)",
    R"([\r\n])",
    R"(\s?\p{L}+)",
    R"(\s+$)",
    R"(\s*[\r\n]+)",
    R"(\d{2,4}x?|\w{1,2}[^\w\s]|[-a-c]+.)",
};

// Letters, marks, numbers, spaces and so on that were assigned long ago, so that all Unicode versions agree
// on them.
std::string random_text(std::mt19937& random) {
  static const char32_t kChars[] =
      U"abcXYZ'strevmld  "
      U"\t\r\n\n01239.,!-_$+<>中文龥ひカー・゛éßñſKΩжéêأ١३กิ가\u0301\u0323\u3000\u00a0\u2028\u0085😀½Ⅷ";
  std::string out;
  const size_t n = random() % 60;
  for (size_t i = 0; i < n; ++i) {
    const char32_t c = kChars[random() % (std::size(kChars) - 1)];
    for (size_t k = random() % 8 == 0 ? random() % 6 : 0; k != SIZE_MAX; --k) append_utf8(out, c);
  }
  return out;
}

std::vector<std::string> pieces(const PreTokenizer::Step& step, const std::string& text) {
  std::vector<std::string> out;
  step.split(text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}

}  // namespace

TEST_CASE("the table matcher and PCRE2 split alike") {
  std::mt19937 random(20240501);
  for (const char* pattern : kPatterns) {
    INFO(pattern);
    REQUIRE(SplitPattern::compile(pattern).has_value());
    for (const auto behavior :
         {SplitBehavior::kIsolated, SplitBehavior::kRemoved, SplitBehavior::kMergedWithPrevious,
          SplitBehavior::kMergedWithNext, SplitBehavior::kContiguous}) {
      const auto fast = make_regex_step(pattern, behavior, false, "fast");
      const auto general = make_pcre_step(pattern, behavior, false, "general");
      for (int i = 0; i < 400; ++i) {
        const std::string text = random_text(random);
        if (text.empty()) continue;
        INFO(text);
        const auto want = pieces(*general, text);
        REQUIRE(pieces(*fast, text) == want);
        if (behavior != SplitBehavior::kIsolated) continue;
        std::string joined;
        for (const std::string& piece : want) joined += piece;
        REQUIRE(joined == text);
      }
    }
  }
}

TEST_CASE("what the table matcher does not cover goes to the general engine") {
  for (const char* pattern : {R"((?<=a)b)", R"((ab)+)", R"(a+?)", R"(a*)", R"(\bx)", R"([[:alpha:]])",
                              R"([a-z&&[^b]])", "", "(", "a{2}+", "(?:a|b)?c", "^a"})
    CHECK_FALSE(SplitPattern::compile(pattern).has_value());
}

TEST_CASE("character sets") {
  const CharSet letters = *CharSet::property("L");
  CHECK(letters.contains('a'));
  CHECK(letters.contains(0x4E2D));
  CHECK_FALSE(letters.contains('1'));
  CHECK(letters.contains(0x1C89));   // Unicode 16, whatever ICU knows
  CHECK(letters.contains(0x2EBF0));  // Unicode 15.1
  CHECK_FALSE(letters.negated().contains('a'));
  CHECK(letters.negated().contains(kMaxCodePoint));
  CHECK(CharSet::property("Han")->contains(0x4E2D));
  CHECK(CharSet::property("Han")->contains(0x2EBF0));
  CHECK(CharSet::word().contains(0xB2));
  CHECK_FALSE(CharSet::word().contains(0x2082));
  CHECK_FALSE(CharSet::property("Nonsense").has_value());
  CHECK_FALSE(CharSet::white_space().contains(0x180E));
  const CharTable table({letters, CharSet('a', 'c'), CharSet(0x10FFFF, 0x10FFFF)});
  CHECK(table['b'] == 3);
  CHECK(table['d'] == 1);
  CHECK(table['1'] == 0);
  CHECK(table[0x10FFFF] == 4);
  for (uint32_t c = 0; c <= kMaxCodePoint; c += 7) REQUIRE((table[c] & 1) == (letters.contains(c) ? 1u : 0u));
}

TEST_CASE("a character set is sorted and joined whatever the order of its parts") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    CharSet set;
    std::vector<bool> expected(64);
    for (size_t n = random() % 12; n > 0; --n) {
      const uint32_t first = random() % 60, last = first + random() % 4;
      set.add(first, last);
      for (uint32_t c = first; c <= last; ++c) expected[c] = true;
    }
    for (uint32_t c = 0; c < 64; ++c) REQUIRE(set.contains(c) == expected[c]);
    const auto& ranges = set.ranges();
    for (size_t i = 1; i < ranges.size(); ++i) REQUIRE(ranges[i].first > ranges[i - 1].last + 1);
  }
}

}  // namespace ds::text
