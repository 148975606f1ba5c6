#include "cli/signals.h"

#include <signal.h>

#include "core/error.h"

namespace ds::cli {
namespace {

volatile sig_atomic_t stop_signal = 0;

void on_signal(int signal) {
  if (stop_signal) {  // asked twice: now
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  stop_signal = signal;
}

}  // namespace

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // no SA_RESTART: a blocked read returns and sees the request
  for (const int signal : {SIGTERM, SIGUSR1, SIGINT}) ::sigaction(signal, &action, nullptr);
}

bool stop_requested() { return stop_signal != 0; }

int stop_exit_code(Stopped what) {
  return what == Stopped::kAnswer && stop_signal == SIGINT ? 128 + SIGINT
                                                           : static_cast<int>(ErrorKind::kInterrupted);
}

bool forget_interrupt() {
  if (stop_signal != SIGINT) return false;
  stop_signal = 0;
  return true;
}

}  // namespace ds::cli
