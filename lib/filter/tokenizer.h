// Words of scripts that use spaces: split at white space, then punctuation peeled off both ends, then hyphens
// and their like inside, with a table for contractions and abbreviations. The rules are those of spaCy's
// blank English pipeline, since the published thresholds (datatrove, FineWeb) were tuned on its words.
// Differences: look-ups that spaCy makes by regular expression over rare scripts are made by Unicode property
// here; and spaCy joins pieces again that form a table entry after splitting ("d=e." ends in "e."), which is
// not done.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "filter/document.h"

namespace ds::filter {

class Tokenizer {
 public:
  static const Tokenizer& instance();  // built once from embedded data, immutable
  struct Words {
    std::vector<Word>& words;
    // Of each word that is no symbol: the hash of its characters in lower case, accents off; number_unit()
    // for every number.
    std::vector<uint64_t>& shingle_units;

    void add(uint32_t begin, uint32_t length, uint64_t hash, bool alpha, bool symbol, uint64_t unit) {
      words.push_back({begin, length, alpha, symbol, hash});
      if (!symbol) shingle_units.push_back(unit);
    }
  };
  // Appends the words of chars[0, n).
  void split(const uint32_t* chars, const uint16_t* flags, uint32_t n, Words& out) const;

 private:
  Tokenizer();
  struct Chunk;
  const std::vector<uint8_t>* exception(const uint32_t* s, uint32_t n) const;
  void split_chunk(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
                   Words& out) const;
  void split_inside(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
                    Words& out) const;

  std::unordered_map<uint64_t, std::vector<uint8_t>>
      exceptions_;               // hash of the chunk > lengths of its pieces
  std::vector<uint64_t> maybe_;  // bit per (first, last, length) hash: most chunks need no look-up
};

}  // namespace ds::filter
