// Sets of code points as sorted ranges, and the Unicode properties that tokenizer patterns name.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ds::text {

class CharSet {
 public:
  struct Range {
    uint32_t first, last;  // inclusive
  };

  CharSet() = default;
  CharSet(uint32_t first, uint32_t last) { add(first, last); }

  void add(uint32_t first, uint32_t last);
  void add(const CharSet& other);
  // All code points that are not in the set.
  CharSet negated() const;
  bool contains(uint32_t code_point) const;
  // Sorted, disjoint, not touching.
  const std::vector<Range>& ranges() const { return ranges_; }

  // A property as \p{name} spells it: a general category of one or two letters (L, Lu, N, P, S, M, Z ...), a
  // script (Han, Hiragana ...) or a binary property (Alphabetic ...). nullopt: no such property.
  static std::optional<CharSet> property(std::string_view name);
  static CharSet white_space();  // \s
  static CharSet word();         // \w
  static CharSet numeric();      // the Digits pre-tokenizer
  static CharSet punctuation();  // the Punctuation pre-tokenizer

 private:
  std::vector<Range> ranges_;
};

constexpr uint32_t kMaxCodePoint = 0x10FFFF;

}  // namespace ds::text
