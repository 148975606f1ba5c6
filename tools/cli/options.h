// Options that several tools have: the same word, the same meaning, the same check.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

namespace ds::cli {

struct CommonOptions {
  bool quiet = false;
  std::string report;  // "" none, "-" stdout
  bool resume = false;
  std::string shard;  // "" all, "i/n", "auto"
  int threads = 0;    // 0: what the machine allows
  std::string isa = "auto";
};

// Which of them an app honours.
enum class Common { kQuiet, kReport, kResume, kShard, kThreads, kIsa };
void add_common_options(CLI::App& app, CommonOptions& options, std::initializer_list<Common> which);

// The threads to use, and "2 threads (cgroup quota)" for people; --threads comes first.
struct ThreadChoice {
  int n_threads;
  std::string text;
};
ThreadChoice choose_threads(const CommonOptions& options);

// What DS_MODEL names: the model of a command line that names none; "" where it is not set.
std::string default_model();

// An option whose value is one of a table's names; completions and "did you mean" know them.
template <class T>
CLI::Option* add_choice(CLI::App& app, const std::string& flag, T& value,
                        const std::map<std::string, T>& table, const std::string& text) {
  CLI::Option* option = app.add_option_function<std::string>(
      flag, [&value, &table](const std::string& name) { value = table.at(name); }, text);
  for (const auto& [name, meaning] : table)
    if (meaning == value) option->default_str(name);
  return option->check(CLI::IsMember(table))->type_name("NAME");
}

// A tool's commands, one row each.
struct Command {
  std::string name, says;
  std::string examples;  // lines "  ds-x command ..."
  std::function<void(CLI::App&)> add_options;
  std::function<int()> work;
};
void add_commands(CLI::App& app, const std::vector<Command>& table);
// Runs the one that was chosen; `otherwise` when none was.
int run_command(const CLI::App& app, const std::vector<Command>& table,
                const std::function<int()>& otherwise = {});

// The parts of a list "a,b".
std::vector<std::string> split(const std::string& text, char at);

// "0.500000", as CLI11 writes a bound, in the fewest digits.
std::string number_text(const std::string& number);

// What an option says about itself, for help, man pages and completions.
struct OptionTexts {
  std::vector<std::string> names;    // "-n", "--requests"; empty for a positional
  std::string positional;            // "MODEL"
  std::string value;                 // "N"; "" for a flag
  std::vector<std::string> choices;  // of the value, where they are a list
  std::string says;                  // with range, choices and default in words
};
OptionTexts texts_of(const CLI::Option& option);
// "DS_MAX_TOKENS" of an option with a long name that a variable may set, else "".
std::string environment_name(const CLI::Option& option);

}  // namespace ds::cli
