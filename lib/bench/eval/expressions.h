// Numbers told from expressions: of "\sqrt{16}", "5x", "(1, 2)" or "x > 5" no digit is the answer.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/eval/numbers.h"

namespace ds::bench {

// What stands where the answer is marked. A number is one with its units, or the side of an equation that is
// one; anything else that has a meaning in mathematics is an expression. Neither: words.
struct MarkedValue {
  std::optional<FoundNumber> number;
  bool expression = false;
};
// boxed: the whole text is the answer; else it is a sentence, and what touches the number decides.
MarkedValue read_marked(std::string_view plain, bool boxed);

// The numbers of a text that are parts of no expression. Powers of units ("m^2") are none.
std::vector<FoundNumber> free_numbers(std::string_view plain);

// One spelling of an expression: without blanks and idle braces. The sides of an equation with a name alone
// on its left count by themselves: "x = 2\sqrt 3" is "2\sqrt{3}".
bool same_expression(std::string_view plain_a, std::string_view plain_b);

}  // namespace ds::bench
