// Signals that ask a tool to stop.
#pragma once
#include <optional>
#include <string_view>

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

// Takes back a SIGINT (an interactive tool stops its answer and goes on) and says whether there was one;
// other signals stay.
bool forget_interrupt();

// The next line that a person types after "> ". A SIGINT asks anew: one that comes late, after an answer,
// must not end a conversation; a second one does. Nothing at the end.
std::optional<std::string_view> ask_line(io::LineReader& lines);

}  // namespace ds::cli
