#include "filter/text/stopwords.h"

#include <algorithm>
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
  // A slot per value of a product's top bits in which the 22 differ, as above.
  struct Table {
    uint32_t factor = 1, slot_char[256] = {}, slot_bit[256] = {};
    Table() {
      for (;; factor += 2) {
        uint32_t n = 0;
        for (uint32_t& c : slot_char) c = 0;
        for (const char32_t c : kChinese) {
          uint32_t& slot = slot_char[c * factor * 0x9E3779B1u >> 24];
          n += slot == 0;
          slot = c;
        }
        if (n == kChinese.size()) break;
      }
      for (uint32_t i = 0; i < kChinese.size(); ++i)
        slot_bit[kChinese[i] * factor * 0x9E3779B1u >> 24] = 1u << i;
    }
  };
  static const Table table;
  // More than any sensible threshold is not told apart.
  constexpr int kMany = 8;
  constexpr uint32_t kStretch = 256;
  uint32_t seen = 0;
  for (uint32_t i = 0; i < doc.size() && std::popcount(seen) < kMany;) {
    for (const uint32_t end = std::min(doc.size(), i + kStretch); i < end; ++i) {
      const uint32_t c = doc.chars[i], slot = c * table.factor * 0x9E3779B1u >> 24;
      seen |= table.slot_bit[slot] & -static_cast<uint32_t>(c == table.slot_char[slot]);
    }
  }
  return std::min(kMany, std::popcount(seen));
}

}  // namespace ds::filter
