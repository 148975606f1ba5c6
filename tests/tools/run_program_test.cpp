#include "run_program.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    read_end = fds[0], write_end = fds[1];
  }
  ~Pipe() { close_read(), close_write(); }
  void close_read() {
    if (read_end >= 0) ::close(read_end);
    read_end = -1;
  }
  void close_write() {
    if (write_end >= 0) ::close(write_end);
    write_end = -1;
  }
};

[[noreturn]] void become(const std::string& path, const std::vector<std::string>& arguments,
                         const ProgramOptions& options, Pipe& in, Pipe& out, Pipe& err) {
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in.read_end, 0);
  if (options.close_stdin) ::close(0);
  if (options.stdout_path.empty()) {
    ::dup2(out.write_end, 1);
  } else {
    ::dup2(::open(options.stdout_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666), 1);
  }
  if (options.close_stdout) ::close(1);
  ::dup2(err.write_end, 2);
  if (options.address_space_bytes > 0) {
    const auto bytes = static_cast<rlim_t>(options.address_space_bytes);
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_AS, &limit);
  }
  for (const std::string& variable : options.environment) ::putenv(::strdup(variable.c_str()));
  std::vector<char*> argv{::strdup(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(::strdup(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(path.c_str(), argv.data());
  ::_exit(127);
}

}  // namespace

ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments,
                          const ProgramOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string path = name[0] == '/' ? name : std::string(DS_BIN_DIR) + "/" + name;
  Pipe in, out, err;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) become(path, arguments, options, in, out, err);
  in.close_read(), out.close_write(), err.close_write();
  if (options.break_stdout) out.close_read();

  ProgramResult result;
  size_t n_sent = 0;
  bool told_first_line = false;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout_s);
  while (out.read_end >= 0 || err.read_end >= 0) {
    if (n_sent == options.in.size() && !options.keep_stdin_open) in.close_write();
    pollfd entries[3] = {{out.read_end, POLLIN, 0},
                         {err.read_end, POLLIN, 0},
                         {n_sent < options.in.size() ? in.write_end : -1, POLLOUT, 0}};
    ::poll(entries, 3, 1000);
    if (std::chrono::steady_clock::now() > deadline) ::kill(pid, SIGKILL);
    char buffer[65536];
    for (int i = 0; i < 2; ++i) {
      if (!entries[i].revents) continue;
      const ssize_t n = ::read(entries[i].fd, buffer, sizeof buffer);
      if (n > 0) (i == 0 ? result.out : result.err).append(buffer, n);
      if (n <= 0) (i == 0 ? out : err).close_read();
    }
    if (entries[2].revents) {
      // Small pieces: the pipe may take less than all, and must not block.
      const size_t piece = std::min<size_t>(options.in.size() - n_sent, 4096);
      const ssize_t n = ::write(in.write_end, options.in.data() + n_sent, piece);
      if (n > 0) n_sent += n;
      if (n < 0 && errno != EINTR) n_sent = options.in.size();
    }
    if (!told_first_line && options.on_first_line && result.out.find('\n') != std::string::npos) {
      told_first_line = true;
      options.on_first_line(pid);
    }
  }
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  result.peak_rss_bytes = usage.ru_maxrss * 1024;
  result.rc = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "dstools-test-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}
std::string TemporaryFolder::write(const std::string& name, const std::string& bytes) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST_CASE("run_program reports output, exit codes and signals") {
  const ProgramResult version = run_program("ds-run", {"--version"});
  CHECK(version.rc == 0);
  CHECK(version.out.find("dstools") != std::string::npos);
  CHECK(run_program("ds-run", {"--no-such-flag"}).rc == 2);
}
