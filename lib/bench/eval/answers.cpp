#include "bench/eval/answers.h"

#include <algorithm>

namespace ds::bench {
namespace {

std::string_view trim(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = s.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpace) - begin + 1);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A number-like span that starts at i: sign, "$", digits, commas between digits, one point. Its length, or 0.
size_t number_length(std::string_view s, size_t i) {
  size_t j = i;
  if (j < s.size() && s[j] == '-') ++j;
  if (j < s.size() && s[j] == '$') ++j;
  const size_t digits = j;
  bool point = false;
  while (j < s.size()) {
    const bool next_digit = j + 1 < s.size() && is_digit(s[j + 1]);
    if (is_digit(s[j])) {
      ++j;
    } else if (s[j] == ',' && j > digits && next_digit && !point) {
      ++j;
    } else if (s[j] == '.' && next_digit && !point) {
      point = true;
      ++j;
    } else {
      break;
    }
  }
  return j > digits && is_digit(s[j - 1]) ? j - i : 0;
}

std::optional<std::string> first_number(std::string_view s) {
  for (size_t i = 0; i < s.size(); ++i)
    if (const size_t n = number_length(s, i)) return normalise_number(s.substr(i, n));
  return std::nullopt;
}

// Text as it is compared: no final full stop, no markup around it.
std::string_view bare(std::string_view s) {
  s = trim(s);
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view end : {".", "。", "**", "!"})
      if (s.ends_with(end)) s.remove_suffix(end.size()), again = true;
    if (s.starts_with("**")) s.remove_prefix(2), again = true;
    s = trim(s);
  }
  return s;
}

}  // namespace

std::string answer_part(std::string_view text) {
  const size_t end = text.rfind("</think>");
  if (end != std::string_view::npos) return std::string(trim(text.substr(end + 8)));
  if (text.find("<think>") != std::string_view::npos) return "";
  return std::string(trim(text));
}

std::string normalise_number(std::string_view text) {
  std::string out;
  for (const char c : trim(text))
    if (c != ',' && c != '$') out += c;
  while (out.ends_with('.')) out.pop_back();
  if (out.find('.') != std::string::npos) {
    while (out.ends_with('0')) out.pop_back();
    if (out.ends_with('.')) out.pop_back();
  }
  return out;
}

std::optional<std::string> strict_number(std::string_view answer) {
  if (const size_t at = answer.find("####"); at != std::string_view::npos)
    return first_number(answer.substr(at + 4));
  for (const std::string_view anchor : {"The answer is", "the answer is", "答案是", "答案:", "答案："})
    if (const size_t at = answer.find(anchor); at != std::string_view::npos)
      return first_number(answer.substr(at + anchor.size()));
  return std::nullopt;
}

std::optional<std::string> flexible_number(std::string_view answer) {
  std::optional<std::string> last;
  for (size_t i = 0; i < answer.size();) {
    const size_t n = number_length(answer, i);
    // "x-3": the dash belongs to the word before it.
    if (n) last = normalise_number(answer.substr(i, n));
    i += std::max<size_t>(n, 1);
  }
  return last;
}

Judgement judge_answer(std::string_view text, std::string_view expected, std::string_view match) {
  Judgement j;
  const std::string answer = answer_part(text);
  if (match == "number") {
    // GSM8K keeps the derivation in front of the number.
    const auto stated = strict_number(expected);
    const auto number = stated ? stated : flexible_number(expected);
    const std::string want = number ? *number : normalise_number(expected);
    const auto strict = strict_number(answer), flexible = flexible_number(answer);
    j.strict = strict && *strict == want;
    j.flexible = flexible && *flexible == want;
    j.unparsed = !strict && !flexible;
    j.correct = j.flexible;
    return j;
  }
  j.unparsed = answer.empty();
  j.flexible = !expected.empty() && answer.find(expected) != std::string::npos;
  const std::string_view a = bare(answer), e = bare(expected);
  const auto whole_number = [](std::string_view s) { return !s.empty() && number_length(s, 0) == s.size(); };
  j.strict = match == "contains" ? j.flexible
                                 : a == e || (whole_number(a) && whole_number(e) &&
                                              normalise_number(a) == normalise_number(e));
  j.correct = j.strict;
  return j;
}

}  // namespace ds::bench
