#include "bench/eval/answers.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include <algorithm>
#include <cctype>

#include "bench/eval/expressions.h"
#include "bench/eval/numbers.h"
#include "bench/eval/plain_text.h"

namespace ds::bench {
namespace {

std::string_view trim(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = s.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpace) - begin + 1);
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return out;
}

// Text as it is compared: no final full stop, no markup or quotes around it.
std::string_view bare(std::string_view s) {
  s = trim(s);
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view end : {".", "。", "**", "!", "$", "\"", "`"})
      if (s.ends_with(end)) s.remove_suffix(end.size()), again = true;
    for (const std::string_view begin : {"**", "$", "\"", "`", ":"})
      if (s.starts_with(begin)) s.remove_prefix(begin.size()), again = true;
    s = trim(s);
  }
  return s;
}

// A model that goes on with questions of its own no longer answers ours.
std::string_view before_own_questions(std::string_view s) {
  for (const std::string_view next : {"\n\nQuestion:", "\nQuestion:", "\nQ:", "\n问："})
    if (const size_t at = s.find(next); at != std::string_view::npos && !trim(s.substr(0, at)).empty())
      s = s.substr(0, at);
  return s;
}

std::optional<std::string_view> last_boxed(std::string_view s) {
  for (const std::string_view word : {"\\boxed{", "\\fbox{"}) {
    const size_t at = s.rfind(word);
    if (at == std::string_view::npos) continue;
    int depth = 1;
    const size_t begin = at + word.size();
    for (size_t i = begin; i < s.size(); ++i) {
      depth += s[i] == '{' ? 1 : s[i] == '}' ? -1 : 0;
      if (depth == 0) return s.substr(begin, i - begin);
    }
  }
  return std::nullopt;
}

// To the end of the sentence: a full stop inside a number ends none.
std::string_view sentence(std::string_view s) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\n' && !trim(s.substr(0, i)).empty()) return s.substr(0, i);
    if (s[i] == '.' && (i + 1 == s.size() || s[i + 1] == ' ' || s[i + 1] == '\n')) return s.substr(0, i);
    if (s.substr(i).starts_with("。")) return s.substr(0, i);
  }
  return s;
}

struct Mark {
  std::string text;
  bool boxed = false;  // all of it is the answer, not a sentence about it
};
std::optional<Mark> mark_of(std::string_view answer) {
  answer = before_own_questions(answer);
  if (const size_t at = answer.find("####"); at != std::string_view::npos) {
    const std::string_view rest = trim(answer.substr(at + 4));
    return Mark{std::string(rest.substr(0, rest.find('\n'))), false};
  }
  if (const auto boxed = last_boxed(answer)) return Mark{std::string(*boxed), true};
  const std::string low = lower(answer);
  size_t best = std::string::npos, end = 0;
  for (const std::string_view anchor :
       {"answer is", "answer:", "answer =", "answer**:", "答案是", "答案为", "答案:", "答案：", "答："})
    if (const size_t at = low.rfind(anchor);
        at != std::string::npos && (best == std::string::npos || at > best))
      best = at, end = at + anchor.size();
  if (best == std::string::npos) return std::nullopt;
  return Mark{std::string(trim(sentence(answer.substr(end)))), false};
}

// Blanks that show nothing: inside of brackets, around commas, "=" and operators that have some on both
// sides. Only outside of brackets a blank before three digits tells a list, "1, 234", from a number, "1,234";
// "(1,234)" is the pair that "(1, 234)" is.
std::string without_idle_blanks(std::string_view s) {
  constexpr std::string_view kOpen = "([{", kClose = ")]}", kOperators = "+-*/<>";
  const auto is = [](std::string_view set, char c) { return set.find(c) != set.npos; };
  std::string out;
  int depth = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    depth += is(kOpen, s[i]) ? 1 : is(kClose, s[i]) ? -1 : 0;
    if (s[i] != ' ' || i == 0 || i + 1 == s.size()) {
      out += s[i];
      continue;
    }
    const char before = s[i - 1], after = s[i + 1];
    const size_t digits = s.substr(i + 1).find_first_not_of("0123456789");
    const bool thousands =
        depth <= 0 && before == ',' && (digits == 3 || (digits == s.npos && s.size() - i == 4));
    const bool around = (is(kOperators, after) && i + 2 < s.size() && s[i + 2] == ' ') ||
                        (is(kOperators, before) && i > 1 && s[i - 2] == ' ');
    const bool idle = before == ' ' || after == ' ' || is("([{,;=", before) || is(")]},;=", after) || around;
    if (!idle || thousands) out += ' ';
  }
  return out;
}

bool same_text(std::string_view given, std::string_view wanted) {
  const std::string a = without_idle_blanks(plain_text(bare(given))),
                    b = without_idle_blanks(plain_text(bare(wanted)));
  if (bare(a) == bare(b)) return true;
  const auto x = whole_number(a), y = whole_number(b);
  return x && y && same_number(*x, *y);
}

// An accent is the same written as one character or as two; what is no UTF-8 stays as it is.
std::string composed(const std::string& s) {
  if (std::all_of(s.begin(), s.end(), [](char c) { return static_cast<signed char>(c) >= 0; })) return s;
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  if (U_SUCCESS(status)) nfc->normalizeUTF8(0, icu::StringPiece(s), sink, nullptr, status);
  return U_SUCCESS(status) ? out : s;
}

AnswerJudgement judge_text(const std::string& given, const std::vector<std::string>& expected) {
  const std::string answer = composed(given);
  AnswerJudgement j;
  j.unparsed = answer.empty();
  const auto marked = marked_answer(answer);
  for (const std::string& raw : expected) {
    const std::string e = composed(raw);
    j.flexible |= !e.empty() && answer.find(e) != std::string::npos;
    j.strict |= same_text(answer, e) || (marked && same_text(*marked, e));
  }
  j.correct = j.strict;
  return j;
}

// What is expected: a number where it is one, else a text ("7:30", "x^2+1", "(1, 2)").
struct Expected {
  std::vector<FoundNumber> numbers;
  std::vector<std::string> texts;
};
Expected expected_of(const std::vector<std::string>& expected) {
  Expected out;
  for (const std::string& e : expected) {
    // GSM8K keeps the derivation in front of the number.
    const auto mark = mark_of(e);
    const std::string text = mark ? mark->text : e;
    if (const auto number = read_marked(plain_text(trim(text)), true).number)
      out.numbers.push_back(*number);
    else
      out.texts.push_back(text);
  }
  return out;
}

AnswerJudgement judge_number(const std::string& answer, const std::vector<std::string>& expected) {
  const Expected wanted = expected_of(expected);
  const auto right = [&](const FoundNumber& given) {
    return std::any_of(wanted.numbers.begin(), wanted.numbers.end(),
                       [&](const auto& w) { return same_number(w, given); });
  };
  const auto mark = mark_of(answer);
  const std::string plain = mark ? plain_text(mark->text) : "";
  const MarkedValue marked = mark ? read_marked(plain, mark->boxed) : MarkedValue{};
  const std::vector<FoundNumber> all = free_numbers(plain_text(before_own_questions(answer)));
  AnswerJudgement j = judge_text(answer, wanted.texts);
  j.unparsed = !marked.number && !marked.expression && all.empty();
  if (!wanted.numbers.empty()) {
    j.flexible |= !all.empty() && right(all.back());
    j.unparsed &= !j.strict;
  }
  if (marked.number) j.strict |= right(*marked.number);
  for (const std::string& text : wanted.texts) j.strict |= mark && same_expression(plain, plain_text(text));
  // A marked answer that is no number is judged as what it is, and no number elsewhere stands for it.
  const bool told = marked.number || marked.expression || wanted.numbers.empty();
  j.correct = j.strict || (!told && j.flexible);
  return j;
}

// "b", "(a)", "c) Paris": the letter that an answer consists of, or begins with; 0 for other texts.
char leading_letter(std::string_view s) {
  s = bare(s);
  const bool open = s.starts_with('(');
  s.remove_prefix(open);
  if (s.empty() || !std::isalpha(static_cast<unsigned char>(s[0]))) return 0;
  const std::string_view rest = s.substr(1);
  const bool alone = rest.empty() || (open && rest == ")");
  const bool item = rest.size() > 1 && (rest[0] == ')' || (!open && (rest[0] == '.' || rest[0] == ':'))) &&
                    (rest[1] == ' ' || rest[1] == '\n');
  return alone || item || rest == ")" ? static_cast<char>(s[0] & ~32) : 0;
}

// Words behind which a letter is a choice, where none else are: "Vitamin C" and "Plan B" are names.
bool leads_to_a_choice(std::string_view before) {
  constexpr std::string_view kWords[] = {
      "is",     "be",   "option", "choice", "answer",  "choose", "chose", "pick",
      "select", "say",  "think",  "letter", "so",      "thus",   "hence", "therefore",
      "and",    "or",   "with",   "to",     "for",     "guess",  "that",  "was",
      "of",     "than", "not",    "but",    "neither", "nor",    "both",  "either"};
  while (before.ends_with(' ')) before.remove_suffix(1);
  size_t n = 0;
  while (n < before.size() && std::isalpha(static_cast<unsigned char>(before[before.size() - 1 - n]))) ++n;
  const std::string word = lower(before.substr(before.size() - n));
  return n == 0 || word.ends_with("ly") ||
         std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

// Letters that stand by themselves: "(B)", "B.", "option B"; of "not B" none.
std::string lone_letters(std::string_view s) {
  const auto letter = [&](size_t i) {
    return i < s.size() && std::isalnum(static_cast<unsigned char>(s[i]));
  };
  const auto small = [&](size_t i) { return i < s.size() && s[i] >= 'a' && s[i] <= 'z'; };
  const auto capital = [&](size_t i) { return i < s.size() && s[i] >= 'A' && s[i] <= 'Z' && !letter(i + 1); };
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    if (!capital(i) || (i > 0 && letter(i - 1))) continue;
    // "A car", "I think", "I'm" are words; "A and B", "A or B" are not.
    const std::string_view rest = s.substr(i + 1);
    const bool listed =
        (rest.starts_with(" and ") && capital(i + 6)) || (rest.starts_with(" or ") && capital(i + 5));
    const bool word = (s[i] == 'A' || s[i] == 'I') && i + 1 < s.size() && !listed &&
                      (s[i + 1] == ' ' || s[i + 1] == '\'') && small(i + 2);
    const bool behind_word = i > 1 && s[i - 1] == ' ' && std::isalpha(static_cast<unsigned char>(s[i - 2]));
    const std::string before = lower(s.substr(i > 6 ? i - 6 : 0, std::min<size_t>(i, 6)));
    const bool denied = before.ends_with("not ") || before.ends_with("n't ") || before.ends_with("not (");
    if (!word && !denied && (!behind_word || leads_to_a_choice(s.substr(0, i)))) out += s[i];
  }
  return out;
}

// The letter of a short text, else all that stand by themselves in it.
std::string choices_in(std::string_view s) {
  const std::string plain = plain_text(s);
  if (const char letter = leading_letter(plain)) return std::string(1, letter);
  return lone_letters(plain);
}

// "The correct option is D: all of A, B and C".
std::optional<std::string> marked_choice(const std::string& answer) {
  if (auto marked = marked_answer(answer)) return marked;
  const std::string low = lower(answer);
  size_t begin = 0;
  for (const std::string_view anchor :
       {"option is", "choice is", "option:", "choice:", "it is", "选项是", "应选", "故选", "选择"})
    if (const size_t at = low.rfind(anchor); at != std::string::npos)
      begin = std::max(begin, at + anchor.size());
  if (begin == 0) return std::nullopt;
  return std::string(trim(sentence(std::string_view(answer).substr(begin))));
}

AnswerJudgement judge_choice(const std::string& answer, const std::vector<std::string>& expected) {
  const auto marked = marked_choice(answer);
  std::string in_mark = marked ? choices_in(*marked) : "";
  const std::string all = choices_in(answer);
  // "Both A and B", "A or B" is no choice.
  if (in_mark.size() > 1 && in_mark[0] != in_mark[1])
    for (const char* between : {" and ", " or ", " & ", "和", "或"})
      if (plain_text(*marked).find(in_mark[0] + std::string(between) + in_mark[1]) != std::string::npos)
        in_mark.clear();
  const bool one = !all.empty() && all.find_first_not_of(all[0]) == std::string::npos;
  const auto right = [&](const std::string& letter) {
    return std::any_of(expected.begin(), expected.end(),
                       [&](const auto& e) { return choices_in(e) == letter; });
  };
  AnswerJudgement j;
  j.strict = !in_mark.empty() && right(in_mark.substr(0, 1));
  j.flexible = one && right(all.substr(0, 1));
  j.unparsed = in_mark.empty() && !one;
  j.correct = in_mark.empty() ? j.flexible : j.strict;
  return j;
}

}  // namespace

std::string answer_part(std::string_view text) {
  const size_t end = text.rfind("</think>");
  if (end != std::string_view::npos) return std::string(trim(text.substr(end + 8)));
  if (text.find("<think>") != std::string_view::npos) return "";
  return std::string(trim(text));
}

std::optional<std::string> marked_answer(std::string_view answer) {
  if (auto mark = mark_of(answer)) return std::move(mark->text);
  return std::nullopt;
}

AnswerJudgement judge_answer(std::string_view text, const std::vector<std::string>& expected,
                             std::string_view match) {
  const std::string answer = answer_part(text);
  if (match == "number") return judge_number(answer, expected);
  if (match == "choice") return judge_choice(answer, expected);
  AnswerJudgement j = judge_text(answer, expected);
  if (match == "contains") j.correct = j.strict = j.flexible;
  return j;
}

}  // namespace ds::bench
