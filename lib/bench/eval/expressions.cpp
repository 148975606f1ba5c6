#include "bench/eval/expressions.h"

#include <algorithm>
#include <cctype>

namespace ds::bench {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool one_of(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }

template <size_t N>
bool listed(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

std::string_view trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kBlanks) - begin + 1);
}

// The letters that end a text, and those that begin one.
std::string_view last_letters(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && is_letter(s[s.size() - 1 - n])) ++n;
  return s.substr(s.size() - n);
}
std::string_view first_letters(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && is_letter(s[n])) ++n;
  return s.substr(0, n);
}

// Commands that only say how a number is shown, or what it is a number of.
constexpr std::string_view kIdleCommands[] = {
    "boxed",      "fbox",       "approx", "mu",     "Omega",  "circ",   "degree", "quad",     "qquad",
    "therefore",  "implies",    "text",   "mathrm", "mathbf", "bf",     "cong",   "ldots",    "dots",
    "Rightarrow", "rightarrow", "to",     "sim",    "simeq",  "pounds", "euro",   "angstrom", "in"};
constexpr std::string_view kFunctions[] = {"log", "ln",   "lg",  "sin",    "cos",
                                           "tan", "sqrt", "exp", "arcsin", "arctan"};
constexpr std::string_view kUnits[] = {"km",     "m",      "dm",   "cm",    "mm",    "in",    "ft",
                                       "yd",     "mi",     "s",    "sec",   "unit",  "units", "inch",
                                       "inches", "foot",   "feet", "yard",  "yards", "meter", "meters",
                                       "metre",  "metres", "mile", "miles", "h"};

// "\log " or "\sqrt{": a command at the end that makes a number of what follows.
bool ends_in_command(std::string_view s) {
  if (s.ends_with('{') || s.ends_with('(')) s = trimmed(s.substr(0, s.size() - 1));
  if (s.ends_with(']'))  // \sqrt[3]{
    if (const size_t at = s.rfind('['); at != std::string_view::npos) s = s.substr(0, at);
  const std::string_view word = last_letters(s);
  if (word.empty()) return false;
  if (word.size() < s.size() && s[s.size() - word.size() - 1] == '\\') return !listed(kIdleCommands, word);
  return listed(kFunctions, word);
}

bool ends_in(std::string_view s, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view w) { return s.ends_with(w); });
}
bool begins_with(std::string_view s, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view w) { return s.starts_with(w); });
}

bool is_variable(std::string_view word) {
  constexpr std::string_view kOne = "abcefijknopqrtuvwxyzXYZ", kMany = "abcijknxyz";
  if (word.size() == 1) return one_of(kOne, word[0]);
  return word.size() == 2 && one_of(kMany, word[0]) && one_of(kMany, word[1]) && word != "in";
}

// Whether what stands before, or behind, makes the number a part of something.
bool bound_before(std::string_view before) {
  const std::string_view s = trimmed(before);
  if (s.empty()) return false;
  if (ends_in_command(s)) return true;
  if (one_of("^_*/<>|", s.back())) return true;
  if (ends_in(s, {"^{", "_{", "√", "∛", "±", "≤", "≥", "≠", "×", "·"})) return true;
  // "40 + 2"; a sign alone belongs to the number.
  if (one_of("+-", s.back())) {
    const std::string_view left = trimmed(s.substr(0, s.size() - 1));
    return !left.empty() &&
           (std::isalnum(static_cast<unsigned char>(left.back())) != 0 || one_of(")}", left.back()));
  }
  // "(x+1)5"; "(C) 5" is a choice.
  const bool touches = before.size() == static_cast<size_t>(s.data() + s.size() - before.data());
  return touches && one_of(")}", s.back());
}

bool bound_behind(std::string_view after) {
  if (begins_with(after, {"π", "√", "∞", "^", "_", "(", "\\{"})) return true;
  if (const std::string_view word = first_letters(after); !word.empty()) return is_variable(word);
  const std::string_view s = trimmed(after);
  if (s.empty()) return false;
  if (s[0] == '\\') {
    const std::string_view command = first_letters(s.substr(1));
    return !command.empty() && !listed(kIdleCommands, command);
  }
  if (begins_with(s, {"^", "_", "*", "×", "·", "√", "π"})) return true;
  if (!one_of("+-/<>", s[0])) return false;
  const std::string_view next = trimmed(s.substr(1));
  if (next.empty()) return false;
  const std::string_view word = first_letters(next);
  return is_digit(next[0]) || one_of("\\(", next[0]) || (word.size() == 1 && is_variable(word));
}

// Where its first character is: a number may begin with the blanks before it.
FoundNumber placed(std::string_view s, FoundNumber n) {
  n.begin = std::min(s.find_first_not_of(kBlanks, n.begin), n.end);
  return n;
}
std::vector<FoundNumber> placed_numbers(std::string_view s) {
  std::vector<FoundNumber> out = find_numbers(s);
  for (FoundNumber& n : out) n = placed(s, n);
  return out;
}

bool is_bound(std::string_view s, const FoundNumber& n) {
  return bound_before(s.substr(0, n.begin)) || bound_behind(s.substr(n.end));
}
// "CO2", "x_1": part of a name.
bool in_a_name(std::string_view s, const FoundNumber& n) {
  return n.begin > 0 && is_letter(s[n.begin - 1]) && !ends_in_command(s.substr(0, n.begin));
}

// Bold and struck text.
std::string without_markup(std::string_view s) {
  std::string out(s);
  for (const std::string_view mark : {"**", "__", "~~"})
    for (size_t at = out.find(mark); at != std::string::npos; at = out.find(mark, at + 1))
      if (at == 0 || !is_digit(out[at - 1]) || at + 2 >= out.size() || !is_digit(out[at + 2]))
        out.replace(at, 2, "  ");
  return out;
}

// "5 m^2", "5 cm3", "3 m/s^2": the power of a unit is no number.
std::string without_unit_powers(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size();) {
    if (!is_letter(s[i])) {
      out += s[i++];
      continue;
    }
    const std::string_view word = first_letters(s.substr(i));
    const std::string_view before = trimmed(out);
    const bool measures = !before.empty() && (is_digit(before.back()) || before.back() == '/' ||
                                              ends_in(before, {"square", "cubic"}));
    out += word;
    i += word.size();
    if (!measures || !listed(kUnits, word)) continue;
    size_t end = i;
    const bool raised = end < s.size() && s[end] == '^';
    end += raised;
    const bool brace = raised && end < s.size() && s[end] == '{';
    end += brace;
    if (raised && end < s.size() && s[end] == '-') ++end;
    if (end >= s.size() || !is_digit(s[end]) || (!raised && s[end] != '2' && s[end] != '3')) continue;
    ++end;
    if (brace && (end >= s.size() || s[end++] != '}')) continue;
    if (end < s.size() && std::isalnum(static_cast<unsigned char>(s[end]))) continue;
    i = end;
  }
  return out;
}

// Brackets and dollars around the whole.
std::string_view without_brackets(std::string_view s) {
  for (bool again = true; again;) {
    again = false;
    s = trimmed(s);
    while (s.ends_with('.')) s.remove_suffix(1);
    for (const auto& [open, close] : {std::pair<std::string_view, std::string_view>{"{", "}"},
                                      {"(", ")"},
                                      {"[", "]"},
                                      {"\\{", "\\}"},
                                      {"$", "$"}}) {
      if (s.size() < open.size() + close.size() || !s.starts_with(open) || !s.ends_with(close)) continue;
      const std::string_view inside = s.substr(open.size(), s.size() - open.size() - close.size());
      // "(1,2)" is a pair.
      if (inside.find_first_of(one_of("([", open[0]) ? "([," : "{") != std::string_view::npos &&
          open[0] != '$')
        continue;
      s = inside, again = true;
    }
  }
  return s;
}

std::vector<std::string_view> sides_of(std::string_view s) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t i = 0; i < s.size();) {
    size_t n = 0;
    for (const std::string_view sign : {"=", "≈", "\\approx"})
      if (s.substr(i).starts_with(sign)) n = sign.size();
    if (n == 0 || (i > 0 && one_of("<>!", s[i - 1]))) {
      i += std::max<size_t>(1, n);
      continue;
    }
    out.push_back(s.substr(begin, i - begin));
    begin = i += n;
  }
  out.push_back(s.substr(begin));
  return out;
}

// "2x+3y", "x^2", "x+y": with such a side an equation is an answer of its own, and gives no value.
bool has_unknowns(std::string_view side) {
  for (size_t i = 0; i < side.size(); ++i) {
    if (!is_letter(side[i])) continue;
    const std::string_view word = first_letters(side.substr(i)), rest = trimmed(side.substr(i + word.size()));
    const bool command = i > 0 && side[i - 1] == '\\';
    if (!command && word.size() == 1) {
      if (i > 0 && is_digit(side[i - 1])) return true;
      if (!rest.empty() && one_of("^+-*/", rest[0])) return true;
    }
    i += word.size() - 1;
  }
  return false;
}

// What the inside of a box has beside its number and the words about it.
bool has_mathematics(std::string_view s) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (one_of("^_{}|*<>!~", s[i])) return true;
    if (s[i] == '\\' && !listed(kIdleCommands, first_letters(s.substr(i + 1)))) return true;
    if (begins_with(s.substr(i), {"√", "π", "∞", "±", "≤", "≥", "≠"})) return true;
  }
  return false;
}

MarkedValue read_side(std::string_view side, bool boxed) {
  MarkedValue v;
  if (boxed) side = without_brackets(side);
  const std::vector<FoundNumber> numbers = placed_numbers(side);
  const FoundNumber* pick = nullptr;
  for (const FoundNumber& n : numbers)
    if (!pick && !in_a_name(side, n)) pick = &n;
  if (!pick) {
    v.expression = boxed || side.find('\\') != std::string_view::npos;
    return v;
  }
  const std::string rest =
      std::string(side.substr(0, pick->begin)) + " " + std::string(side.substr(pick->end));
  const char open = pick->begin > 0 ? side[pick->begin - 1] : ' ',
             close = pick->end < side.size() ? side[pick->end] : ' ';
  const bool pair = side.substr(pick->begin, pick->end - pick->begin).find(',') != std::string_view::npos;
  // "(1, 2)", "[3, 5)": a bracket that the number does not fill.
  const bool part = (open == '(' && (close != ')' || pair)) || (open == '[' && (close != ']' || pair)) ||
                    (open == '{' && close != '}');
  v.expression = part || is_bound(side, *pick) || (boxed && (numbers.size() > 1 || has_mathematics(rest)));
  if (!v.expression) v.number = *pick;
  return v;
}

}  // namespace

MarkedValue read_marked(std::string_view plain, bool boxed) {
  const std::string text = without_unit_powers(without_markup(plain));
  const std::vector<std::string_view> sides = sides_of(text);
  MarkedValue out;
  if (boxed && sides.size() > 1)
    for (const std::string_view side : sides) out.expression |= has_unknowns(side);
  if (out.expression) return out;
  for (size_t i = sides.size(); i-- > 0;) {
    const MarkedValue v = read_side(sides[i], boxed);
    if (v.number) return v;
    out.expression |= v.expression;
  }
  return out;
}

std::vector<FoundNumber> free_numbers(std::string_view plain) {
  const std::string text = without_unit_powers(without_markup(plain));
  std::vector<FoundNumber> out = placed_numbers(text);
  std::erase_if(out, [&](const FoundNumber& n) { return in_a_name(text, n) || is_bound(text, n); });
  return out;
}

namespace {

std::string one_spelling(std::string_view s) {
  std::string out;
  s = trimmed(s);
  while (!s.empty() && one_of(".$", s.back())) s.remove_suffix(1);
  while (!s.empty() && s.front() == '$') s.remove_prefix(1);
  for (size_t i = 0; i < s.size(); ++i) {
    if (one_of(kBlanks, s[i]) &&
        !(i + 1 < s.size() && is_digit(s[i + 1]) && !out.empty() && is_digit(out.back())))
      continue;
    out += s[i];
    // "\sqrt{3}" is "\sqrt 3", "x^{2}" is "x^2".
    const size_t n = out.size();
    if (n >= 3 && out[n - 1] == '}' && out[n - 3] == '{' && (n < 4 || out[n - 4] != '\\'))
      out.erase(n - 1, 1), out.erase(n - 3, 1);
  }
  for (const auto& [from, to] : {std::pair<std::string_view, std::string_view>{"\\cdot", "*"},
                                 {"\\times", "*"},
                                 {"\\pi", "π"},
                                 {"\\infty", "∞"},
                                 {"\\{", "{"},
                                 {"\\}", "}"}})
    for (size_t at = out.find(from); at != std::string::npos; at = out.find(from, at))
      out.replace(at, from.size(), to);
  return out;
}

}  // namespace

bool same_expression(std::string_view plain_a, std::string_view plain_b) {
  const auto value = [](std::string_view s) {
    const std::vector<std::string_view> sides = sides_of(s);
    const bool name = sides.size() == 2 && trimmed(sides[0]).size() == 1;
    return one_spelling(name ? sides[1] : s);
  };
  return value(plain_a) == value(plain_b);
}

}  // namespace ds::bench
