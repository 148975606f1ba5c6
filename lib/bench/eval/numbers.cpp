#include "bench/eval/numbers.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <numeric>

namespace ds::bench {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
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

}  // namespace

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
