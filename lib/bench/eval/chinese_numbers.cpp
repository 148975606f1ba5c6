#include "bench/eval/chinese_numbers.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "bench/eval/wide_text.h"

namespace ds::bench {
namespace {

int chinese_digit(uint32_t c) {
  // The second row is how cheques are written, the third its traditional forms.
  for (const std::u32string_view digits :
       {U"零一二三四五六七八九", U"〇壹贰叁肆伍陆柒捌玖", U"〇壹貳叄肆伍陸柒捌玖"})
    if (const size_t at = digits.find(static_cast<char32_t>(c)); at != digits.npos)
      return static_cast<int>(at);
  return c == U'两' || c == U'兩' ? 2 : -1;
}
int64_t chinese_unit(uint32_t c) {
  return c == U'十' || c == U'拾'   ? 10
         : c == U'百' || c == U'佰' ? 100
         : c == U'千' || c == U'仟' ? 1000
         : c == U'万' || c == U'萬' ? 10000
         : c == U'亿' || c == U'億' ? 100000000
                                    : 0;
}
// Numerals of cheques that are other words as well: 队伍陆续, 收拾.
bool may_be_a_word(char32_t c) {
  return std::u32string_view(U"肆伍陆陸拾佰仟").find(c) != std::u32string_view::npos;
}

// A run of numerals as digits: "一百二十三" 123, "二〇二六" 2026, with
// decimals behind 点. "" when the run is none.
std::string chinese_number(std::u32string_view run) {
  const size_t point = run.find(U'\u70b9');
  std::u32string_view whole = run.substr(0, point);
  std::string out;
  bool units = false;
  for (const char32_t c : whole) units |= chinese_unit(c) > 0;
  if (!units) {
    for (const char32_t c : whole) out += static_cast<char>('0' + chinese_digit(c));
  } else {
    int64_t total = 0, section = 0, digit = -1, last_unit = 1;
    for (const char32_t c : whole) {
      const int64_t unit = chinese_unit(c);
      if (unit == 0) {
        digit = chinese_digit(c);
        if (digit == 0) last_unit = 10;  // after a zero what follows are ones
      } else if (unit < 10000) {
        section += (digit < 0 ? 1 : digit) * unit;
        digit = -1, last_unit = unit;
      } else {
        section += std::max<int64_t>(0, digit);
        total = (total + section) * unit;
        section = 0, digit = -1, last_unit = unit;
      }
    }
    // "三万五" is 35000: the last digit stands for the next lower place.
    if (digit > 0) section += digit * std::max<int64_t>(1, last_unit / 10);
    out = std::to_string(total + section);
  }
  if (point != std::u32string_view::npos) {
    out += '.';
    for (const char32_t c : run.substr(point + 1)) {
      if (chinese_digit(c) < 0) return "";
      out += static_cast<char>('0' + chinese_digit(c));
    }
  }
  return out.ends_with('.') ? "" : out;
}

bool is_numeral(char32_t c) { return chinese_digit(c) >= 0 || chinese_unit(c) > 0; }

bool is_han(char32_t c) { return c >= 0x4E00 && c <= 0x9FFF; }

// Runs of Chinese numerals become digits. A lone numeral inside words ("一些", some) stays what it is:
// it counts between characters that are no Han letters, or with a unit of its own.
std::u32string with_digits(const std::u32string& s) {
  const auto has = [](std::u32string_view list, char32_t c) { return list.find(c) != list.npos; };
  std::u32string out;
  for (size_t i = 0; i < s.size();) {
    size_t end = i;
    while (end < s.size() && (is_numeral(s[end]) || (s[end] == U'\u70b9' && end > i && end + 1 < s.size() &&
                                                     chinese_digit(s[end + 1]) >= 0)))
      ++end;
    // 五万 behind digits is their unit ("3万").
    if (end == i || (i > 0 && is_ascii_digit(s[i - 1]))) {
      const size_t next = std::max(end, i + 1);
      out += s.substr(i, next - i);
      i = next;
      continue;
    }
    const std::u32string_view run = std::u32string_view(s).substr(i, end - i);
    const bool and_more =  // 三又二分之一
        end + 1 < s.size() && s[end] == U'又' && (is_numeral(s[end + 1]) || is_ascii_digit(s[end + 1]));
    const bool below_zero = std::u32string_view(s).substr(0, i).ends_with(U"零下");
    const bool alone = !and_more && !below_zero && run.size() == 1 && end < s.size() && is_han(s[end]) &&
                       s[end] != U'\u5206' && s[end] != U'\u5143' && s[end] != U'\u4e2a';
    // What may be words is a number between characters that go before and behind numbers.
    const bool word = std::any_of(run.begin(), run.end(), may_be_a_word) &&
                      ((i > 0 && is_han(s[i - 1]) && !has(U"是为為得于於共计計负負第", s[i - 1])) ||
                       (end < s.size() && is_han(s[end]) && !has(U"分元个個圆圓角整", s[end])));
    const bool unit_alone = run.size() == 1 && chinese_unit(run[0]) > 10;
    const std::string digits = alone || unit_alone || word ? "" : chinese_number(run);
    out += digits.empty() ? std::u32string(run) : decoded(digits);
    i = end;
  }
  return out;
}

// "1万5千" and "3百": digits before units. Not where the unit begins another word, as of 2千米.
void turn_units_behind_digits(std::u32string& s) {
  const auto digit = [&](size_t i) { return i < s.size() && is_ascii_digit(s[i]); };
  for (size_t begin = 0; begin < s.size();) {
    if (!digit(begin) || (begin > 0 && (s[begin - 1] == U'.' || s[begin - 1] == U','))) {
      ++begin;
      continue;
    }
    int64_t total = 0, last_unit = 0;
    size_t end = begin, n_parts = 0;
    for (size_t i = begin; digit(i);) {
      int64_t value = 0;
      size_t n = 0;
      for (; digit(i) && n < 9; ++i, ++n) value = value * 10 + (s[i] - U'0');
      const int64_t unit = digit(i) || i >= s.size() ? 0 : chinese_unit(s[i]);
      const bool word = i + 1 < s.size() && std::u32string_view(U"米克瓦卡帕赫伏焦字分").find(s[i + 1]) !=
                                                std::u32string_view::npos;
      if (unit < 100 || (unit < 10000 && word) || (last_unit && unit >= last_unit)) {
        // "1万5000": the rest as it stands; "1万5" is 15000.
        if (n_parts && unit == 0 && value < last_unit && !digit(i) && (i >= s.size() || s[i] != U'.'))
          total += n == 1 ? value * last_unit / 10 : value, end = i;
        break;
      }
      total += value * unit, last_unit = unit, end = ++i;
      ++n_parts;
    }
    // A single 万 or 亿 is read with its number, which may have decimals.
    if (n_parts > 1 || (n_parts == 1 && (last_unit < 10000 || digit(end - 1)))) {
      const std::string text = std::to_string(total);
      const std::u32string turned(text.begin(), text.end());
      s.replace(begin, end - begin, turned);
      end = begin + turned.size();
    }
    begin = std::max(end, begin + 1);
    while (digit(begin)) ++begin;
  }
}

// Whether what stands before i lets a number follow.
bool may_begin(const std::u32string& s, size_t i) {
  return i == 0 || (!is_han(s[i - 1]) && !is_ascii_digit(s[i - 1])) ||
         std::u32string_view(U"是为為得于於共计計").find(s[i - 1]) != std::u32string_view::npos;
}

// 一半 and 半 are 1/2 where they stand alone, 2个半 is 2.5 before what can be halved: 2个半圆 are two
// semicircles.
void turn_halves(std::u32string& s) {
  for (const std::u32string_view half : {U"一半", U"半"})
    for (size_t at = s.find(half); at != std::u32string::npos; at = s.find(half, at + 1)) {
      const size_t end = at + half.size();
      if (may_begin(s, at) && (end == s.size() || !is_han(s[end]))) s.replace(at, half.size(), U"1/2");
    }
  constexpr std::u32string_view kAndHalf = U"个半";
  for (size_t at = s.find(kAndHalf); at != std::u32string::npos; at = s.find(kAndHalf, at + 1)) {
    const std::u32string_view rest = std::u32string_view(s).substr(at + kAndHalf.size());
    size_t begin = at;
    while (begin > 0 && is_ascii_digit(s[begin - 1])) --begin;
    const bool whole = begin < at && (begin == 0 || (s[begin - 1] != U'.' && s[begin - 1] != U'/'));
    bool halved = rest.empty() || !is_han(rest[0]);
    for (const std::u32string_view unit : {U"小时", U"小時", U"钟头", U"月", U"星期"})
      halved |= rest.starts_with(unit);
    if (whole && halved) s.replace(at, kAndHalf.size(), U".5");
  }
}

// 零下5 is -5.
void turn_below_zero(std::u32string& s) {
  constexpr std::u32string_view kBelow = U"零下";
  for (size_t at = s.find(kBelow); at != std::u32string::npos; at = s.find(kBelow, at + 1))
    if (at + kBelow.size() < s.size() && is_ascii_digit(s[at + kBelow.size()]))
      s.replace(at, kBelow.size(), U"-");
}

// "1又1/2" is one and a half.
void turn_mixed(std::u32string& s) {
  for (size_t at = s.find(U'又'); at != std::u32string::npos; at = s.find(U'又', at + 1))
    if (at > 0 && at + 1 < s.size() && is_ascii_digit(s[at - 1]) && is_ascii_digit(s[at + 1])) s[at] = U' ';
}

// a分之b is b/a, 百分之b is b %, 千分之b is b/1000.
void turn_fractions(std::u32string& s) {
  constexpr std::u32string_view kOf = U"\u5206\u4e4b";
  for (size_t at = s.find(kOf); at != std::u32string::npos; at = s.find(kOf, at + 1)) {
    const auto digit = [&](size_t i) { return i < s.size() && (is_ascii_digit(s[i]) || s[i] == U'.'); };
    size_t end = at + kOf.size();
    while (digit(end)) ++end;
    const std::u32string above = s.substr(at + kOf.size(), end - at - kOf.size());
    if (above.empty()) continue;
    size_t begin = at;
    while (begin > 0 && digit(begin - 1)) --begin;
    std::u32string turned;
    if (begin < at)
      turned = above + U"/" + s.substr(begin, at - begin);
    else if (at > 0 && s[at - 1] == U'\u767e')
      begin = at - 1, turned = above + U"%";
    else if (at > 0 && s[at - 1] == U'千')
      begin = at - 1, turned = above + U"/1000";
    else if (at > 0 && s[at - 1] == U'万')
      begin = at - 1, turned = above + U"/10000";
    else
      continue;
    s.replace(begin, end - begin, turned);
  }
}

}  // namespace

void turn_chinese_numbers(std::u32string& s) {
  replace_all(s, U"百分之百", U"100%");
  replace_all(s, U"廿", U"二十");
  replace_all(s, U"卅", U"三十");
  s = with_digits(s);
  turn_below_zero(s);
  turn_halves(s);
  replace_all(s, U"\u8d1f", U"-");
  replace_all(s, U"\u8ca0", U"-");
  turn_units_behind_digits(s);
  turn_fractions(s);
  turn_mixed(s);
}

}  // namespace ds::bench
