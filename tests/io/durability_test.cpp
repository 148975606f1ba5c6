// The order in which bytes become durable. This program's own fsync and rename stand in front of the C
// library's: they write down what was called, and fail when told to.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <vector>

#include "io/files.h"
#include "io/run_lock.h"
#include "io/temp_folder.h"

namespace {

std::vector<std::string> calls;
bool recording = false;
int folder_sync_fails_with = 0;

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
    calls.push_back(folder ? "sync folder" : "sync " + name_of(fd) + " " + std::to_string(st.st_size));
  if (folder && folder_sync_fails_with) return errno = folder_sync_fails_with, -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (recording) calls.push_back("rename to " + std::string(to).substr(std::string(to).rfind('/') + 1));
  return static_cast<int>(::syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
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
  CHECK(calls == std::vector<std::string>{"sync out.partial 10", "rename to out", "sync folder"});
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
