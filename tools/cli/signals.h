// Signals that ask a tool to stop.
#pragma once
namespace ds::cli {

// Set by SIGTERM, SIGUSR1 and the first SIGINT once stop_on_signals() was called: finish the current item,
// then return stop_exit_code(). Without that call the signals keep their usual effect.
void stop_on_signals();
bool stop_requested();

// The exit code then: 75 for work, whichever signal it was; kAnswer is what a person stops with Ctrl-C and
// nobody resumes: 130.
enum class Stopped { kWork, kAnswer };
int stop_exit_code(Stopped what = Stopped::kWork);

// A SIGINT that stopped an answer must not end the conversation. Whether there was one to forget; other
// signals stay.
bool forget_interrupt();

}  // namespace ds::cli
