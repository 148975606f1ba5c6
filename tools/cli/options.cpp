#include "cli/options.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "core/cpu.h"

namespace ds::cli {
namespace {

// CLI11 appends its checks to the type's name: "N:INT in [0 - 4096]", "N:NONNEGATIVE", "NAME:{a,b}".
std::string range_in_words(const std::string& check) {
  if (check == "NONNEGATIVE") return "0 or more";
  if (check == "POSITIVE") return "more than 0";
  const size_t open = check.find(" in ["), dash = check.find(" - ", open), close = check.find(']', dash);
  if (open == std::string::npos || dash == std::string::npos || close == std::string::npos) return "";
  return number_text(check.substr(open + 5, dash - open - 5)) + " to " +
         number_text(check.substr(dash + 3, close - dash - 3));
}

}  // namespace

std::string number_text(const std::string& number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", std::strtod(number.c_str(), nullptr));
  return text;
}

void add_common_options(CLI::App& app, CommonOptions& o, std::initializer_list<Common> which) {
  for (const Common option : which) {
    if (option == Common::kQuiet) app.add_flag("-q,--quiet", o.quiet, "No words on stderr but errors");
    if (option == Common::kReport)
      app.add_option("--report", o.report, "Report of the run as JSON; - is stdout")->type_name("FILE");
    if (option == Common::kResume) app.add_flag("--resume", o.resume, "Go on where a stopped run ended");
    if (option == Common::kShard)
      app.add_option("--shard", o.shard,
                     "The i-th (from 0) of n parts of the work; auto: that of a SLURM array's element")
          ->type_name("I/N");
    if (option == Common::kThreads)
      app.add_option("--threads", o.threads, "Threads [what cgroup, cpuset, affinity mask and SLURM allow]")
          ->check(CLI::Range(0, 4096))
          ->type_name("N")
          ->group("Machine");
    if (option == Common::kIsa)
      app.add_option("--isa", o.isa, "Kernels to use")
          ->check(CLI::IsMember({"auto", "scalar", "avx2", "avx512", "amx"}))
          ->capture_default_str()
          ->type_name("LEVEL")
          ->group("Machine");
  }
}

ThreadChoice choose_threads(const CommonOptions& o) {
  const ThreadBudget budget = default_threads();
  const int n = o.threads ? o.threads : budget.n_threads;
  return {n, std::to_string(n) + (n == 1 ? " thread (" : " threads (") +
                 (o.threads ? "--threads" : budget.reason) + ")"};
}

std::string default_model() {
  const char* model = std::getenv("DS_MODEL");
  return model ? model : "";
}

void add_commands(CLI::App& app, const std::vector<Command>& table) {
  for (const Command& command : table) {
    CLI::App* sub = app.add_subcommand(command.name, command.says);
    if (!command.examples.empty()) sub->footer("Examples:\n" + command.examples);
    if (command.add_options) command.add_options(*sub);
  }
}

int run_command(const CLI::App& app, const std::vector<Command>& table,
                const std::function<int()>& otherwise) {
  for (const Command& command : table)
    if (app.got_subcommand(command.name)) return command.work();
  return otherwise();
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

OptionTexts texts_of(const CLI::Option& option) {
  OptionTexts texts;
  for (const auto& name : option.get_snames()) texts.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) texts.names.push_back("--" + name);
  if (texts.names.empty()) texts.positional = option.get_name(true);
  texts.says = option.get_description();
  if (option.get_items_expected_max() == 0) return texts;  // a flag
  const std::string type = option.get_type_name();
  const size_t colon = type.find(':');
  texts.value = type.substr(0, colon);
  if (colon != std::string::npos) {
    const std::string check = type.substr(colon + 1), range = range_in_words(check);
    if (check.size() > 2 && check.front() == '{' && check.back() == '}')
      texts.choices = split(check.substr(1, check.size() - 2), ',');
    if (!range.empty()) texts.says += "; " + range;
    std::string list;
    for (size_t i = 0; i < texts.choices.size(); ++i)
      list += (i == 0 ? "" : i + 1 == texts.choices.size() ? " or " : ", ") + texts.choices[i];
    if (!list.empty()) texts.says += ": " + list;
  }
  if (!option.get_default_str().empty() && texts.says.find('[') == std::string::npos)
    texts.says += " [" + option.get_default_str() + "]";
  return texts;
}

std::string environment_name(const CLI::Option& option) {
  // A variable cannot ask for --help, --version, --man or --completion instead of the work.
  if (option.get_lnames().empty() || option.get_lnames()[0] == "help" || option.get_group() == "About")
    return "";
  std::string name = "DS_";
  for (const char c : option.get_lnames()[0])
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace ds::cli
