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
  // A sentence without quotes: its first word went to the last argument.
  std::string hint;
  for (const CLI::Option* option : chosen(app).get_options())
    if (option->get_lnames().empty() && option->get_items_expected_max() == 1 && option->count() > 0)
      hint = "; " + option->get_name(true) +
             " of several words needs quotes: " + quoted(option->results().back() + sentence);
  return "not expected:" + text + hint;
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
  // CLI11 writes the largest double out, all 309 digits of it.
  std::string text = error.what();
  const std::string once = ": At Most 1 required but received ";
  if (const size_t at = text.find(once); at != std::string::npos)
    return text.substr(0, at) + " takes one value and was given " + text.substr(at + once.size());
  const std::string no_bound = "in range 0.000000 to 179769";
  if (const size_t at = text.find(no_bound); at != std::string::npos) {
    const size_t end = text.find_first_not_of("0123456789.", at + no_bound.size());
    text.replace(at, std::min(end, text.size()) - at, "0 or more");
  }
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
