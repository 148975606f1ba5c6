// Signals that ask a tool to stop.
#pragma once
#include <optional>
#include <string>

#include "io/lines.h"

namespace ds::cli {

// Set by SIGTERM, SIGUSR1 and the first SIGINT once stop_on_signals() was called: finish the current item,
// then return stop_exit_code(). Without that call the signals keep their usual effect.
void stop_on_signals();
bool stop_requested();

// The exit code then: 75 for work, whichever signal it was; kAnswer is what a person stops with Ctrl-C and
// nobody resumes: 130.
enum class Stopped { kWork, kAnswer };
int stop_exit_code(Stopped what = Stopped::kWork);

// The next line that a person types after "> ", nothing at the end. A SIGINT that stopped an answer, or came
// late after one, is forgotten: it must not end a conversation. A second one while asking does; other signals
// stay.
std::optional<std::string> ask_line(io::LineReader& lines);

}  // namespace ds::cli
