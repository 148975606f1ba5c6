// Numbers as people write them in answers, brought to one form in which equal ones are equal text.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ds::bench {

// Text with one spelling for what looks alike: full-width characters are the ASCII ones, the many dashes that
// stand before digits "-", the many blanks " "; LaTeX is what it shows: \frac{a}{b} is a/b, {,} and \,
// separate thousands, in any mixture, \text{x} is x; Chinese numerals (一百二十, 三分之一, 百分之五, 两点五,
// 拾伍) are digits; ½ is 1/2 and 10⁶ is 10^6. English words stay what they are: "one" and "two" are seldom
// the answer
// ("no one", "the two of them"), a set can list "five" among its answers, and math-verify reads none either.
std::string plain_text(std::string_view text);

// A number inside plain text; no times (7:30), no ratios, no 5/0. canonical: "-1234.5" as shortest decimal
// where it has one, else "1/3".
struct FoundNumber {
  size_t begin = 0, end = 0;
  std::string canonical;
  bool percent = false;  // "50 %": may be meant as 50 or as 0.5
};
std::vector<FoundNumber> find_numbers(std::string_view plain);
// The canonical form when the whole text is one number, with its currency, percent or degree sign.
std::optional<FoundNumber> whole_number(std::string_view plain);
// Equal values; "50 %" equals 50 and 0.5.
bool same_number(const FoundNumber& a, const FoundNumber& b);

}  // namespace ds::bench
