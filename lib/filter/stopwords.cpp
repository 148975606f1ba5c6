#include "filter/stopwords.h"

#include <bit>
#include <string_view>

#include "core/error.h"

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
  // A slot per value of six hash bits in which the eight words differ: one comparison a word and no branch.
  struct Table {
    uint64_t hash[64] = {};
    uint32_t bit[64] = {};
    int shift = 0;
    Table() {
      const char* words[] = {"the", "be", "to", "of", "and", "that", "have", "with"};
      for (;; ++shift) {
        DS_CHECK(shift <= 58);
        uint64_t taken = 0;
        for (const char* w : words) taken |= 1ull << (hash_ascii(w) >> shift & 63);
        if (std::popcount(taken) == 8) break;
      }
      for (uint32_t i = 0; i < 8; ++i) {
        const uint64_t h = hash_ascii(words[i]);
        hash[h >> shift & 63] = h;
        bit[h >> shift & 63] = 1u << i;
      }
    }
  };
  static const Table table;
  EnglishStopWords n;
  uint32_t seen = 0;
  for (const Word& w : doc.words) {
    const uint64_t slot = w.hash >> table.shift & 63;
    const uint32_t equal = w.hash == table.hash[slot];
    n.occurrences += static_cast<int>(equal);
    seen |= table.bit[slot] & -equal;
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
