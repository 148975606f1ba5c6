#include "cli/suggest.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "cli/options.h"

namespace ds::cli {
namespace {

// Insertions, deletions, substitutions and swapped neighbours that lead from a to b.
size_t slips(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

// The command that was chosen, or the tool.
CLI::App& chosen(CLI::App& app) {
  const auto subs = app.get_subcommands();
  return subs.empty() ? app : *subs[0];
}

std::vector<std::string> option_names(CLI::App& app) {
  std::vector<std::string> names;
  for (CLI::App* a : {&app, &chosen(app)})
    for (const CLI::Option* option : std::as_const(*a).get_options())
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}
std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands({})) names.push_back(sub->get_name());
  return names;
}

std::string did_you_mean(const std::string& meant) {
  return meant.empty() ? "" : "; did you mean " + meant + "?";
}

std::string quoted(const std::string& word) { return "'" + word + "'"; }

// A word of a sentence: neither a path nor an ORG/NAME.
bool is_plain_word(const std::string& word) {
  return word.find('/') == std::string::npos && ::access(word.c_str(), F_OK) != 0;
}

// A sentence without quotes: its first word went to the last argument, or its first two to the last ones,
// where a tool has arguments of one word before it.
std::string sentence_hint(const CLI::App& app, const std::string& rest) {
  const CLI::Option* last = nullptr;
  std::string begin, skipped;
  for (const CLI::Option* option : app.get_options()) {
    const bool is_word = option->get_lnames().empty() && option->get_items_expected_max() == 1;
    if (!is_word || option->count() == 0) continue;
    const bool goes_on = last && is_plain_word(begin);
    if (goes_on && !std::getenv(last->get_envname().c_str())) skipped += last->get_name(true) + " ";
    begin = (goes_on ? begin + " " : "") + option->results().back();
    last = option;
  }
  if (!last) return "";
  return "; " + last->get_name(true) + " of several words needs quotes: " + skipped + quoted(begin + rest);
}

// Words that no option and no argument takes, in the order they were typed.
std::string surplus_text(CLI::App& app) {
  std::string text, sentence;
  for (const std::string& word : app.remaining(true)) {
    if (word.size() > 1 && word[0] == '-') {
      const std::string name = word.substr(0, word.find('='));
      return "unknown option " + name + did_you_mean(nearest(name, option_names(app)));
    }
    text += " " + quoted(word);
    sentence += " " + word;
  }
  return "not expected:" + text + sentence_hint(chosen(app), sentence);
}

// "--to: fp9 not in {bf16,fp8}", as CLI11 says it.
std::string choice_text(const std::string& what) {
  const size_t colon = what.find(": "), verb = what.find(" not in {"), end = what.rfind('}');
  if (colon == std::string::npos || verb == std::string::npos || end == std::string::npos || verb < colon)
    return "";
  const std::string word = what.substr(colon + 2, verb - colon - 2);
  const std::vector<std::string> choices = split(what.substr(verb + 9, end - verb - 9), ',');
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  return what.substr(0, colon) + ": " + quoted(word) + " is none of " + list +
         did_you_mean(nearest(word, choices));
}

// "--max-bad: Value 2 not in range 0.000000 to 1.000000", as CLI11 says it. Its largest double is
// written out, all 309 digits of it: no bound.
std::string range_text(const std::string& what) {
  const std::string value = ": Value ", no = " not in range ", to = " to ";
  const size_t at = what.find(value), range = what.find(no), dash = what.rfind(to);
  if (at == std::string::npos || range == std::string::npos || dash == std::string::npos || dash < range)
    return "";
  const std::string low = number_text(what.substr(range + no.size(), dash - range - no.size())),
                    high = what.substr(dash + to.size()),
                    word = what.substr(at + value.size(), range - at - value.size());
  constexpr size_t kMostDigits = 40;
  // Of a bound just above 0 CLI11 writes 0.
  const std::string bounds = high.size() <= kMostDigits ? "from " + low + to + number_text(high)
                             : word == low              ? "above " + low
                                                        : "from " + low + " up";
  return what.substr(0, at) + ": " + quoted(word) + " is no number " + bounds;
}

// "Could not convert: --temperature = hot"
std::string conversion_text(const CLI::App& app, const std::string& what) {
  const std::string begin = "Could not convert: ", is = " = ";
  const size_t at = what.find(is);
  if (!what.starts_with(begin) || at == std::string::npos) return "";
  const std::string name = what.substr(begin.size(), at - begin.size());
  const CLI::Option* option = app.get_option_no_throw(name);
  const bool flag = option && option->get_items_expected_max() == 0,
             list = option && option->get_items_expected_max() > 1;
  return name + ": " + quoted(what.substr(at + is.size())) +
         (flag   ? " is neither true nor false"
          : list ? " is no list of numbers"
                 : " is no number");
}

// "--threads: 1 required N:INT in [0 - 4096] missing"
std::string missing_text(const std::string& what) {
  const std::string required = ": 1 required ", end = " missing";
  const size_t at = what.find(required);
  if (at == std::string::npos || !what.ends_with(end)) return "";
  const size_t type = at + required.size(), type_end = what.find(':', type);
  return what.substr(0, at) +
         " needs a value: " + what.substr(type, std::min(type_end, what.size() - end.size()) - type);
}

std::string words_of(CLI::App& app, const std::vector<std::string>& words, const CLI::ParseError& error) {
  // A tool that needs a command was given another word in its place.
  if (app.get_require_subcommand_min() > 0 && app.get_subcommands().empty()) {
    for (const std::string& word : words)
      if (!word.empty() && word[0] != '-')
        return "unknown command " + quoted(word) + did_you_mean(nearest(word, command_names(app)));
    if (words.empty()) return "which command? See the list in --help";
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    // A command with a slip in it was taken for a file, and the command's options for unknown ones.
    if (app.get_subcommands().empty() && !words.empty() && !words[0].starts_with('-') &&
        ::access(words[0].c_str(), F_OK) != 0)
      if (const std::string meant = command_meant(app, words[0]); !meant.empty())
        return "unknown command " + quoted(words[0]) + did_you_mean(meant);
    return surplus_text(app);
  }
  if (const std::string choice = choice_text(error.what()); !choice.empty()) return choice;
  const std::string text = error.what();
  for (const std::string& said : {range_text(text), conversion_text(chosen(app), text), missing_text(text)})
    if (!said.empty()) return said;
  const std::string once = ": At Most 1 required but received ";
  if (const size_t at = text.find(once); at != std::string::npos)
    return text.substr(0, at) + " takes one value and was given " + text.substr(at + once.size());
  return text;
}

bool parses(CLI::App& app, const std::vector<std::string>& words) {
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // CLI11 takes them from the back
    return true;
  } catch (const CLI::ParseError&) {
    return false;
  }
}

// The variable without which the command line would have been understood, "NAME=value".
std::string guilty_variable(CLI::App& app, const std::vector<std::string>& words) {
  for (CLI::App* a : {&app, &chosen(app)}) {
    for (CLI::Option* option : a->get_options()) {
      const std::string name = option->get_envname();
      const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
      if (!value) continue;
      option->envname("DS_?");  // never set; an empty one would be filled in again
      const bool guilty = parses(app, words);
      option->envname(name);
      if (guilty) return name + "=" + value;
    }
  }
  return "";
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t least = std::max<size_t>(1, std::min<size_t>(3, word.size() / 3)) + 1;
  for (const std::string& candidate : candidates) {
    const bool begun = word.size() >= 4 && candidate.starts_with(word);  // --max-tok
    const size_t n = begun ? 1 : slips(word, candidate);
    if (n < least) best = candidate, least = n;
  }
  return best;
}

std::string command_meant(const CLI::App& app, const std::string& word) {
  return nearest(word, command_names(app));
}

std::string explain_parse_error(CLI::App& app, const std::vector<std::string>& words,
                                const CLI::ParseError& error) {
  const std::string text = words_of(app, words, error), variable = guilty_variable(app, words);
  return variable.empty() ? text : text + "\n  because of " + variable + " in the environment: unset it";
}

}  // namespace ds::cli
