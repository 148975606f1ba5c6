// The order in which bytes become durable. This program's own fsync, rename and open stand in front of the C
// library's: they write down what was called, fail when told to, and let others come in between.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <vector>

#include "io/files.h"
#include "io/run_lock.h"
#include "io/temp_folder.h"

namespace fs = std::filesystem;

namespace {

std::vector<std::string> calls;
bool recording = false;
int folder_sync_fails_with = 0;
std::function<void(const std::string&path, int flags)> before_open, after_open;

std::string name_of(int fd) {
  char target[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(link.c_str(), target, sizeof target);
  const std::string path(target, n > 0 ? static_cast<size_t>(n) : 0);
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

extern "C" int fsync(int fd) {
  struct stat st {};
  const bool folder = ::fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
  if (recording)
    calls.push_back(folder ? "sync folder " + name_of(fd)
                           : "sync " + name_of(fd) + " " + std::to_string(st.st_size));
  if (folder && folder_sync_fails_with) return errno = folder_sync_fails_with, -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (recording) calls.push_back("rename to " + std::string(to).substr(std::string(to).rfind('/') + 1));
  return static_cast<int>(::syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

extern "C" int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = flags & O_CREAT ? va_arg(rest, unsigned) : 0;
  va_end(rest);
  if (before_open) before_open(path, flags);
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  const int error = errno;
  if (after_open) after_open(path, flags);
  return errno = error, fd;
}

namespace {

using namespace ds;
using namespace ds::io;

// Exit code 0 when body() threw nothing, else the error's kind; in a process of its own, whose locks end with
// it.
int in_another_process(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      body();
      ::_exit(0);
    } catch (const Error& e) {
      ::_exit(static_cast<int>(e.kind()));
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.message();
  }
  return "";
}

constexpr int kCannotCreate = static_cast<int>(ErrorKind::kCannotCreate);

}  // namespace

TEST_CASE("all bytes are synced before the name changes, and the folder after it") {
  const test::TempFolder folder;
  AtomicFile file(folder / "out");
  file.write("0123456789");
  calls.clear();
  recording = true;
  file.commit();
  recording = false;
  CHECK(calls == std::vector<std::string>{"sync out.partial 10", "rename to out",
                                          "sync folder " + fs::path(folder.path()).filename().string()});
  // The folder of a bare name is the one that the program works in.
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  calls.clear();
  recording = true;
  AtomicFile bare("bare");
  bare.commit();
  AtomicFile fast("fast");
  fast.commit(false);
  recording = false;
  fs::current_path(before);
  CHECK(calls == std::vector<std::string>{"sync bare.partial 0", "rename to bare",
                                          "sync folder " + fs::path(folder.path()).filename().string(),
                                          "rename to fast"});
  CHECK(folder_of("a") == ".");
  CHECK(folder_of("/a") == "/");
  CHECK(folder_of("/a/b") == "/a");
}

TEST_CASE("a link planted between two steps is not followed, a file renamed in between is not emptied") {
  const test::TempFolder folder;
  const std::string precious = folder.write("precious", "do not lose me"), out = folder / "out",
                    partial = out + ".partial";
  const auto between = [&](std::function<void(const std::string&, int)>& hook,
                           const std::function<bool(int)>& when, const std::function<void()>& act) {
    hook = [&hook, when, act, partial](const std::string& path, int flags) {
      if (path != partial || !when(flags)) return;
      const std::function<void()> go = act;  // the hook holds it
      hook = nullptr;
      go();
    };
  };
  const auto plant = [&] {
    ::unlink(partial.c_str());
    REQUIRE(::symlink(precious.c_str(), partial.c_str()) == 0);
  };
  const auto creates = [](int flags) { return (flags & O_CREAT) != 0; };
  const auto opens = [](int flags) { return (flags & O_CREAT) == 0; };
  // Of a folder that is held: behind the unlink, before the open.
  between(before_open, creates, plant);
  CHECK(message_of([&] { AtomicFile(out, AtomicFile::Existing::kReplace).write("x"); }).find("File exists") !=
        std::string::npos);
  CHECK(read_file(precious) == "do not lose me");
  // What a killed run left is looked at, and is a link when it is opened.
  ::unlink(partial.c_str());
  folder.write("out.partial", "left");
  between(before_open, opens, plant);
  CHECK(message_of([&] { AtomicFile(out).write("x"); }) != "");
  CHECK(read_file(precious) == "do not lose me");
  // Opened while its run renames it: that run's bytes stay, ours go to a file of our own.
  ::unlink(partial.c_str());
  folder.write("out.partial", "the other run's");
  between(after_open, opens,
          [&] { REQUIRE(std::rename(partial.c_str(), (folder / "theirs").c_str()) == 0); });
  AtomicFile ours(out);
  ours.write("ours");
  ours.commit();
  before_open = after_open = nullptr;
  CHECK(read_file(folder / "theirs") == "the other run's");
  CHECK(read_file(out) == "ours");
}

TEST_CASE("a folder that cannot be synced is an error; a file system that knows no such thing is none") {
  const test::TempFolder folder;
  for (const int error : {EIO, ENOSPC, EINVAL}) {
    AtomicFile file(folder / "out");
    file.write("x");
    folder_sync_fails_with = error;
    const std::string message = message_of([&] { file.commit(); });
    folder_sync_fails_with = 0;
    CHECK((message.find("cannot sync the folder") != std::string::npos) == (error != EINVAL));
  }
}

TEST_CASE("a second run to the same file is refused by name, the first one's bytes stay its own") {
  const test::TempFolder folder;
  AtomicFile first(folder / "out");
  first.write("first");
  CHECK(in_another_process([&] {
          AtomicFile second(folder / "out");
          second.write("second");
          second.commit();
        }) == kCannotCreate);
  CHECK(message_of([&] { AtomicFile(folder / "out"); }).find("another run") != std::string::npos);
  first.commit();
  CHECK(read_file(folder / "out") == "first");
  CHECK(in_another_process([&] {
          AtomicFile second(folder / "out");
          second.write("second");
          second.commit();
        }) == 0);
  CHECK(read_file(folder / "out") == "second");
}

TEST_CASE("what a killed run left is taken over, longer or not") {
  const test::TempFolder folder;
  CHECK(in_another_process([&] {
          AtomicFile file(folder / "out");
          write_all(file.fd(), std::string(100'000, 'x'), "");
          ::_exit(9);  // no destructor, as with kill -9
        }) == 9);
  CHECK(file_exists(folder / "out.partial"));
  AtomicFile file(folder / "out");
  file.write("short");
  file.commit();
  CHECK(read_file(folder / "out") == "short");
  CHECK(!file_exists(folder / "out.partial"));
}

TEST_CASE(
    "in a folder that is held, what lies under the partial name is replaced, a link and not its target") {
  const test::TempFolder folder;
  const std::string precious = folder.write("precious", "do not lose me"), out = folder / "out";
  for (const bool link : {false, true}) {
    if (link)
      REQUIRE(::symlink(precious.c_str(), (out + ".partial").c_str()) == 0);
    else
      folder.write("out.partial", "longer than what comes");
    AtomicFile file(out, AtomicFile::Existing::kReplace);
    file.write("short");
    file.commit();
    CHECK(read_file(out) == "short");
  }
  CHECK(read_file(precious) == "do not lose me");
}

TEST_CASE("a link, a folder or a pipe under the partial name is refused, what it leads to is untouched") {
  const test::TempFolder folder;
  const std::string precious = folder.write("precious", "do not lose me");
  REQUIRE(::symlink(precious.c_str(), (folder / "a.partial").c_str()) == 0);
  REQUIRE(::symlink((folder / "nowhere").c_str(), (folder / "b.partial").c_str()) == 0);
  REQUIRE(::mkdir((folder / "c.partial").c_str(), 0777) == 0);
  REQUIRE(::mkfifo((folder / "d.partial").c_str(), 0666) == 0);
  for (const char* name : {"a", "b", "c", "d"})
    CHECK(message_of([&] { AtomicFile(folder / name); }).find("in the way") != std::string::npos);
  CHECK(read_file(precious) == "do not lose me");
  CHECK(!file_exists(folder / "nowhere"));
}

TEST_CASE("the reason given is that of the call that failed") {
  const test::TempFolder folder;
  CHECK(message_of([&] { AtomicFile(folder / "absent/out"); }).find("No such file") != std::string::npos);
  const std::string file = folder.write("file", "");
  CHECK(message_of([&] { AtomicFile(file + "/out"); }).find("Not a directory") != std::string::npos);
  CHECK(message_of([&] { AtomicFile("/proc/out"); }).find("No such file") != std::string::npos);
  CHECK(message_of([&] { AtomicFile(folder / std::string(300, 'n')); }).find("name too long") !=
        std::string::npos);
}

TEST_CASE("a lock is held by one run and ends with it") {
  const test::TempFolder folder;
  const auto take = [&] { RunLock lock(folder.path()); };
  CHECK(in_another_process([&] { RunLock lock(folder / "nothing here"); }) == kCannotCreate);
  {
    const RunLock lock(folder.path());
    CHECK(in_another_process(take) == kCannotCreate);
  }
  CHECK(in_another_process(take) == 0);
  CHECK(in_another_process([&] {
          const RunLock lock(folder.path());
          ::_exit(9);
        }) == 9);
  CHECK(in_another_process(take) == 0);
}
