#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace ds::cli {

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO); }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO); }
bool stderr_is_terminal() { return ::isatty(STDERR_FILENO); }

namespace {
int columns_of(int fd, int otherwise) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* wanted = std::getenv("COLUMNS");
  const int columns = wanted ? std::atoi(wanted) : 0;
  return columns > 0 ? columns : otherwise;
}
}  // namespace
int stdout_columns(int otherwise) { return columns_of(STDOUT_FILENO, otherwise); }
int stderr_columns(int otherwise) { return columns_of(STDERR_FILENO, otherwise); }

bool stderr_is_animated() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) && !(term && std::strcmp(term, "dumb") == 0);
}

bool stderr_has_colour() {
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_animated() && !(no_color && *no_color);
}

}  // namespace ds::cli
