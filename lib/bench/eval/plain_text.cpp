#include "bench/eval/plain_text.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "bench/eval/chinese_numbers.h"
#include "bench/eval/wide_text.h"

namespace ds::bench {
namespace {

// The one spelling of a character; 0 for none at all.
char32_t plain_character(char32_t c) {
  if (c >= 0xFF01 && c <= 0xFF5E) return c - 0xFEE0;
  if (c == 0x2212 || c == 0x2010 || c == 0x2011 || c == 0x2012 || c == 0x2013 || c == 0xFE63) return U'-';
  if (c == 0xA0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F) return U' ';
  if (c == 0x2044 || c == 0x2215) return U'/';
  if (c == 0x2019 || c == 0x02BC) return U'\'';
  if (c == 0x200B || c == 0xFEFF || c == 0x2060) return 0;
  if (c >= 0x660 && c <= 0x669) return U'0' + (c - 0x660);
  return c;
}

// "½" is 1/2; "" for other characters.
std::u32string_view vulgar_fraction(char32_t c) {
  static constexpr std::pair<char32_t, std::u32string_view> kFractions[] = {
      {U'¼', U"1/4"}, {U'½', U"1/2"}, {U'¾', U"3/4"}, {U'⅐', U"1/7"}, {U'⅑', U"1/9"}, {U'⅒', U"1/10"},
      {U'⅓', U"1/3"}, {U'⅔', U"2/3"}, {U'⅕', U"1/5"}, {U'⅖', U"2/5"}, {U'⅗', U"3/5"}, {U'⅘', U"4/5"},
      {U'⅙', U"1/6"}, {U'⅚', U"5/6"}, {U'⅛', U"1/8"}, {U'⅜', U"3/8"}, {U'⅝', U"5/8"}, {U'⅞', U"7/8"}};
  for (const auto& [sign, text] : kFractions)
    if (sign == c) return text;
  return {};
}
// 10⁻⁶: the character without its raising; 0 for others.
char32_t raised_character(char32_t c) {
  constexpr std::u32string_view kRaised = U"⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
  const size_t at = kRaised.find(c);
  return at == kRaised.npos ? 0 : U"0123456789-"[at];
}

// ---- LaTeX

// The group that begins with "{" at i, without its braces; a single character where there is none.
std::u32string_view group_at(std::u32string_view s, size_t& i) {
  if (i >= s.size()) return {};
  if (s[i] != U'{') return s.substr(i++, 1);
  int depth = 0;
  const size_t begin = i + 1;
  for (; i < s.size(); ++i) {
    depth += s[i] == U'{' ? 1 : s[i] == U'}' ? -1 : 0;
    if (depth == 0) return s.substr(begin, i++ - begin);
  }
  return s.substr(begin);
}

constexpr int kDeepest = 16;

// "100~200" is a range. In LaTeX the same sign is a blank: where the number has another separator of LaTeX,
// or more than one of these.
void turn_ties(std::u32string& s) {
  constexpr std::u32string_view kInside = U"0123456789,.'_~ {}\\;:!>";
  for (size_t i = 0; i < s.size();) {
    if (!is_ascii_digit(s[i])) {
      ++i;
      continue;
    }
    const size_t end = std::min(s.find_first_not_of(kInside, i), s.size());
    const std::u32string_view run = std::u32string_view(s).substr(i, end - i);
    const bool latex =
        run.find(U'\\') != run.npos || run.find(U"{,}") != run.npos || run.find(U'~') != run.rfind(U'~');
    for (; i < end; ++i)
      if (latex && s[i] == U'~') s[i] = U' ';
  }
}

// Whether the text ends in decimals in groups of three, as "3.141" does of 3.141\,592.
bool ends_in_grouped_decimals(std::u32string_view s) {
  size_t n = 0;
  while (n < s.size() && is_ascii_digit(s[s.size() - 1 - n])) ++n;
  return n > 0 && n % 3 == 0 && n < s.size() && s[s.size() - 1 - n] == U'.';
}

// 0.1\overline{6}: with the decimal that the text ends in turned into the fraction 15/90. False where it ends
// in none, or in more digits than 64 bits hold.
bool repeat_decimals(std::u32string& text, std::u32string_view repeated) {
  constexpr size_t kMostDigits = 17;
  size_t begin = text.size(), point = text.npos;
  while (begin > 0 && (is_ascii_digit(text[begin - 1]) || (text[begin - 1] == U'.' && point == text.npos)))
    if (text[--begin] == U'.') point = begin;
  const std::u32string_view decimal = std::u32string_view(text).substr(begin);
  if (point == text.npos || point == begin || repeated.empty() ||
      !std::all_of(repeated.begin(), repeated.end(), is_ascii_digit) ||
      decimal.size() + repeated.size() > kMostDigits)
    return false;
  // 0.1666... is (16 - 1) / 90: a nine for each repeated digit, a zero for each other decimal.
  int64_t once = 0, twice = 0;
  std::string below(repeated.size(), '9');
  for (const char32_t c : decimal)
    if (c != U'.') once = 10 * once + (c - U'0');
  twice = once;
  for (const char32_t c : repeated) twice = 10 * twice + (c - U'0');
  below.append(text.size() - point - 1, '0');
  text.resize(begin);
  text += decoded(std::to_string(twice - once) + "/" + below);
  return true;
}

std::u32string without_latex(std::u32string_view s, int depth = 0) {
  std::u32string out;
  const auto starts = [&](size_t i, std::u32string_view word) { return s.substr(i, word.size()) == word; };
  for (size_t i = 0; i < s.size();) {
    if (s[i] != U'\\' || depth > kDeepest) {
      out += s[i++];
      continue;
    }
    bool done = false;
    for (const std::u32string_view frac : {U"\\dfrac", U"\\tfrac", U"\\cfrac", U"\\frac"}) {
      if (done || !starts(i, frac)) continue;
      size_t at = i + frac.size();
      const std::u32string above = without_latex(group_at(s, at), depth + 1),
                           below = without_latex(group_at(s, at), depth + 1);
      // "2\\frac{1}{2}" is two and a half.
      if (!out.empty() && is_ascii_digit(out.back())) out += U' ';
      const bool minus = above.starts_with(U'-');
      const bool plain = std::all_of(above.begin() + minus, above.end(), is_ascii_digit);
      out += (plain ? above : U"(" + above + U")") + U"/" + below;
      i = at, done = true;
    }
    for (const std::u32string_view text : {U"\\text", U"\\mathrm", U"\\mathbf", U"\\textbf", U"\\mbox"}) {
      if (done || !starts(i, text) || i + text.size() >= s.size() || s[i + text.size()] != U'{') continue;
      size_t at = i + text.size();
      out += without_latex(group_at(s, at), depth + 1);
      i = at, done = true;
    }
    for (const std::u32string_view bar : {U"\\overline", U"\\bar", U"\\dot"}) {
      size_t at = i + bar.size();
      if (done || !starts(i, bar) || at >= s.size() || !repeat_decimals(out, group_at(s, at))) continue;
      i = at, done = true;
    }
    if (done) continue;
    // Nothing is left of the blank that takes room away, but between digits it shows where a group ends.
    if (starts(i, U"\\!") && !out.empty() && is_ascii_digit(out.back()) && i + 2 < s.size() &&
        is_ascii_digit(s[i + 2]))
      out += U' ';
    for (const std::u32string_view gone :
         {U"\\left", U"\\right", U"\\!", U"\\displaystyle", U"\\(", U"\\)", U"\\[", U"\\]"})
      if (!done && starts(i, gone)) i += gone.size(), done = true;
    // A thin space and the blanks behind it, which a formula does not show, are one blank; a wide one parts.
    for (const std::u32string_view blank :
         {U"\\,", U"\\;", U"\\:", U"\\>", U"\\ ", U"\\thinspace", U"\\qquad", U"\\quad"}) {
      if (done || !starts(i, blank)) continue;
      i += blank.size(), done = true;
      if (blank.ends_with(U"quad")) {
        out += U"  ";
        continue;
      }
      while (i < s.size() && s[i] == U' ') ++i;
      const bool joins = i < s.size() && is_ascii_digit(s[i]) && ends_in_grouped_decimals(out);
      if (!joins && !out.ends_with(U' ')) out += U' ';
    }
    for (const std::u32string_view sign : {U"\\%", U"\\$"})
      if (!done && starts(i, sign)) out += sign[1], i += 2, done = true;
    if (!done) out += s[i++];
  }
  return out;
}

}  // namespace

std::string plain_text(std::string_view text) {
  std::u32string s;
  char32_t last = 0;
  for (const char32_t c : decoded(text)) {
    // Between digits the wide comma of Chinese text is one of a list; in numbers that are wide as a whole it
    // is as wide as they.
    const bool list = !s.empty() && s.back() == U',' && last == 0xFF0C && is_ascii_digit(c);
    if (list) s += U' ';
    const std::u32string_view fraction = vulgar_fraction(c);
    const char32_t raised = raised_character(c);
    if (!fraction.empty()) {
      if (!s.empty() && is_ascii_digit(s.back())) s += U' ';  // 3½
      s += fraction;
    } else if (raised && !s.empty() && is_ascii_digit(s.back())) {  // not of cm²
      if (!raised_character(last)) s += U'^';
      s += raised;
    } else if (const char32_t p =
                   raised && s.ends_with(U'-') && raised_character(last) ? raised : plain_character(c)) {
      s += p;
    }
    last = c;
  }
  replace_all(s, U"{\\,}", U"\\,");
  replace_all(s, U",\\! ", U",");
  turn_ties(s);
  replace_all(s, U"{,}", U",");
  replace_all(s, U"^{\\circ}", U"\u00b0");
  replace_all(s, U"^\\circ", U"\u00b0");
  s = without_latex(s);
  turn_chinese_numbers(s);
  replace_all(s, U"{,}", U",");
  return encoded(s);
}

}  // namespace ds::bench
