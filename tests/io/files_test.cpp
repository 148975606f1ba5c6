#include "io/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "io/temp_folder.h"

using namespace ds;
using namespace ds::io;

namespace {

template <class Body>
ErrorKind kind_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.kind();
  }
  return ErrorKind::kInternal;
}

}  // namespace

TEST_CASE("whole reads") {
  const test::TempFolder folder;
  std::string big(300'000, 'x');
  big[70'000] = '\0';
  CHECK(read_file(folder.write("big", big)) == big);
  CHECK(read_file(folder.write("empty", "")) == "");
  CHECK(read_file(folder.write("ten", "0123456789"), 10) == "0123456789");
  CHECK(kind_of([&] { read_file(folder / "ten", 9); }) == ErrorKind::kBadData);
  CHECK(kind_of([&] { read_file(folder / "absent"); }) == ErrorKind::kNoInput);
  CHECK(kind_of([&] { read_file(folder.path()); }) == ErrorKind::kNoInput);
  CHECK(kind_of([&] { read_file("/dev/zero", 1 << 20); }) ==
        ErrorKind::kBadData);                      // endless: stops at the limit
  CHECK(!read_file("/proc/self/status").empty());  // claims a size of 0
  CHECK(file_exists(folder / "ten"));
  CHECK(!file_exists(folder / "absent"));
}

TEST_CASE("mapped reads") {
  const test::TempFolder folder;
  const MappedFile file(folder.write("f", "hello"));
  CHECK(file.bytes().size() == 5);
  CHECK(std::to_integer<char>(file.bytes()[1]) == 'e');
  CHECK(MappedFile(folder.write("empty", "")).bytes().empty());
  CHECK(kind_of([&] { MappedFile missing(folder / "absent"); }) == ErrorKind::kNoInput);
  CHECK(kind_of([&] { MappedFile dir(folder.path()); }) == ErrorKind::kNoInput);
  MappedFile a(folder / "f");
  const MappedFile b(std::move(a));
  CHECK(b.bytes().size() == 5);
}

TEST_CASE("output: buffered, whole, and errors come from the call that meets them") {
  const test::TempFolder folder;
  {
    const FileHandle fd(::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0666));
    OutputStream out(fd.get(), "out");
    std::string want;
    for (int i = 0; i < 30000; ++i) {
      const std::string piece = std::to_string(i) + ",";
      out.write(piece);
      want += piece;
    }
    const std::string big(200'000, 'y');
    out.write("before ");  // what waits in the buffer goes first
    out.write(big);
    out.write("end");
    out.flush();
    CHECK(test::slurp(folder / "out") == want + "before " + big + "end");
    AtomicFile whole(folder / "whole");
    for (const std::string& piece : {std::string("small"), big, std::string("end")}) whole.write(piece);
    whole.commit();
    CHECK(test::slurp(folder / "whole") == "small" + big + "end");
  }
  const FileHandle full(::open("/dev/full", O_WRONLY));
  if (full.get() >= 0) {
    OutputStream out(full.get(), "<stdout>");
    out.write("x");
    try {
      out.flush();
      FAIL("a full disk went unnoticed");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kIo);
      CHECK(e.where() == "<stdout>");
      CHECK(!e.hint().empty());
    }
  }
  ::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  ::close(ends[0]);
  const FileHandle write_end(ends[1]);
  CHECK_THROWS_AS(write_all(write_end.get(), "x", "pipe"), BrokenPipe);
}

TEST_CASE("an output appears whole or not at all") {
  const test::TempFolder folder;
  const std::string path = folder / "out.bin";
  {
    AtomicFile file(path);
    file.write("half");
    CHECK(!file_exists(path));
  }
  CHECK(folder.n_files() == 0);  // neither the file nor a partial one
  {
    AtomicFile file(path);
    file.write("first ");
    file.write(std::string(100'000, 'z'));
    file.commit();
  }
  CHECK(test::slurp(path).size() == 100'006);
  CHECK(folder.n_files() == 1);
  {
    AtomicFile file(path);
    file.write("second");
    CHECK(test::slurp(path).size() == 100'006);  // the old one until commit
    file.commit();
  }
  CHECK(test::slurp(path) == "second");
  try {
    AtomicFile file(path);
    file.write("third");
    throw 1;
  } catch (int) {
  }
  CHECK(test::slurp(path) == "second");
  CHECK(folder.n_files() == 1);
  CHECK(kind_of([&] { AtomicFile file(folder / "no/such/folder/f"); }) == ErrorKind::kCannotCreate);
}

TEST_CASE("killed half-way, the old file is still whole, and the next run succeeds") {
  const test::TempFolder folder;
  const std::string path = folder.write("out", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(path);
    file.write(std::string(1 << 20, 'n'));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(test::slurp(path) == "old");
  AtomicFile file(path);  // over the partial file that the killed one left
  file.write("new");
  file.commit();
  CHECK(test::slurp(path) == "new");
  CHECK(folder.n_files() == 1);
}

TEST_CASE("an output that is no regular file is written in place, never replaced") {
  const test::TempFolder folder;
  // A symbolic link keeps pointing; what it points to changes.
  const std::string target = folder.write("target", "old"), link = folder / "link";
  REQUIRE(::symlink("target", link.c_str()) == 0);
  {
    AtomicFile file(link);
    file.write("new");
    file.commit();
  }
  struct stat st {};
  REQUIRE(::lstat(link.c_str(), &st) == 0);
  CHECK(S_ISLNK(st.st_mode));
  CHECK(test::slurp(target) == "new");
  // A FIFO stands for devices: as root, renaming over /dev/null would replace it.
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const FileHandle reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  {
    AtomicFile file(fifo);
    file.write("through");
    file.commit();
  }
  char bytes[16];
  CHECK(::read(reader.get(), bytes, sizeof bytes) == 7);
  REQUIRE(::lstat(fifo.c_str(), &st) == 0);
  CHECK(S_ISFIFO(st.st_mode));
  { AtomicFile dropped(fifo); }
  CHECK(file_exists(fifo));
}

TEST_CASE("a handle closes once, moves, and survives moving onto itself") {
  FileHandle a(::open("/dev/null", O_RDONLY));
  const int fd = a.get();
  FileHandle b(std::move(a));
  CHECK(a.get() == -1);
  CHECK(b.get() == fd);
  FileHandle& same = b;
  b = std::move(same);
  CHECK(b.get() == fd);
  CHECK(::fcntl(fd, F_GETFD) != -1);
  b.reset();
  CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("copy_into_large_pages keeps bytes and addresses, whatever happens to the file") {
  const test::TempFolder folder;
  std::string bytes(5'000'001, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + (i >> 12));
  const std::string path = folder.write("weights", bytes);
  ThreadPool pool(3);
  const MappedFile file(path);
  const std::byte* before = file.bytes().data();
  file.copy_into_large_pages(pool);
  CHECK(file.bytes().data() == before);
  CHECK(reinterpret_cast<uintptr_t>(before) % (2 << 20) == 0);
  REQUIRE(::truncate(path.c_str(), 0) == 0);  // a mapping would now fault
  CHECK(std::memcmp(file.bytes().data(), bytes.data(), bytes.size()) == 0);

  folder.write("weights", bytes);
  const MappedFile shrinking(path);
  REQUIRE(::truncate(path.c_str(), 100) == 0);
  CHECK_THROWS_AS(shrinking.copy_into_large_pages(pool), Error);
}
