// What all five tools share: options every tool has, exit codes, signals, the one place where errors become
// text.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "io/files.h"
#include "io/lines.h"

namespace ds::cli {

// Options that mean the same in every tool; each tool adds the ones it honours.
struct Machine {
  int threads = 0;  // 0: what the machine allows
  std::string isa = "auto";
};
void add_machine_options(CLI::App& app, Machine& options);

// Adds --version, --man, --completion, the exit-code table, DS_<FLAG> environment variables for every option,
// parses, runs body, maps errors to exit codes. `body` returns 0 or another code of the table. Call it last
// in main.
int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

// stdout as a stream. run() flushes nothing for you: call flush().
OutputStream& standard_output();

// A report wanted at PATH, "-" being stdout, "" nowhere. Opened before the work starts, since hours later is
// late to learn that it cannot be; one inside the folder OUT has to wait for OUT.
class ReportFile {
 public:
  explicit ReportFile(const std::string& path, const std::string& out = "");
  void write(const std::string& text);

 private:
  std::string path_;
  std::optional<AtomicFile> file_;
};

bool stdin_is_terminal();
bool stdout_is_terminal();
// Columns of the terminal that stdout is; `otherwise` when it is none.
int stdout_columns(int otherwise);
// Whether stderr may show colour: a terminal, NO_COLOR unset, TERM not dumb.
bool stderr_has_colour();

// Set by SIGTERM, SIGUSR1 and the first SIGINT once stop_on_signals() was called: finish the current item,
// then return 75 (SIGINT: 130). Without that call the signals keep their usual effect.
void stop_on_signals();
bool stop_requested();
int stop_exit_code();
// Takes back a SIGINT (an interactive tool stops its answer and goes on) and says whether there was one;
// other signals stay.
bool forget_interrupt();

// The next line that a person types after "> ". A SIGINT asks anew: one that comes late, after an answer,
// must not end a conversation; a second one does. Nothing at the end.
std::optional<std::string_view> ask_line(LineReader& lines);

// A line on stderr, "ds-run: text".
void note(const std::string& text);

}  // namespace ds::cli
