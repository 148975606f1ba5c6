// Right or wrong: what of a model's text is its answer, and whether it is the expected one.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace ds::bench {

// Recorded with each run: scores of two versions must not be compared.
constexpr const char* kExtractorVersion = "1";

struct Judgement {
  bool correct = false;   // by the item's rule
  bool strict = false;    // GSM8K: the number after "####" or "The answer is"; other rules: as correct
  bool flexible = false;  // the last number-like span (or, for words, the expected text anywhere)
  bool unparsed = false;  // no answer in it at all
};

// What follows the reasoning: the text after the last "</think>", trimmed. An open "<think>" has no answer.
std::string answer_part(std::string_view text);
// GSM8K conventions: commas, "$" and a final full stop do not count, "12.50" is "12.5".
std::string normalise_number(std::string_view text);
std::optional<std::string> strict_number(
    std::string_view answer);  // first "####", else "The answer is", "答案是"
std::optional<std::string> flexible_number(std::string_view answer);  // last number-like span

// match: "exact" (the answer equals the expected text, as text or as a number), "contains", "number".
Judgement judge_answer(std::string_view text, std::string_view expected, std::string_view match);

}  // namespace ds::bench
