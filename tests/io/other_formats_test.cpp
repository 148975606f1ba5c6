#include "io/other_formats.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "io/jsonl.h"
#include "temp_folder.h"

using namespace ds;
using namespace ds::io;
using namespace ds::test;
using std::string_literals::operator""s;

namespace {

// What the bytes were taken for, or "".
std::string taken_for(const std::string& head, bool json = true) {
  try {
    refuse_other_formats(head, json, "f");
    return "";
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadData);
    CHECK(!e.hint().empty());
    return e.message();
  }
}

std::string wide(const std::string& text, bool big) {
  std::string out;
  for (const char c : text) out += big ? "\0"s + c : c + "\0"s;
  return out;
}

}  // namespace

TEST_CASE("what is no JSONL is told by its first bytes") {
  const auto is = [](const std::string& head, const char* name) {
    CAPTURE(name);
    CHECK(taken_for(head).find(name) != std::string::npos);
  };
  is("PK\x03\x04 and so on", "zip");
  is("in.jsonl" + std::string(249, '\0') + "ustar\0"s, "tar");
  is("\x04\x22\x4D\x18....", "lz4");
  is("PAR1\x15\x04", "Parquet");
  is("\xFF\xFE" + wide("{\"a\":1}", false), "UTF-16");
  is("\xFE\xFF" + wide("{\"a\":1}", true), "UTF-16");
  is(wide("{\"a\":1}", false), "UTF-16");
  is(wide("{\"a\":1}", true), "UTF-16");
  is("\xFF\xFE\0\0{\0\0\0"s, "UTF-32");
  is("version https://git-lfs.github.com/spec/v1\noid", "git-lfs");
  for (const char* head : {"[\n{\"a\":1},", "[{\"a\":1},", " \n [ \n {", "[", "\xEF\xBB\xBF[\n"}) {
    is(head, "JSON array");
    CHECK(taken_for(head, false).empty());
  }
  for (const char* head : {"{\n  \"a\": 1\n}\n", "\xEF\xBB\xBF{\r\n\"a\"", "{", "{\"a\": 1,\n \"b\": 2}"}) {
    is(head, "JSON object over several lines");
    CHECK(taken_for(head, false).empty());
  }
  for (const char* head : {"{\n{\"a\":1}\n", "{\"a\":[1,\n{\"b\":2}\n", "{}\n\"a\""})
    CHECK(taken_for(head).empty());
  for (const char* head : {"", "{\"a\":1}\n", "[1, 2]\n", "[\"a\"]\n", "PK", "\xEF\xBB\xBF{}", "a\n["})
    CHECK(taken_for(head).empty());
  CHECK(taken_for("PAR1 is a name", false).empty());
  CHECK(taken_for("PAR1", false).empty());
  CHECK(taken_for("\0\0\0\0\0\0\0\0"s).empty());
}

TEST_CASE("a reader of records refuses an array as a whole, also where bad lines are looked over") {
  const TempFolder d;
  int n_bad = 0;
  const auto count = [&](const Error&, std::string_view) { ++n_bad; };
  JsonlReader array(d.write("a", "\n[\n{\"a\":1},\n{\"a\":2}\n]\n"));
  CHECK_THROWS_AS(array.next(count), Error);
  JsonlReader lines(d.write("b", "{\"a\":1}\n[\n[1]\n"));
  CHECK(lines.next(count));
  CHECK(!lines.next(count));
  CHECK(n_bad == 2);
}
