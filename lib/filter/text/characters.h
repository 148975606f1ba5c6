// What the rules ask of a code point: one table look-up for the basic plane, ICU beyond.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace ds::filter {

enum CharFlag : uint16_t {
  kSpace = 1 << 0,  // Python's str.isspace: U+0085, U+00A0, U+3000 and FS..US are in
  kAlpha = 1 << 1,  // any letter, ideographs included (general category L*)
  kDigit = 1 << 2,  // decimal digit of any script (Nd)
  kUpper = 1 << 3,  // upper case letter
  kLower = 1 << 4,  // lower case letter
  kHan = 1 << 5,
  kKana = 1 << 6,
  kHangul = 1 << 7,
  kSymbol = 1 << 8,      // datatrove's punctuation list, controls and full-width "1" (sic) included
  kTerminal = 1 << 9,    // may end a sentence (Unicode Sentence_Terminal and Khmer signs)
  kPeel = 1 << 10,       // one character that leaves the edge of a word: punctuation, quotes, pictographs
  kIcon = 1 << 11,       // general category So
  kControl = 1 << 12,    // category Cc but tab, newline, carriage return
  kSuspect = 1 << 13,    // lead characters of mojibake, U+FFFD
  kLineBreak = 1 << 14,  // Python's str.splitlines breaks here
  kMark = 1 << 15,       // non-spacing mark (Mn)
};

class LetterTable {
 public:
  static const LetterTable& instance();  // built once, immutable
  uint16_t flags(uint32_t c) const { return c < 0x10000 ? flags_[c] : slow_flags(c); }
  // Lower case, full width to ASCII, accents removed (0 for an accent that stands alone): what duplicate
  // search and word vectors compare.
  uint32_t fold(uint32_t c) const { return c < 0x10000 ? fold_[c] : c; }
  const uint16_t* flag_table() const { return flags_.data(); }

 private:
  LetterTable();
  static uint16_t slow_flags(uint32_t c);
  std::vector<uint16_t> flags_, fold_;
};

}  // namespace ds::filter
