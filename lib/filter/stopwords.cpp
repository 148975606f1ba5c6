#include "filter/stopwords.h"

#include <array>
#include <bit>
#include <string_view>

namespace ds::filter {
namespace {

uint64_t hash_ascii(std::string_view word) {
  uint64_t h = kHashSeed;
  for (const char c : word) h = (h ^ static_cast<uint8_t>(c)) * kHashPrime;
  return mix_hash(h);
}

constexpr std::u32string_view kChinese = U"的年在月是和日了於·為有被人中为他與後也而由";

}  // namespace

EnglishStopWords count_english_stop_words(const Document& doc) {
  static const std::array<uint64_t, 8> hashes = [] {
    std::array<uint64_t, 8> out{};
    const char* words[] = {"the", "be", "to", "of", "and", "that", "have", "with"};
    for (int i = 0; i < 8; ++i) out[i] = hash_ascii(words[i]);
    return out;
  }();
  static const uint64_t maybe = [] {  // low six bits of the hashes: nine words in ten need no comparison
    uint64_t bits = 0;
    for (const uint64_t h : hashes) bits |= 1ull << (h & 63);
    return bits;
  }();
  EnglishStopWords n;
  uint32_t seen = 0;
  for (const Word& w : doc.words) {
    if (!(maybe >> (w.hash & 63) & 1)) continue;
    for (uint32_t i = 0; i < hashes.size(); ++i) {
      if (w.hash != hashes[i]) continue;
      ++n.occurrences;
      seen |= 1u << i;
    }
  }
  n.distinct = std::popcount(seen);
  return n;
}

int count_chinese_stop_words(const Document& doc) {
  constexpr uint64_t kMaybe = [] {  // low six bits of the words: most characters need no search
    uint64_t bits = 0;
    for (const char32_t c : kChinese) bits |= 1ull << (c & 63);
    return bits;
  }();
  uint32_t seen = 0;
  uint32_t found = 0;
  for (const uint32_t c : doc.chars) {
    if (c < 0xB7 || !(kMaybe >> (c & 63) & 1)) continue;
    const size_t at = kChinese.find(static_cast<char32_t>(c));
    if (at == kChinese.npos || (seen >> at & 1)) continue;
    seen |= 1u << at;
    // Enough for any sensible threshold: the rest need not be looked for.
    if (++found >= 8) break;
  }
  return static_cast<int>(found);
}

}  // namespace ds::filter
