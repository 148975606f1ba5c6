// Terms of entity categories and where they occur in a text, under the disguises people use: full width,
// traditional characters, homoglyphs, zero-width characters, symbols between ideographs, l e t t e r s spaced
// out, d1gits and s!gns for letters. Mixed alphabets, zero-width characters, digits for letters and spacing
// make a hit hard: nobody disguises an innocent word.
#pragma once
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "filter/text/document.h"
#include "filter/text/word_breaks.h"

namespace ds::filter {

// Tab separated lines, "#" starts a comment:
//   category  hard|soft|weak  term        one hard term is enough to drop a text; soft ones count by density;
//                                         weak ones (fuck, pistol) are nothing without an accuser
//   acquit    category|* term             near a hit it turns hard into soft and soft into nothing
//   accuse    category|* term             near a hit, with a second accuser or another term of the category
//   and no
//                                         acquitting word near, it turns soft into hard, with both also weak:
//                                         who writes "overnight delivery" beside two drugs sells them
//   allow     -          term             innocent longer forms: a hit inside one is none
//   gazetteer lines may be just: category  term          (hard)
// A term of Latin letters matches whole words; "term*" also their continuations. One with ideographs matches
// anywhere; a short one not where it begins or ends inside a word.
class Lexicon {
 public:
  void add(std::string_view tsv, const std::string& where);  // Throws Error{kBadModel} naming the line
  void finish();                                             // after the last add

  struct Hit {
    uint32_t begin, end;  // code points of the document
    int term;
    bool hard;
  };
  // Scratch of one thread.
  struct Work {
    std::vector<uint32_t> symbols, spelled, spelled_at;
    std::vector<uint8_t> starts;    // per symbol: whether a term may start here
    std::vector<uint32_t> removed;  // for each code point that left no symbol: the index of the next one
    std::vector<uint32_t> disguised, leet;  // indices into symbols
    std::vector<Hit> hits;
    WordBreaks breaks;
    uint32_t position(uint32_t k) const;  // of symbols[k] in the document
  };
  // Hits in text order, overlaps resolved (longest wins), acquitted ones already softened or gone.
  const std::vector<Hit>& find(const Document& doc, Work& work) const;

  const std::string& category(int term) const { return categories_[terms_[term].category]; }
  const std::string& term(int t) const { return terms_[t].text; }
  size_t n_terms() const { return terms_.size(); }
  std::vector<std::string> categories() const { return categories_; }
  // Which categories count; others are not looked at. By default all.
  void enable(const std::string& category, bool on);

 private:
  enum class Kind : uint8_t { kTerm, kAcquit, kAccuse, kAllow };
  enum class Weight : uint8_t { kWeak, kSoft, kHard };
  struct Found {
    Hit hit;
    Weight weight;
  };
  struct Term {
    std::string text;
    int category;   // of a term
    uint64_t near;  // of a context word: bit per category that it acquits or accuses
    Kind kind;
    Weight weight;
    bool open_end, han;
    uint32_t length;
  };
  struct Match {
    uint32_t begin, end;  // indices into symbols
    int term;
  };
  uint32_t fold(uint32_t c) const;
  uint32_t symbol_of(uint32_t c, uint16_t flags) const;
  void shadow(const Document& doc, Work& work) const;
  bool leet_window(const Document& doc, Work& work, uint32_t at) const;
  int step(int node, uint32_t symbol) const;
  int match_at(const std::vector<uint32_t>& s, uint32_t i, uint32_t& end) const;
  int category_index(const std::string& name);

  std::vector<Term> terms_;
  std::vector<std::string> categories_;
  std::vector<bool> enabled_;
  std::unordered_map<uint64_t, int> edges_;  // (node, symbol) > node, while terms are added
  struct Edge {
    uint64_t key;
    int to;
  };
  std::vector<Edge> flat_;             // the same, open addressing; key 0 is free
  std::vector<int> node_term_ = {-1};  // term that ends at the node
  // Bit per hash: of a Han term's first two symbols; of a Latin term's Prefix.
  std::bitset<1 << 16> pairs_;
  std::bitset<1 << 18> prefixes_;
  std::vector<uint16_t> fold_;     // basic plane
  std::vector<uint16_t> symbols_;  // of the shadow copy, where the neighbours have no say; basic plane
  uint32_t longest_ = 0;
};

}  // namespace ds::filter
