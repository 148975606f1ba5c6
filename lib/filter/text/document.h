// A record's text as the rules see it: decoded once, split into units once. The unit is the word for scripts
// that use spaces and the character for Chinese; both are what the published thresholds were tuned on
// (English) or re-derived for (Chinese, see README of data/filter).
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ds::filter {

// Which column of thresholds applies.
enum class Script : uint8_t { kSpaced = 0, kHan = 1 };
constexpr int kScripts = 2;
const char* script_name(Script script);  // "en", "zh": how profiles call the two columns

struct Word {
  uint32_t begin;        // code point
  uint32_t length : 30;  // code points
  bool alpha : 1;        // has a letter
  bool symbol : 1;       // nothing but datatrove punctuation
  uint64_t hash;         // of the exact characters
};
static_assert(sizeof(Word) == 16);

struct Line {
  uint32_t begin = 0, end = 0;  // code points
};

struct Counts {
  uint32_t space = 0, alpha = 0, digit = 0, han = 0, kana = 0, hangul = 0, upper = 0, control = 0;
  uint32_t replacement = 0;  // U+FFFD
  uint32_t suspect = 0;      // could start mojibake
  uint32_t newline = 0;      // "\n" only
  uint32_t other_break = 0;  // what str.splitlines adds to "\n"
};

struct EnglishStopWords {
  int occurrences = 0, distinct = 0;
};

// Which language a text is in, and what else is in it.
struct Language {
  const char* code = "und";  // ISO 639-1, "zh" for both scripts of Chinese; "und": too short to tell or no
                             // letters; "unknown": none that the detector knows
  double score = 0;          // how sure that is
  struct Share {
    const char* code = "";
    double share = 0;
  } shares[3];  // of the text, the largest first; "": no more
};

struct Document {
  // Set by the caller.
  std::string_view text, url, id;

  // Filled by prepare().
  std::vector<uint32_t> chars;
  std::vector<uint16_t> flags;  // CharFlag of each
  Counts counts;
  Script script = Script::kSpaced;
  std::vector<Word> words;  // spaced scripts: words and punctuation marks; Chinese: every non-space
                            // character
  std::vector<uint64_t> shingle_units;  // folded words or characters without punctuation
  EnglishStopWords stop_words;          // spaced scripts only
  std::vector<Line> lines;              // split at "\n", empty ones included

  // Filled by the integrity stage.
  Language language;

  uint32_t size() const { return static_cast<uint32_t>(chars.size()); }
  // Bytes of a stretch of code points: walks it.
  size_t byte_length(uint32_t begin, uint32_t end) const;
  size_t byte_offset(uint32_t char_idx) const { return byte_length(0, std::min(char_idx, size())); }
};

// text must be valid UTF-8. Reuses the vectors.
void prepare(Document& doc);

// Hashing shared with scripts/make/train_embedder.py: FNV-1a over code points, then a final mix.
constexpr uint64_t kHashSeed = 14695981039346656037ull, kHashPrime = 1099511628211ull;
inline uint64_t mix_hash(uint64_t h) {
  h ^= h >> 32;
  h *= 0x9E3779B97F4A7C15ull;
  return h ^ h >> 29;
}
inline uint64_t hash_char(uint32_t c) { return mix_hash((kHashSeed ^ c) * kHashPrime); }
inline uint64_t number_unit() { return hash_char('0'); }  // the shingle unit of every number

}  // namespace ds::filter
