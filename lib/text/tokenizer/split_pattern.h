// The regular expressions of tokenizers, matched without a regex engine.
// The patterns of all families here are ordered alternatives of sequences of character sets with greedy
// counts, and at most a one-character lookahead or `$` - `[^\r\n\p{L}]?[\p{L}\p{M}]+|\s+(?!\S)`. This class
// compiles exactly that shape (others are refused and go to PCRE2) into table lookups, and is linear where a
// backtracking engine is quadratic. Semantics are those of the reference library's engine (Oniguruma, Ruby
// syntax): first alternative that matches wins, counts are greedy with backtracking, `$` also matches before
// a line feed, \s is Unicode White_Space.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer/char_table.h"

namespace ds::text {

class SplitPattern {
 public:
  struct Op {
    enum Kind : uint8_t { kSet, kAhead, kNotAhead, kLineEnd };
    Kind kind = kSet;
    bool possessive = false;
    CharTable::Mask set = 0;  // one bit of the table
    uint32_t min = 1, max = 1;
  };
  struct Alternative {
    std::vector<Op> ops;
    CharTable::Mask first = 0;  // a match can only begin with a character of these sets
  };
  static constexpr size_t kMaxAlternatives = 32;
  static constexpr uint32_t kUnbounded = UINT32_MAX;

  // nullopt: the expression is not of the supported shape, or is no valid expression at all.
  static std::optional<SplitPattern> compile(std::string_view regex);

  struct Match {
    size_t begin = 0, end = 0;
  };
  // Finds successive matches in one text (valid UTF-8).
  class Finder {
   public:
    Finder(const SplitPattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {}
    bool next(Match& match);

   private:
    const char* match_from(size_t op, const char* at);
    const SplitPattern& pattern_;
    std::string_view text_;
    size_t at_ = 0;
    const Alternative* alternative_ = nullptr;
    uint64_t n_steps_ = 0;
    // An alternative that begins with an unbounded run and failed will fail from every later start in that
    // run.
    std::array<size_t, kMaxAlternatives> fails_until_{};
  };

 private:
  CharTable table_;
  std::vector<Alternative> alternatives_;
  CharTable::Mask first_ = 0;
};

}  // namespace ds::text
