#include "bench/eval/numbers.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <numeric>

#include "core/utf8.h"

namespace ds::bench {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_digit(char32_t c) { return c < 128 && is_digit(static_cast<char>(c)); }
bool digit_at(std::string_view s, size_t i) { return i < s.size() && is_digit(s[i]); }

// ---- exact values: 36 digits are enough for every answer that a person checks

constexpr __int128 kLargest = [] {
  __int128 v = 1;
  for (int i = 0; i < 36; ++i) v *= 10;
  return v;
}();

struct Fraction {
  __int128 above = 0, below = 1;
};

__int128 common_divisor(__int128 a, __int128 b) {
  while (b != 0) a %= b, std::swap(a, b);
  return a < 0 ? -a : a;
}

Fraction reduced(Fraction f) {
  if (f.below < 0) f.above = -f.above, f.below = -f.below;
  const __int128 d = common_divisor(f.above, f.below);
  return d > 1 ? Fraction{f.above / d, f.below / d} : f;
}

// Digits and at most one point; absent when there are too many digits.
std::optional<Fraction> fraction_of(std::string_view decimal) {
  Fraction f;
  bool point = false;
  for (const char c : decimal) {
    if (c == '.') {
      point = true;
      continue;
    }
    if (f.above >= kLargest / 10 || f.below >= kLargest / 10) return std::nullopt;
    f.above = f.above * 10 + (c - '0');
    if (point) f.below *= 10;
  }
  return reduced(f);
}

std::string digits_of(__int128 v) {
  if (v < 0) return "-" + digits_of(-v);
  std::string out;
  do out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(v % 10)));
  while ((v /= 10) != 0);
  return out;
}

// As a decimal where the denominator has no other factors than 2 and 5.
std::string text_of(Fraction f) {
  f = reduced(f);
  __int128 rest = f.below, scale = 1;
  while (rest % 10 == 0) rest /= 10, scale *= 10;
  __int128 above = f.above;
  while (rest % 2 == 0 && scale < kLargest / 10 && above < kLargest / 10 && above > -kLargest / 10)
    rest /= 2, scale *= 10, above *= 5;
  while (rest % 5 == 0 && scale < kLargest / 10 && above < kLargest / 10 && above > -kLargest / 10)
    rest /= 5, scale *= 10, above *= 2;
  if (rest != 1) return digits_of(f.above) + "/" + digits_of(f.below);
  const bool negative = above < 0;
  std::string digits = digits_of(negative ? -above : above);
  const size_t places = digits_of(scale).size() - 1;
  if (places > 0) {
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    digits.insert(digits.size() - places, ".");
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
  }
  return (negative && digits != "0" ? "-" : "") + digits;
}

// Too long for a Fraction: the digits themselves.
std::string long_decimal(std::string text) {
  text.erase(0, std::min(text.find_first_not_of('0'), text.size() - 1));
  if (text.starts_with('.')) text.insert(0, "0");
  if (text.find('.') != std::string::npos) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

// ---- one number at a place

// How many digits follow from i on.
size_t n_digits(std::string_view s, size_t i) {
  size_t n = 0;
  while (digit_at(s, i + n)) ++n;
  return n;
}

bool separates_thousands(char c) { return c == ',' || c == ' ' || c == '\'' || c == '_'; }

// Digits with their thousands: 1,234,567 or 1 234 567 or 1'234'567 or 1_234, also mixed as where LaTeX has
// 12\,345{,}678; or 1.234.567 (two groups at least, else it is a decimal); or as in India (12,34,567).
// Appends the digits, returns the end. "1, 234" has two separators in a row: a list. In "(1,234)" the comma
// separates thousands, too: where one number is asked for, a pair is the odder reading.
size_t read_integer(std::string_view s, size_t i, std::string& digits) {
  size_t n = n_digits(s, i);
  digits.append(s.substr(i, n));
  i += n;
  if (n == 0 || n > 3) return i;
  const bool points = i < s.size() && s[i] == '.';
  size_t end = i;
  std::string groups, marks;
  while (end < s.size() && (points ? s[end] == '.' : separates_thousands(s[end]))) {
    const size_t m = n_digits(s, end + 1);
    const bool indian =
        s[end] == ',' && m == 2 && end + 3 < s.size() && s[end + 3] == ',' && digit_at(s, end + 4);
    if (m != 3 && !indian) break;
    groups.append(s.substr(end + 1, m));
    marks += s[end];
    end += 1 + m;
  }
  // "1.234,56": behind a comma for the decimals, one or two of them, one point separates thousands, too.
  const size_t decimals = end < s.size() && s[end] == ',' ? n_digits(s, end + 1) : 0;
  const bool cents = points && (decimals == 1 || decimals == 2);
  if (marks.size() < (points && !cents ? 2 : 1)) return i;
  // "1,234,56": not thousands after all.
  if (digit_at(s, end + 1) && s[end] != ' ' && s[end] != '.' && marks.find(s[end]) != std::string::npos)
    return i;
  digits += groups;
  return end;
}

// An unsigned decimal; after thousands by points a comma begins the decimals.
size_t read_decimal(std::string_view s, size_t i, std::string& decimal) {
  const size_t begin = i;
  i = read_integer(s, i, decimal);
  const bool by_points = s.substr(begin, i - begin).find('.') != std::string_view::npos;
  const char point = by_points ? ',' : '.';
  if (i < s.size() && s[i] == point && digit_at(s, i + 1) && (i > begin || point == '.')) {
    const size_t n = n_digits(s, i + 1);
    decimal += (decimal.empty() ? "0." : ".") + std::string(s.substr(i + 1, n));
    return i + 1 + n;
  }
  // "0,5" and "12,75": a comma before one, two or more than three digits separates no thousands.
  if (i > begin && i < s.size() && s[i] == ',' && !by_points) {
    const size_t n = n_digits(s, i + 1);
    const bool list = i + 1 + n < s.size() && s[i + 1 + n] == ',' && digit_at(s, i + 2 + n);
    if (n > 0 && n != 3 && !list && s.substr(begin, i - begin).find(',') == std::string_view::npos) {
      decimal += "." + std::string(s.substr(i + 1, n));
      return i + 1 + n;
    }
  }
  return i;
}

size_t skip_blanks(std::string_view s, size_t i) {
  while (i < s.size() && s[i] == ' ') ++i;
  return i;
}

size_t skip_one_of(std::string_view s, size_t i, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words)
    if (s.substr(i).starts_with(word)) return i + word.size();
  return i;
}

// A factor written behind: "1.5e3", "1.5*10^3". Decimal places to move.
size_t read_exponent(std::string_view s, size_t i, int& exponent) {
  for (const auto& [unit, places] : {std::pair("万", 4), {"萬", 4}, {"亿", 8}, {"億", 8}})
    if (s.substr(i).starts_with(unit)) {  // 3万, 2亿
      exponent = places;
      return i + 3;
    }
  size_t j = i;
  // "1.5 million" is 1500000 and not 1.5.
  for (const auto& [word, places] :
       {std::pair<std::string_view, int>{"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12}}) {
    const size_t at = skip_blanks(s, i), end = at + word.size();
    const bool there =
        end <= s.size() && std::equal(word.begin(), word.end(), s.begin() + static_cast<ptrdiff_t>(at),
                                      [](char a, char b) { return a == (b | 32); });
    if (!there || (end < s.size() && std::isalpha(static_cast<unsigned char>(s[end])))) continue;
    exponent = places;
    return end;
  }
  if (j < s.size() && (s[j] == 'e' || s[j] == 'E')) {
    ++j;
  } else {
    j = skip_blanks(s, j);
    const size_t times = skip_one_of(s, j, {"*", "\xC3\x97", "\\times", "\\cdot"});
    if (times == j) return i;
    j = skip_blanks(s, times);
    if (!s.substr(j).starts_with("10^")) return i;
    j += 3;
    if (j < s.size() && s[j] == '{') ++j;
  }
  const bool minus = j < s.size() && s[j] == '-';
  if (j < s.size() && (s[j] == '-' || s[j] == '+')) ++j;
  const size_t n = n_digits(s, j);
  if (n == 0 || n > 2) return i;
  exponent = std::stoi(std::string(s.substr(j, n))) * (minus ? -1 : 1);
  j += n;
  return j < s.size() && s[j] == '}' && s[i] != 'e' && s[i] != 'E' ? j + 1 : j;
}

// "^6", "^{-2}" behind a base; i where there is none.
size_t read_power(std::string_view s, size_t i, int& power) {
  if (i >= s.size() || s[i] != '^') return i;
  size_t j = i + 1;
  const bool brace = j < s.size() && s[j] == '{';
  j += brace;
  const bool minus = j < s.size() && s[j] == '-';
  j += minus;
  const size_t n = n_digits(s, j);
  if (n == 0 || n > 4) return i;
  power = std::stoi(std::string(s.substr(j, n))) * (minus ? -1 : 1);
  j += n;
  return brace && j < s.size() && s[j] == '}' ? j + 1 : j;
}

// Absent when the result is none, or has too many digits.
std::optional<Fraction> raised(Fraction base, int power) {
  if (power < 0 && base.above == 0) return std::nullopt;
  if (power < 0) std::swap(base.above, base.below);
  Fraction out{1, 1};
  for (int k = 0; k < std::abs(power); ++k) {
    if (base.above == base.below) break;
    if (base.above == 0) return Fraction{0, 1};
    if (out.above >= kLargest / base.above || out.below >= kLargest / base.below) return std::nullopt;
    out.above *= base.above, out.below *= base.below;
  }
  return reduced(out);
}

// Digits that are no number: the time 7:30, the ratio 2:3, and 5/0. The end of them, i where there are none.
size_t skip_no_number(std::string_view s, size_t i) {
  size_t end = i + n_digits(s, i);
  if (end == i) return i;
  const auto next = [&](size_t at) { return at + 1 + n_digits(s, at + 1); };
  const size_t first = end;
  while (end < s.size() && s[end] == ':' && digit_at(s, end + 1)) end = next(end);
  if (end > first) return end;
  const size_t slash = skip_blanks(s, end);
  if (slash >= s.size() || s[slash] != '/') return i;
  const size_t below = skip_blanks(s, slash + 1), zeros = below + n_digits(s, below);
  const bool is_zero = zeros > below && s.substr(below, zeros - below).find_first_not_of('0') == s.npos;
  const bool goes_on = zeros < s.size() && (s[zeros] == '/' || (s[zeros] == '.' && digit_at(s, zeros + 1)));
  return is_zero && !goes_on ? zeros : i;
}

// A number that begins at i, sign and currency included; its canonical form is empty where the digits are
// none.
std::optional<FoundNumber> number_at(std::string_view s, size_t i) {
  FoundNumber found{i, i, "", false};
  bool minus = false;
  for (int round = 0; round < 2; ++round) {
    if (!minus && i < s.size() && (s[i] == '-' || s[i] == '+')) minus = s[i++] == '-';
    i = skip_blanks(s, skip_one_of(s, i, {"$", "\xC2\xA3", "\xC2\xA5", "\xE2\x82\xAC"}));
  }
  if (!digit_at(s, i) && !(i < s.size() && s[i] == '.' && digit_at(s, i + 1))) return std::nullopt;
  if (const size_t end = skip_no_number(s, i); end != i) {
    found.end = end;
    return found;
  }
  std::string decimal;
  i = read_decimal(s, i, decimal);
  std::optional<Fraction> value = fraction_of(decimal);
  const bool whole = decimal.find('.') == std::string::npos;
  int exponent = 0;
  i = read_exponent(s, i, exponent);
  for (; value && exponent != 0; exponent += exponent > 0 ? -1 : 1) {
    if (value->above >= kLargest / 10 || value->below >= kLargest / 10) return std::nullopt;
    (exponent > 0 ? value->above : value->below) *= 10;
  }
  int power = 0;
  if (const size_t end = read_power(s, i, power); end != i) {
    value = value ? raised(*value, power) : std::nullopt;
    i = found.end = end;
    if (!value) return found;
  }
  // "1 1/2" is one and a half, "3/4" a fraction; "3/4/2024" is a date.
  std::string above = decimal, below;
  size_t j = i;
  Fraction units;
  if (whole && j < s.size() && (s[j] == ' ' || s[j] == '+') && digit_at(s, j + 1)) {
    const size_t n = n_digits(s, j + 1);
    if (j + 1 + n < s.size() && s[j + 1 + n] == '/' && digit_at(s, j + 2 + n) && value) {
      units = *value;
      above = std::string(s.substr(j + 1, n));
      j += 1 + n;
    }
  }
  const size_t slash = skip_blanks(s, j);
  if (slash < s.size() && s[slash] == '/' && value) {
    size_t k = skip_blanks(s, slash + 1);
    const bool bracket = k < s.size() && s[k] == '(';
    const size_t end = read_decimal(s, k + bracket, below);
    const bool date = end < s.size() && s[end] == '/' && digit_at(s, end + 1);
    const auto numerator = j == i ? value : fraction_of(above);
    if (const auto d = below.empty() ? std::nullopt : fraction_of(below);
        d && d->above != 0 && numerator && !date) {
      const bool small =
          numerator->above < kLargest / d->below / 10 && d->above < kLargest / numerator->below / 10;
      if (small) {
        Fraction f = reduced({numerator->above * d->below, numerator->below * d->above});
        if (j != i) f = reduced({f.above + units.above * f.below, f.below});
        value = f;
        i = end + (bracket && end < s.size() && s[end] == ')');
      }
    }
  }
  if (value) {
    if (minus) value->above = -value->above;
    found.canonical = text_of(*value);
  } else {
    found.canonical = (minus ? "-" : "") + long_decimal(decimal);
  }
  const size_t sign = skip_blanks(s, i);
  if (const size_t end = skip_one_of(s, sign, {"%", "\\%"}); end != sign) found.percent = true, i = end;
  found.end = i;
  return found;
}

// ---- Chinese numerals

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

std::u32string decoded(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    uint32_t v = n == 1 ? c : c & (0xFF >> (n + 1));
    if (c >= 0x80 && c < 0xC0) v = 0xFFFD;
    for (size_t k = 1; k < n && i + k < text.size(); ++k)
      v = v << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    out += static_cast<char32_t>(v);
    i += n;
  }
  return out;
}

std::string encoded(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

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

void replace_all(std::u32string& s, std::u32string_view from, std::u32string_view to) {
  for (size_t at = s.find(from); at != std::u32string::npos; at = s.find(from, at + to.size()))
    s.replace(at, from.size(), to);
}

bool is_numeral(char32_t c) { return chinese_digit(c) >= 0 || chinese_unit(c) > 0; }

// Runs of Chinese numerals become digits. A lone numeral inside words ("一些", some) stays what it is:
// it counts between characters that are no Han letters, or with a unit of its own.
std::u32string with_digits(const std::u32string& s) {
  const auto han = [](char32_t c) { return c >= 0x4E00 && c <= 0x9FFF; };
  const auto has = [](std::u32string_view list, char32_t c) { return list.find(c) != list.npos; };
  std::u32string out;
  for (size_t i = 0; i < s.size();) {
    size_t end = i;
    while (end < s.size() && (is_numeral(s[end]) || (s[end] == U'\u70b9' && end > i && end + 1 < s.size() &&
                                                     chinese_digit(s[end + 1]) >= 0)))
      ++end;
    // 五万 behind digits is their unit ("3万").
    if (end == i || (i > 0 && s[i - 1] < 128 && is_digit(static_cast<char>(s[i - 1])))) {
      const size_t next = std::max(end, i + 1);
      out += s.substr(i, next - i);
      i = next;
      continue;
    }
    const std::u32string_view run = std::u32string_view(s).substr(i, end - i);
    const bool and_more =  // 三又二分之一
        end + 1 < s.size() && s[end] == U'又' && (is_numeral(s[end + 1]) || is_ascii_digit(s[end + 1]));
    const bool alone = !and_more && run.size() == 1 && end < s.size() && han(s[end]) && s[end] != U'\u5206' &&
                       s[end] != U'\u5143' && s[end] != U'\u4e2a';
    // What may be words is a number between characters that go before and behind numbers.
    const bool word = std::any_of(run.begin(), run.end(), may_be_a_word) &&
                      ((i > 0 && han(s[i - 1]) && !has(U"是为為得于於共计計负負第", s[i - 1])) ||
                       (end < s.size() && han(s[end]) && !has(U"分元个個圆圓角整", s[end])));
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

// "1又1/2" is one and a half.
void turn_mixed(std::u32string& s) {
  for (size_t at = s.find(U'又'); at != std::u32string::npos; at = s.find(U'又', at + 1))
    if (at > 0 && at + 1 < s.size() && is_ascii_digit(s[at - 1]) && is_ascii_digit(s[at + 1])) s[at] = U' ';
}

// a分之b is b/a, 百分之b is b %, 千分之b is b/1000.
void turn_fractions(std::u32string& s) {
  constexpr std::u32string_view kOf = U"\u5206\u4e4b";
  for (size_t at = s.find(kOf); at != std::u32string::npos; at = s.find(kOf, at + 1)) {
    const auto digit = [&](size_t i) {
      return i < s.size() && s[i] < 128 && (is_digit(static_cast<char>(s[i])) || s[i] == '.');
    };
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
  replace_all(s, U"百分之百", U"100%");
  replace_all(s, U"廿", U"二十");
  replace_all(s, U"卅", U"三十");
  s = with_digits(s);
  replace_all(s, U"\u8d1f", U"-");
  replace_all(s, U"\u8ca0", U"-");
  turn_units_behind_digits(s);
  turn_fractions(s);
  turn_mixed(s);
  replace_all(s, U"{,}", U",");
  return encoded(s);
}

std::vector<FoundNumber> find_numbers(std::string_view plain) {
  std::vector<FoundNumber> out;
  for (size_t i = 0; i < plain.size();) {
    // "x-3" and "10-3": the dash belongs to what stands before it; so does a point of a version.
    const bool sign = plain[i] == '-' || plain[i] == '+';
    const bool behind = i > 0 && (is_digit(plain[i - 1]) || plain[i - 1] == ')' ||
                                  std::isalpha(static_cast<unsigned char>(plain[i - 1])) != 0);
    const auto number = sign && behind ? std::nullopt : number_at(plain, i);
    if (number && !number->canonical.empty()) out.push_back(*number);
    i = number ? number->end : i + 1;
  }
  return out;
}

std::optional<FoundNumber> whole_number(std::string_view plain) {
  while (!plain.empty() && (plain.front() == ' ' || plain.front() == '\n')) plain.remove_prefix(1);
  const auto strip = [&] {
    for (const std::string_view end : {" ", "\n", ".", "\xC2\xB0", "$", "\xE2\x82\xAC", "\xE5\x85\x83"})
      if (plain.ends_with(end)) {
        plain.remove_suffix(end.size());
        return true;
      }
    return false;
  };
  while (strip()) {
  }
  const auto number = number_at(plain, 0);
  const bool all = number && !number->canonical.empty() && number->end == plain.size();
  return all ? number : std::nullopt;
}

bool same_number(const FoundNumber& a, const FoundNumber& b) {
  if (a.canonical == b.canonical) return true;
  if (a.percent == b.percent) return false;
  const auto hundredth = number_at((a.percent ? a : b).canonical + "/100", 0);
  return hundredth && hundredth->canonical == (a.percent ? b : a).canonical;
}

}  // namespace ds::bench
