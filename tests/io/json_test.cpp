#include "io/json.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>

#include "core/json_value.h"

using namespace ds;
using namespace ds::io;

namespace {

Json parse(std::string_view text) { return parse_json(text, "test"); }
std::string round_trip(std::string_view text) { return dump(parse(text)); }

Json random_value(std::mt19937_64& rng, int depth) {
  switch (rng() % (depth > 0 ? 8 : 6)) {
    case 0:
      return Json();
    case 1:
      return Json(rng() % 2 == 0);
    case 2:
      return Json(static_cast<int64_t>(rng() >> rng() % 64));
    case 3:
      return Json(-static_cast<int64_t>(rng() >> (1 + rng() % 63)));
    case 4:
      return Json(static_cast<double>(rng() % 1000000) * (rng() % 3 == 0 ? 1e-30 : rng() % 2 ? 1e18 : 1.0));
    case 5: {
      std::string s;
      for (int i = static_cast<int>(rng() % 12); i > 0; --i) {
        const char* pieces[] = {"a", "\"", "\\", "\n", "中", "\xF0\x9F\x98\x80", "\x01", "\x7F", "/"};
        s += pieces[rng() % 9];
      }
      if (rng() % 4 == 0) s += '\0';
      return Json(s);
    }
    case 6: {
      Json::array_t array;
      for (int i = static_cast<int>(rng() % 5); i > 0; --i) array.push_back(random_value(rng, depth - 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (int i = static_cast<int>(rng() % 5); i > 0; --i)
        object["k" + std::to_string(rng() % 100)] = random_value(rng, depth - 1);
      return object;
    }
  }
}

}  // namespace

TEST_CASE("what was dumped parses to the same") {
  std::mt19937_64 rng(11);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = dump(random_value(rng, 4));
    CAPTURE(text);
    REQUIRE(round_trip(text) == text);
  }
}

TEST_CASE("values keep their kind and their bits") {
  CHECK(as_int(parse("9223372036854775807")) == std::numeric_limits<int64_t>::max());
  CHECK(as_int(parse("-9223372036854775808")) == std::numeric_limits<int64_t>::min());
  CHECK(!is_int(parse("18446744073709551615")));
  CHECK(parse("18446744073709551615").get<double>() == 18446744073709551615.0);
  CHECK(parse("0.1").get<double>() == 0.1);
  CHECK(parse("2.2250738585072011e-308").get<double>() == 2.2250738585072011e-308);
  CHECK(parse("5e-324").get<double>() == std::numeric_limits<double>::denorm_min());
  CHECK(parse("1e2").get<double>() == 100.0);
  CHECK(!is_int(parse("1e2")));
  CHECK(as_string(parse(R"("\u4e2d\ud83d\ude00\u0000x")")) == std::string("中\xF0\x9F\x98\x80\0x", 9));
  CHECK(round_trip(" { \"b\" : [ 1 , { } , [ ] ] , \"a\" : null } ") == R"({"b":[1,{},[]],"a":null})");
}

TEST_CASE("what is no JSON is refused with the place and the kind that was asked for") {
  for (const char* text : {"",         " ",           "{",
                           "}",        "[1,]",        "{\"a\"}",
                           "{\"a\":}", "{a:1}",       "nul",
                           "01",       "+1",          "1.",
                           ".5",       "1e",          "NaN",
                           "Infinity", "'a'",         "\"a",
                           "\"\\x\"",  "\"\\ud800\"", "\"\t\"",
                           "1 2",      "{} {}",       "[1 2]",
                           "\xFF",     "\"\xFF\"",    "\"\xED\xA0\x80\"",
                           "1e999"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse(text), Error);
  }
  try {
    parse_json("{", "config.json", ErrorKind::kBadModel);
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    CHECK(e.where() == "config.json");
    CHECK(!e.hint().empty());
  }
  CHECK_THROWS_AS(parse(std::string_view("1\0", 2)), Error);
}

TEST_CASE("nesting is limited, not believed") {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK_NOTHROW(parse(nested(400)));
  CHECK_THROWS_AS(parse(nested(600)), Error);
  CHECK_THROWS_AS(parse(nested(100'000)), Error);
  CHECK_THROWS_AS(parse(std::string(1'000'000, '[')), Error);
  std::string objects;
  for (int i = 0; i < 5000; ++i) objects += "{\"a\":";
  CHECK_THROWS_AS(parse(objects), Error);
}
