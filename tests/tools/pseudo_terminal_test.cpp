#include "pseudo_terminal.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <stdexcept>

namespace {
constexpr int kPatienceMs = 30'000;
}

bool PseudoTerminal::is_possible() {
  int ours = -1, theirs = -1;
  if (::openpty(&ours, &theirs, nullptr, nullptr, nullptr) != 0) return false;
  ::close(ours);
  ::close(theirs);
  return true;
}

PseudoTerminal::PseudoTerminal(const std::string& name, const std::vector<std::string>& arguments,
                               const std::vector<std::string>& environment) {
  const std::string path = name[0] == '/' ? name : DS_BIN_DIR "/" + name;
  winsize size{24, 80, 0, 0};
  pid_ = ::forkpty(&fd_, nullptr, nullptr, &size);
  if (pid_ < 0) throw std::runtime_error("no pseudo-terminal");
  if (pid_ > 0) return;
  ::setenv("TERM", "xterm", 1);
  for (const std::string& pair : environment) {
    const size_t equal = pair.find('=');
    ::setenv(pair.substr(0, equal).c_str(), pair.substr(equal + 1).c_str(), 1);
  }
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  ::execv(path.c_str(), argv.data());
  ::_exit(127);
}

PseudoTerminal::~PseudoTerminal() {
  ::close(fd_);
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void PseudoTerminal::type(const std::string& keys) {
  for (size_t i = 0; i < keys.size();) {  // a terminal holds few bytes that nobody has read
    pollfd both{fd_, POLLIN | POLLOUT, 0};
    if (::poll(&both, 1, kPatienceMs) <= 0) return;
    if (both.revents & POLLIN && !read_more()) return;
    if (!(both.revents & POLLOUT)) continue;
    const ssize_t n = ::write(fd_, keys.data() + i, std::min<size_t>(keys.size() - i, 256));
    if (n <= 0) return;
    i += static_cast<size_t>(n);
  }
}

bool PseudoTerminal::read_more() {
  pollfd waited{fd_, POLLIN, 0};
  if (::poll(&waited, 1, kPatienceMs) <= 0) return false;
  char bytes[4096];
  const ssize_t n = ::read(fd_, bytes, sizeof bytes);  // EIO: nobody has the other side any more
  if (n > 0) seen_.append(bytes, static_cast<size_t>(n));
  return n > 0;
}

bool PseudoTerminal::sees(const std::string& text) {
  for (;;) {
    const size_t found = seen_.find(text, at_);
    if (found != std::string::npos) {
      at_ = found + text.size();
      return true;
    }
    if (!read_more()) return false;
  }
}

void PseudoTerminal::resize(int columns) {
  winsize size{24, static_cast<unsigned short>(columns), 0, 0};
  ::ioctl(fd_, TIOCSWINSZ, &size);  // the foreground is told by SIGWINCH
}

bool PseudoTerminal::is_cooked() const {
  termios modes{};
  return ::tcgetattr(fd_, &modes) == 0 && (modes.c_lflag & ICANON) && (modes.c_lflag & ECHO);
}

int PseudoTerminal::wait() {
  while (read_more()) {
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
