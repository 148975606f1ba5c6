#include "io/lines.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "core/json_value.h"
#include "io/jsonl.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::io;

namespace {

std::vector<std::string> all_lines(const std::string& path) {
  LineReader reader(path);
  std::vector<std::string> lines;
  while (const auto line = reader.next()) lines.emplace_back(*line);
  return lines;
}
using Lines = std::vector<std::string>;

// The bytes of a compressed stream.
std::string packed(const std::string& bytes, Compression kind) {
  std::string out;
  ByteSink sink(kind, [&](std::string_view part) { out += part; });
  sink.write(bytes);
  sink.finish();
  return out;
}

}  // namespace

TEST_CASE("lines end in \\n or \\r\\n, the last one needs neither") {
  const test::TempFolder folder;
  const auto read = [&](const std::string& text) { return all_lines(folder.write("f", text)); };
  CHECK(read("") == Lines{});
  CHECK(read("a") == Lines{"a"});
  CHECK(read("a\n") == Lines{"a"});
  CHECK(read("a\n\n") == Lines{"a", ""});
  CHECK(read("\n") == Lines{""});
  CHECK(read("a\r\nb\r\n\r\nc") == Lines{"a", "b", "", "c"});
  CHECK(read("a\rb\n") == Lines{"a\rb"});
  // A record separator inside the text is no line end.
  CHECK(read("a\xE2\x80\xA8z\xC2\x85y\n") == Lines{"a\xE2\x80\xA8z\xC2\x85y"});
  CHECK(read(std::string("a\0b\nc", 5)) == Lines{std::string("a\0b", 3), "c"});
}

TEST_CASE("lines of all sizes around the buffer's come back whole") {
  const test::TempFolder folder;
  std::mt19937 rng(3);
  Lines want;
  std::string text;
  for (const size_t n : {0u, 1u, 65534u, 65535u, 65536u, 65537u, 131072u, 300000u, 5u, 70000u})
    want.emplace_back(n, 'x');
  for (int i = 0; i < 3000; ++i) want.emplace_back(rng() % 200, static_cast<char>('a' + rng() % 26));
  for (const auto& line : want) text += line + "\n";
  CHECK(all_lines(folder.write("f", text)) == want);
}

TEST_CASE("the place is file:line") {
  const test::TempFolder folder;
  LineReader reader(folder.write("in.jsonl", "a\nb\nc"));
  reader.next(), reader.next();
  CHECK(reader.line_number() == 2);
  CHECK(reader.where() == folder / "in.jsonl" + ":2");
  reader.next();
  CHECK(!reader.next());
  CHECK(!reader.next());
  CHECK(reader.line_number() == 3);
}

TEST_CASE("a line that is too long is one error, and the lines after it are read") {
  const test::TempFolder folder;
  for (const size_t n_long : {101u, 5000u, 65536u, 400000u}) {
    const std::string path = folder.write("f", "short\n" + std::string(n_long, 'x') + "\nafter\nlast");
    LineReader reader(path, 100);
    CHECK(*reader.next() == "short");
    try {
      reader.next();
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadData);
      CHECK(e.where() == path + ":2");
    }
    CHECK(*reader.next() == "after");
    CHECK(reader.line_number() == 3);
    CHECK(*reader.next() == "last");
    CHECK(!reader.next());
  }
  LineReader exact(folder.write("g", std::string(100, 'x') + "\n" + std::string(101, 'y')), 100);
  CHECK(exact.next()->size() == 100);
  CHECK_THROWS_AS(exact.next(), Error);
  CHECK(!exact.next());
  // The \r of a line's end is no part of it, wherever the buffer ends.
  for (const size_t n : {100u, 65534u, 65535u, 65536u}) {
    LineReader with_cr(folder.write("h", std::string(n, 'x') + "\r\n" + std::string(n, 'y') + "\r\nz"),
                       static_cast<int64_t>(n));
    CHECK(with_cr.next()->size() == n);
    CHECK(with_cr.next()->size() == n);
    CHECK(*with_cr.next() == "z");
  }
}

TEST_CASE("a byte order mark is one at the very start only; blank lines are no records") {
  const test::TempFolder folder;
  const std::string mark = "\xEF\xBB\xBF";
  CHECK(all_lines(folder.write("f", mark + "a\n" + mark + "b\n")) == Lines{"a", mark + "b"});
  JsonlReader records(folder.write("g", mark + "\n \t\n{\"n\":1}\n\t\r\n\r\n{\"n\":2}\n \n"));
  int64_t n = 0;
  while (const auto record = records.next({})) {
    CHECK(as_int(*find(record->json, "n")) == ++n);
    CHECK(record->line_number == (n == 1 ? 3 : 6));
  }
  CHECK(n == 2);
}

TEST_CASE("a missing file and a folder are missing input") {
  const test::TempFolder folder;
  const auto kind_of = [](const std::string& path) {
    try {
      LineReader reader(path);
      reader.next();
    } catch (const Error& e) {
      return e.kind();
    }
    return ErrorKind::kInternal;
  };
  CHECK(kind_of(folder / "absent") == ErrorKind::kNoInput);
  CHECK(kind_of(folder.path()) == ErrorKind::kNoInput);
}

TEST_CASE("a line is handed out as soon as it is complete, and a request to stop ends the wait") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const FileHandle read_end(ends[0]), write_end(ends[1]);
  static std::atomic<bool> stop;
  stop = false;
  LineReader reader("/dev/fd/" + std::to_string(ends[0]));
  reader.stop_when([] { return stop.load(); });
  write_all(ends[1], "one\ntwo", "pipe");
  CHECK(*reader.next() == "one");
  std::thread later([&] {
    write_all(ends[1], "!\n", "pipe");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop = true;
  });
  CHECK(*reader.next() == "two!");
  CHECK(!reader.next());  // the pipe is still open: without the request this would wait for ever
  later.join();
}

TEST_CASE("who does not wait gets what is there; the end is told from a pause") {
  for (const Compression kind : {Compression::kNone, Compression::kGzip}) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const FileHandle read_end(ends[0]);
    FileHandle write_end(ends[1]);
    const std::string bytes = kind == Compression::kNone ? "one\ntwo" : packed("one\ntwo", kind);
    LineReader reader("/dev/fd/" + std::to_string(ends[0]));
    reader.wait_for_input(false);
    CHECK(!reader.next());
    CHECK_FALSE(reader.at_end());
    write_all(ends[1], bytes.substr(0, 5), "pipe");
    if (kind == Compression::kNone) CHECK(*reader.next() == "one");
    CHECK(!reader.next());
    CHECK_FALSE(reader.at_end());
    write_all(ends[1], bytes.substr(5), "pipe");
    if (kind == Compression::kGzip) CHECK(*reader.next() == "one");
    CHECK(!reader.next());
    write_end.reset();
    CHECK(*reader.next() == "two");
    CHECK(!reader.next());
    CHECK(reader.at_end());
  }
}

TEST_CASE("compressed streams are read through, whatever the file is called") {
  const test::TempFolder folder;
  for (const Compression kind : {Compression::kGzip, Compression::kZstd}) {
    std::string long_line;
    uint32_t x = 1;
    for (int i = 0; i < 300000; ++i) {
      x = x * 1664525 + 1013904223;
      long_line += static_cast<char>('a' + (x >> 24) % 23);
    }
    const std::string bytes = packed("one\n" + long_line + "\n", kind) + packed("two", kind);
    CHECK(all_lines(folder.write("f.jsonl", bytes)) == Lines{"one", long_line, "two"});
    // Damage is told after the lines before it.
    LineReader cut(folder.write("cut", packed("one\ntwo\n" + long_line, kind).substr(0, 200)));
    CHECK_THROWS_AS(while (cut.next()){}, Error);
  }
}

TEST_CASE("a byte order mark before the first line is no part of it, also when compressed") {
  const test::TempFolder folder;
  const std::string text = "\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo\n";
  const Lines want{"one", "\xEF\xBB\xBFtwo"};
  CHECK(all_lines(folder.write("f", text)) == want);
  CHECK(all_lines(folder.write("f", packed(text, Compression::kGzip))) == want);
  CHECK(all_lines(folder.write("f", "\xEF\xBB\xBF")) == Lines{""});
}

TEST_CASE("a first line that begins like a compressed stream is handed out at once") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const FileHandle read_end(ends[0]), write_end(ends[1]);
  LineReader reader("/dev/fd/" + std::to_string(ends[0]));
  write_all(ends[1], "P\n", "pipe");  // the first byte of a skippable zstd frame
  CHECK(*reader.next() == "P");
}

TEST_CASE("a request to stop that is taken back leaves the stream where it was") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const FileHandle read_end(ends[0]), write_end(ends[1]);
  LineReader reader("/dev/fd/" + std::to_string(ends[0]));
  bool stop = true;
  reader.stop_when([&] { return stop; });
  CHECK(!reader.next());
  stop = false;
  write_all(ends[1], packed("one\n", Compression::kGzip), "pipe");
  CHECK(*reader.next() == "one");
}

TEST_CASE("JSONL: objects with their place; bad lines are handed over or thrown") {
  const test::TempFolder folder;
  const std::string path =
      folder.write("in.jsonl", "\xEF\xBB\xBF{\"a\":1}\n\n \t\n[1]\n{\"a\":2}\noops\n{\"a\":3}");
  JsonlReader reader(path);
  std::vector<std::string> bad, read;
  while (const auto record = reader.next([&](const Error& e, std::string_view line) {
    bad.push_back(e.where() + " " + std::string(line));
  }))
    read.push_back(record->where + " " + record->line + " " + std::to_string(record->line_number));
  CHECK(read ==
        std::vector<std::string>{path + ":1 {\"a\":1} 1", path + ":5 {\"a\":2} 5", path + ":7 {\"a\":3} 7"});
  CHECK(bad == std::vector<std::string>{path + ":4 [1]", path + ":6 oops"});
  CHECK(reader.n_read() == 5);
  JsonlReader strict(path);
  CHECK(as_int(*find(strict.next()->json, "a")) == 1);
  CHECK_THROWS_AS(strict.next(), Error);
  CHECK(as_int(*find(strict.next()->json, "a")) == 2);
}
