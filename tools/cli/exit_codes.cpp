#include "cli/exit_codes.h"

namespace ds::cli {

std::span<const ExitCode> exit_codes() {
  static constexpr ExitCode kTable[] = {
      {"0", "done"},
      {"1", "negative verdict: a regression, drift, a bound missed"},
      {"2", "usage"},
      {"3", "inconclusive"},
      {"65", "bad input data"},
      {"66", "input missing"},
      {"70", "our bug"},
      {"71", "device or operating system, memory included"},
      {"73", "cannot create output"},
      {"74", "I/O error, full disk included"},
      {"75", "interrupted by SIGINT, SIGTERM or SIGUSR1; --resume, where there is one, goes on"},
      {"78", "bad model or config"},
      {"130", "an answer or a conversation ended by Ctrl-C: there is nothing to resume"},
      {"128+n", "killed by signal n"},
  };
  return kTable;
}

}  // namespace ds::cli
