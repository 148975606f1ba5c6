// Words of scripts that use spaces: split at white space, then punctuation peeled off both ends, then hyphens
// and their like inside, with a table for contractions and abbreviations. The rules are those of spaCy's
// blank English pipeline, since the published thresholds (datatrove, FineWeb) were tuned on its words.
// Differences: look-ups that spaCy makes by regular expression over rare scripts are made by Unicode property
// here.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "filter/text/document.h"

namespace ds::filter {

class WordTokenizer {
 public:
  static const WordTokenizer& instance();  // built once from embedded data, immutable
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
  WordTokenizer();
  using Pieces = std::vector<std::pair<uint32_t, uint32_t>>;  // [begin, end) of each, ascending
  // A table entry that the rules alone would split: in a longer chunk its parts are found and joined again.
  struct Joined {
    std::vector<uint8_t> parts;   // lengths as the rules split it
    std::vector<uint8_t> pieces;  // lengths as the table wants it
  };
  const std::vector<uint8_t>* exception(const uint32_t* s, uint32_t n) const;
  const Joined* joined(const uint32_t* s, const Pieces& pieces, size_t first, size_t n_parts) const;
  void split_chunk(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
                   Pieces& out) const;
  void split_inside(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
                    Pieces& out) const;
  void join(const uint32_t* chars, Pieces& pieces) const;

  std::unordered_map<uint64_t, std::vector<uint8_t>>
      exceptions_;               // hash of the chunk > lengths of its pieces
  std::vector<uint64_t> maybe_;  // bit per (first, last, length) hash: most chunks need no look-up
  std::unordered_map<uint64_t, Joined> joined_;  // the same two for entries to be joined
  std::vector<uint64_t> maybe_joined_;
  size_t most_parts_ = 0;
};

}  // namespace ds::filter
