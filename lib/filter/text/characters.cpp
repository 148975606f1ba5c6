#include "filter/text/characters.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>

#include <set>
#include <string_view>

namespace ds::filter {
namespace {

constexpr std::u32string_view kSymbols =
    U"!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»";
constexpr std::u32string_view kPeeled =
    U"…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
    U"'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧";

bool is_python_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}
bool is_line_break(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

uint16_t classify(uint32_t c) {
  uint16_t f = 0;
  if (is_python_space(c)) f |= kSpace;
  if (is_line_break(c)) f |= kLineBreak;
  const auto type = u_charType(static_cast<UChar32>(c));
  switch (type) {
    case U_UPPERCASE_LETTER:
    case U_TITLECASE_LETTER:
      f |= kAlpha | kUpper;
      break;
    case U_LOWERCASE_LETTER:
      f |= kAlpha | kLower;
      break;
    case U_MODIFIER_LETTER:
    case U_OTHER_LETTER:
      f |= kAlpha;
      break;
    case U_DECIMAL_DIGIT_NUMBER:
      f |= kDigit;
      break;
    case U_CONTROL_CHAR:
      if (c != '\t' && c != '\n' && c != '\r') f |= kControl;
      break;
    case U_OTHER_SYMBOL:
      f |= kIcon | kPeel;
      break;
    case U_NON_SPACING_MARK:
      f |= kMark;
      break;
    default:
      break;
  }
  if ((c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || c == 0x3007 ||
      (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x323AF))
    f |= kHan;
  if ((c >= 0x3041 && c <= 0x30FF && c != 0x30FB) || (c >= 0xFF66 && c <= 0xFF9D)) f |= kKana;
  if ((c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x1100 && c <= 0x11FF) || (c >= 0x3130 && c <= 0x318F))
    f |= kHangul;
  // Python's range() ends before its bound: tab and newline are no symbols, carriage return is.
  if (c <= 8 || (c >= 11 && c <= 12) || (c >= 13 && c <= 31) || (c >= 127 && c <= 159)) f |= kSymbol;
  if (kSymbols.find(static_cast<char32_t>(c)) != kSymbols.npos) f |= kSymbol;
  if (kPeeled.find(static_cast<char32_t>(c)) != kPeeled.npos) f |= kPeel;
  if (u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_S_TERM) || (c >= 0x17D4 && c <= 0x17D6) ||
      c == 0x17D9 || c == 0x17DA)
    f |= kTerminal;
  // UTF-8 read as Latin-1 or Windows-1252 starts with one of these; U+9525 starts the well-known
  // "\u951f\u65a4\u62f7" that twice-replaced GBK leaves.
  if ((c >= 0xC2 && c <= 0xF4 && c != 0xD7 && c != 0xF7) || c == 0xFFFD || c == 0x951F) f |= kSuspect;
  return f;
}

}  // namespace

LetterTable::LetterTable() : flags_(0x10000), fold_(0x10000) {
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* nfd = unorm2_getNFDInstance(&error);
  std::set<uint32_t> marks;  // what letters are composed with
  for (uint32_t c = 0; c < 0x10000; ++c) {
    flags_[c] = c >= 0xD800 && c <= 0xDFFF ? 0 : classify(c);
    uint32_t f = c;
    if (c >= 0xFF01 && c <= 0xFF5E) f = c - 0xFEE0;
    if (flags_[c] & kAlpha && !(flags_[c] & (kHan | kHangul))) {
      UChar parts[8];
      const int32_t n = unorm2_getDecomposition(nfd, static_cast<UChar32>(f), parts, 8, &error);
      if (n > 1 && u_charType(parts[1]) == U_NON_SPACING_MARK) {
        f = parts[0];
        for (int32_t k = 1; k < n; ++k) marks.insert(parts[k]);
      }
      f = static_cast<uint32_t>(u_tolower(static_cast<UChar32>(f)));
    }
    fold_[c] = static_cast<uint16_t>(f);
  }
  for (const uint32_t mark : marks) fold_[mark] = 0;
}

const LetterTable& LetterTable::instance() {
  static const LetterTable table;
  return table;
}

uint16_t LetterTable::slow_flags(uint32_t c) { return classify(c); }

}  // namespace ds::filter
