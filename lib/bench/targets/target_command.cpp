// A command line as a target: one process per request. Time starts just before the process is made; the first
// byte on its standard output is the first event, its exit is the end.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/records/redact.h"
#include "bench/targets/target.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"

namespace ds::bench {
namespace {

constexpr size_t kShownStderr = 300;

struct Pipe {
  FileHandle read_end, write_end;
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0)
      throw Error(ErrorKind::kOs, "cannot make a pipe: " + os_error(), "--cmd");
    read_end = FileHandle(fds[0]);
    write_end = FileHandle(fds[1]);
  }
};

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

class CommandTarget : public Target {
 public:
  CommandTarget(std::string line, const TargetOptions& options) : line_(std::move(line)), options_(options) {
    words_ = options_.shell ? std::vector<std::string>{"/bin/sh", "-c", line_} : split_command_line(line_);
    for (const auto& w : words_) prompt_in_words_ |= w.find("{prompt}") != std::string::npos;
    // Quoting a prompt into shell text cannot be done safely: "$1" passes it instead.
    if (options_.shell && prompt_in_words_)
      throw Error(ErrorKind::kUsage, "{prompt} inside a shell line", "--shell",
                  "leave it out: the prompt arrives on stdin");
  }

  int max_concurrency() const override { return 256; }
  Json describe() const override {
    return Json{{"kind", "cmd"}, {"command", redacted(line_)}, {"shell", options_.shell}};
  }

  Outcome send(const Request& request, const StopRequest& stop) override {
    std::vector<std::string> words = words_;
    for (auto& w : words) {
      if (!options_.shell) {
        replace_all(w, "{max_tokens}", std::to_string(request.max_tokens));
        replace_all(w, "{seed}", std::to_string(request.seed));
        replace_all(w, "{prompt}", request.prompt);
      }
    }
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);

    Pipe out, err, in;
    Outcome o;
    o.t_send_ns = now_ns();
    const pid_t pid = start(argv, in.read_end.get(), out.write_end.get(), err.write_end.get());
    out.write_end.reset();
    err.write_end.reset();
    in.read_end.reset();
    converse(o, pid, out.read_end, err.read_end, in.write_end, prompt_in_words_ ? "" : request.prompt, stop);
    return o;
  }

 private:
  // fork, not posix_spawn: a child that shares our memory until it runs the command has our peak for its own
  // ever after (ru_maxrss survives exec); a forked one begins with the few pages that it copied.
  static pid_t start(const std::vector<char*>& argv, int in, int out, int err) {
    Pipe failed;  // closed by a command that starts; else says why not
    const pid_t pid = ::fork();
    if (pid < 0) throw Error(ErrorKind::kOs, "cannot make a process: " + os_error(), argv[0]);
    if (pid == 0) {
      // Its own group, so that a timeout also ends what it started; default signals, ours ignores two.
      ::setpgid(0, 0);
      for (const int s : {SIGPIPE, SIGXFSZ, SIGTERM, SIGINT, SIGUSR1}) ::signal(s, SIG_DFL);
      ::dup2(in, STDIN_FILENO);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(err, STDERR_FILENO);
      ::execvp(argv[0], argv.data());
      const int why = errno;
      const ssize_t told = ::write(failed.write_end.get(), &why, sizeof why);
      ::_exit(told == sizeof why ? 127 : 126);
    }
    ::setpgid(pid, pid);  // whoever comes first
    failed.write_end.reset();
    int why = 0;
    ssize_t n;
    while ((n = ::read(failed.read_end.get(), &why, sizeof why)) < 0 && errno == EINTR) {
    }
    if (n == 0) return pid;
    ::waitpid(pid, nullptr, 0);
    throw Error(why == ENOENT || why == EACCES ? ErrorKind::kNoInput : ErrorKind::kOs,
                std::string("cannot start: ") + std::strerror(why), argv[0], "is the command in PATH?");
  }

  // Feeds stdin, collects stdout and stderr, waits for the exit.
  void converse(Outcome& o, pid_t pid, FileHandle& out, FileHandle& err, FileHandle& in,
                std::string_view to_write, const StopRequest& stop) const {
    const int64_t deadline = o.t_send_ns + static_cast<int64_t>(options_.timeout_s * 1e9);
    std::string stderr_text;
    int64_t n_bytes = 0;
    bool killed = false;
    const auto kill_it = [&](const char* why) {
      if (!killed) o.error = why;
      killed = true;
      ::kill(-pid, SIGKILL);
    };
    ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
    if (to_write.empty()) in.reset();
    char buffer[1 << 16];
    while (out.get() >= 0 || err.get() >= 0) {
      pollfd fds[3] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}, {in.get(), POLLOUT, 0}};
      const int64_t left_ms = (deadline - now_ns()) / 1000000;
      if (left_ms <= 0 && !killed) kill_it("timeout");
      if (!killed && stop && stop()) kill_it("stopped");
      // After a kill the pipes close by themselves, unless someone outside the group holds them.
      if (killed && left_ms < -1000) break;
      const int n = ::poll(fds, 3, static_cast<int>(std::clamp<int64_t>(left_ms, 1, 50)));
      if (n <= 0) continue;
      const int64_t now = now_ns();
      if (fds[0].revents) {
        const ssize_t got = ::read(out.get(), buffer, sizeof buffer);
        if (got > 0) {
          o.event_ns.push_back(now);
          n_bytes += got;
          if (o.text.size() < kMaxKeptText) o.text.append(buffer, got);
          if (n_bytes > options_.max_answer_bytes) kill_it("answer_too_long");
        } else if (got == 0 || errno != EINTR) {
          out.reset();
        }
      }
      if (fds[1].revents) {
        const ssize_t got = ::read(err.get(), buffer, sizeof buffer);
        if (got > 0) {
          stderr_text.append(buffer, got);
          if (stderr_text.size() > 1 << 16) stderr_text.erase(0, stderr_text.size() - kShownStderr);
        } else if (got == 0 || errno != EINTR) {
          err.reset();
        }
      }
      if (fds[2].revents && in.get() >= 0) {
        const ssize_t put = ::write(in.get(), to_write.data(), to_write.size());
        if (put > 0) to_write.remove_prefix(put);
        if (to_write.empty() || (put < 0 && errno != EAGAIN && errno != EINTR)) in.reset();
      }
    }
    in.reset();
    int status = 0;
    rusage usage{};
    if (!killed) wait_until(pid, deadline, stop, kill_it);
    while (::wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    o.t_done_ns = now_ns();
    o.peak_rss_bytes = usage.ru_maxrss * int64_t{1024};
    if (!killed && WIFSIGNALED(status)) o.error = "signal_" + std::to_string(WTERMSIG(status));
    if (!killed && WIFEXITED(status) && WEXITSTATUS(status) != 0)
      o.error = "exit_" + std::to_string(WEXITSTATUS(status));
    if (!o.error.empty())
      o.error_detail = stderr_text.size() > kShownStderr
                           ? stderr_text.substr(stderr_text.size() - kShownStderr)
                           : stderr_text;
  }

  // A command that closed its output but still runs must not outlive the deadline.
  template <class Kill>
  static void wait_until(pid_t pid, int64_t deadline, const StopRequest& stop, const Kill& kill_it) {
    for (int64_t pause_us = 50;; pause_us = std::min<int64_t>(pause_us * 2, 20000)) {
      siginfo_t info{};
      if (::waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid) return;
      if (now_ns() > deadline) return kill_it("timeout");
      if (stop && stop()) return kill_it("stopped");
      ::usleep(static_cast<useconds_t>(pause_us));
    }
  }

  std::string line_;
  TargetOptions options_;
  std::vector<std::string> words_;
  bool prompt_in_words_ = false;
};

class NullTarget : public Target {
 public:
  int max_concurrency() const override { return 256; }
  Json describe() const override { return Json{{"kind", "null"}}; }
  Outcome send(const Request&, const StopRequest&) override {
    Outcome o;
    o.t_send_ns = now_ns();
    o.t_done_ns = now_ns();
    o.event_ns = {o.t_done_ns};
    return o;
  }
};

}  // namespace

std::vector<std::string> split_command_line(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote) {
      if (c == quote) {
        quote = 0;
      } else if (c == '\\' && quote == '"' && i + 1 < line.size() && std::strchr("\"\\$`", line[i + 1])) {
        word += line[++i];
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < line.size()) {
      word += line[++i];
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote) throw Error(ErrorKind::kUsage, std::string("open quote ") + quote, "--cmd");
  if (in_word) words.push_back(word);
  if (words.empty()) throw Error(ErrorKind::kUsage, "empty command line", "--cmd");
  return words;
}

std::unique_ptr<Target> make_command_target(const std::string& command_line, const TargetOptions& options) {
  return std::make_unique<CommandTarget>(command_line, options);
}
std::unique_ptr<Target> make_null_target() { return std::make_unique<NullTarget>(); }

}  // namespace ds::bench
