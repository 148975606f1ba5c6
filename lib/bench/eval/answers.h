// Right or wrong: what of a model's text is its answer, and whether it is the expected one.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ds::bench {

// Recorded with each run: scores of two versions must not be compared.
constexpr const char* kExtractorVersion = "5";

struct AnswerJudgement {
  bool correct = false;   // by the item's rule
  bool strict = false;    // a marked answer ("####", \boxed, "The answer is") that is the expected one
  bool flexible = false;  // the last number (or, for words, the expected text anywhere)
  bool unparsed = false;  // no answer in it at all
};

// What follows the reasoning: the text after the last "</think>", trimmed. An open "<think>" has no answer.
std::string answer_part(std::string_view text);
// The part that the text itself marks as its answer: what stands behind the first "####", in the last
// \boxed{}, or behind the last "answer is" or its like, to the end of its sentence; of what precedes a
// question that the model goes on to ask itself.
std::optional<std::string> marked_answer(std::string_view answer);

// match says how answers are read:
//   "exact"     the whole answer is the expected text or the same number
//   "contains"  the expected text occurs in it
//   "number"    the marked number where one is marked, else the last one that is part of no expression. A
//               marked expression (2\sqrt{3}, 5x, (1, 2)) is none: it is compared as text, and so is an
//               answer where what is expected is no number (7:30, x^2+1)
//   "choice"    the marked letter (A, B, ...), else the only one that stands by itself
// expected: any of them counts.
AnswerJudgement judge_answer(std::string_view text, const std::vector<std::string>& expected,
                             std::string_view match);

}  // namespace ds::bench
