// What people, models and LaTeX write, in one spelling.
#pragma once
#include <string>
#include <string_view>

namespace ds::bench {

// Text with one spelling for what looks alike: full-width characters are the ASCII ones, the many dashes that
// stand before digits "-", the many blanks " "; LaTeX is what it shows: \frac{a}{b} is a/b, {,} and \,
// separate thousands, in any mixture, \text{x} is x; Chinese numerals (一百二十, 三分之一, 百分之五, 两点五,
// 拾伍) are digits; ½ is 1/2 and 10⁶ is 10^6. English words stay what they are: "one" and "two" are seldom
// the answer
// ("no one", "the two of them"), a set can list "five" among its answers, and math-verify reads none either.
std::string plain_text(std::string_view text);

}  // namespace ds::bench
