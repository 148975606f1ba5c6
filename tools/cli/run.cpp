#include "cli/run.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <vector>

#include "cli/build.h"
#include "cli/completions.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace ds::cli {
namespace {

// Which program this is: the one thing that every message needs.
std::string program_name = "dstools";

int report(const Error& e, const std::string& more_hint = "") {
  std::string text = program_name + ": ";
  if (!e.where().empty()) text += e.where() + ": ";
  text += e.what();
  if (!e.hint().empty()) text += "\n  " + e.hint();
  if (!more_hint.empty()) text += "\n  " + more_hint;
  std::cerr << text << std::endl;
  return static_cast<int>(e.kind());
}

// A file opened later must not take the place of a stream that the caller closed: data would go to the wrong
// file, or a weight file be read as the prompt. Reads then find the end, writes fail.
void occupy_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    [[maybe_unused]] const int taken = ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

std::string shell_quoted(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n'\"\\$`*?[]{}()<>|&;#~!") == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// Of the tool itself, and of a command once it is chosen: DS_BASELINE means another thing to another command.
void read_environment(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->get_envname().empty()) option->envname(environment_name(*option));
  for (CLI::App* sub : app.get_subcommands({}))
    sub->preparse_callback([sub](size_t) { read_environment(*sub); });
}

// Whole numbers have 63 bits and a sign; CLI11 takes what is longer for the nearest that fits.
std::string number_problem(const std::string& text) {
  errno = 0;
  const long long nearest = std::strtoll(text.c_str(), nullptr, 0);
  if (errno != ERANGE) return "";
  return text + " is out of range, " + (nearest < 0 ? "at least " : "at most ") + std::to_string(nearest) +
         " was expected";
}
void check_numbers(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (texts_of(*option).value == "N") option->check(CLI::Validator(number_problem, ""));
  for (CLI::App* sub : app.get_subcommands({})) check_numbers(*sub);
}

class Formatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    return help_text(*app, stdout_columns(80));
  }
};

// Writes the text of --help and its like.
int tell(const std::string& text) {
  write_stdout(text);
  standard_output().flush();
  return 0;
}

int guarded(const CLI::App& app, const std::function<int()>& body) {
  try {
    return body();
  } catch (const Error& e) {
    const std::string command = e.kind() == ErrorKind::kNoInput ? command_meant(app, e.where()) : "";
    return report(e, command.empty() ? "" : "did you mean the command " + command + "?");
  } catch (const BrokenPipe&) {
    // The reader left: end as the default action of SIGPIPE would, after destructors have removed partial
    // files.
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
    return 128 + SIGPIPE;
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorKind::kOs, "out of memory", "", "free some memory, or raise the limit on it"));
  } catch (const std::exception& e) {
    return report(Error(ErrorKind::kInternal, e.what(), "", "this is a bug in dstools, please report it"));
  }
}

int parse_and_run(CLI::App& app, const std::vector<std::string>& words, const std::function<int()>& body) {
  // --version and its like must work without the arguments that a run needs.
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "--version") return tell(version_text(app.get_name()));
    if (words[i] == "--man") return tell(man_page(app));
    const std::string shell = words[i] == "--completion" && i + 1 < words.size() ? words[i + 1] : "";
    for (const char* known : {"bash", "zsh", "fish"})
      if (shell == known) return tell(completion_script(app, shell));
  }
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    const auto subs = app.get_subcommands();
    return tell((subs.empty() ? app : *subs[0]).help());
  } catch (const CLI::ParseError& e) {
    // The page of the command, where the words name one.
    const auto named = app.get_subcommands([&](const CLI::App* sub) {
      return std::find(words.begin(), words.end(), sub->get_name()) != words.end();
    });
    std::cerr << program_name << ": " << explain_parse_error(app, words, e) << "\n  see " << program_name
              << (named.size() == 1 ? " " + named[0]->get_name() : "") << " --help" << std::endl;
    return static_cast<int>(ErrorKind::kUsage);
  }
  return body();
}

}  // namespace

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  program_name = app.get_name();
  occupy_closed_streams();
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe is then an error of write(), handled in guarded()
  ::signal(SIGXFSZ, SIG_IGN);  // so is a file that ulimit -f forbids: EFBIG
  bool version = false, man = false;
  std::string completion;
  app.add_flag("--version", version, "Print version, commit, kernel levels and features")->group("About");
  app.add_flag("--man", man, "Print the man page")->group("About");
  app.add_option("--completion", completion, "Print a completion script for a shell")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL")
      ->group("About");
  const auto formatter = std::make_shared<Formatter>();
  app.formatter(formatter);
  for (CLI::App* sub : app.get_subcommands({})) sub->formatter(formatter);
  read_environment(app);
  check_numbers(app);
  const std::vector<std::string> words(argv + 1, argv + argc);
  const int code = guarded(app, [&] {
    const int rc = parse_and_run(app, words, body);
    standard_output().flush();
    return rc;
  });
  // A write can fail as late as here (NFS, full disk).
  if (::close(STDOUT_FILENO) != 0 && code == 0)
    return report(Error(ErrorKind::kIo, "closing failed: " + io::os_error(), "<stdout>"));
  return code;
}

std::string command_line(int argc, char** argv) {
  std::string line = std::string(argv[0]).substr(std::string(argv[0]).rfind('/') + 1);
  for (int i = 1; i < argc; ++i) line += " " + shell_quoted(argv[i]);
  return line;
}

void note(const std::string& text, bool wanted) {
  if (wanted) std::cerr << program_name << ": " << text << std::endl;
}

}  // namespace ds::cli
