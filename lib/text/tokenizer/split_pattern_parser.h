// Parses the regex shape that SplitPattern runs; anything else makes parse() return false.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer/char_set.h"
#include "text/tokenizer/split_pattern.h"

namespace ds::text {

class SplitPatternParser {
 public:
  explicit SplitPatternParser(std::string_view regex) : text_(regex) {}
  bool parse();
  const std::vector<CharSet>& sets() const { return sets_; }
  std::vector<SplitPattern::Alternative> take_alternatives() { return std::move(alternatives_); }

 private:
  using Op = SplitPattern::Op;
  using Sequences = std::vector<std::vector<Op>>;
  // alternatives := sequence ('|' sequence)*, up to the end of text or the closing bracket of a group
  bool alternatives(Sequences& out, bool in_group, bool ignore_case, int depth);
  bool sequence(Sequences& out, bool in_group, bool ignore_case, int depth);
  bool group(Sequences& current, bool ignore_case, int depth);
  bool atom(CharSet& set, bool ignore_case);
  bool char_class(CharSet& set, bool ignore_case);
  // One escape after its backslash. single receives the code point when it stands for just one.
  bool escape(CharSet& set, std::optional<uint32_t>& single);
  bool quantifier(Op& op);
  bool hex(size_t n_min, size_t n_max, uint32_t& value);
  bool one_char(uint32_t& code_point);
  bool set_bit(const CharSet& set, CharTable::Mask& bit);
  bool eat(std::string_view token);
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<CharSet> sets_;
  std::vector<SplitPattern::Alternative> alternatives_;
};

}  // namespace ds::text
