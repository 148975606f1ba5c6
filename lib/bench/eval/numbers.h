// Numbers as people write them in answers, brought to one form in which equal ones are equal text.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ds::bench {

// A number inside plain text (bench/eval/plain_text.h); no times (7:30), no ratios, no 5/0. canonical:
// "-1234.5" as shortest decimal where it has one, else "1/3".
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
