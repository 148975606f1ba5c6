// Texts by the rules of RFC 8259 with what Python's json makes of them (tests/golden/json/make.py).
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "core/json_value.h"
#include "io/json.h"

using namespace ds;
using namespace ds::io;

namespace {

std::string bytes_of(const Json& test) {
  if (const Json* text = find(test, "text")) return as_string(*text);
  const std::string& hex = as_string(test["hex"]);
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

// A golden's scalars are tagged strings.
bool same(const Json& ours, const Json& golden) {
  if (golden.is_object()) {
    if (!ours.is_object() || ours.size() != golden.size()) return false;
    auto item = ours.begin();
    for (const auto& [key, value] : golden.items()) {
      if (item.key() != key || !same(item.value(), value)) return false;
      ++item;
    }
    return true;
  }
  if (golden.is_array()) {
    if (!ours.is_array() || ours.size() != golden.size()) return false;
    for (size_t i = 0; i < golden.size(); ++i)
      if (!same(ours[i], golden[i])) return false;
    return true;
  }
  const std::string& tagged = as_string(golden);
  if (tagged.starts_with("i:")) return is_any_integer(ours) && dump(ours) == tagged.substr(2);
  if (tagged.starts_with("f:")) {
    const double value = std::strtod(tagged.c_str() + 2, nullptr);
    return ours.is_number_float() && ours.get<double>() == value &&
           std::signbit(ours.get<double>()) == std::signbit(value);
  }
  if (tagged.starts_with("s:")) return ours.is_string() && as_string(ours) == tagged.substr(2);
  return dump(ours) == tagged && !ours.is_string();
}

}  // namespace

TEST_CASE("what Python reads is read to the same values, what the RFC forbids is refused") {
  std::ifstream file(DS_SOURCE_DIR "/tests/golden/json/cases.jsonl");
  int n_read = 0, n_refused = 0;
  for (std::string line; std::getline(file, line);) {
    const Json test = parse_json(line, "golden");
    const std::string text = bytes_of(test);
    CAPTURE(line.substr(0, 200));
    if (!find(test, "value")) {
      CHECK_THROWS_AS(parse_json(text, "case"), Error);
      ++n_refused;
      continue;
    }
    Json value;
    REQUIRE_NOTHROW(value = parse_json(text, "case"));
    if (dump(test["value"]) != R"("deep")") CHECK(same(value, test["value"]));
    CHECK(dump(parse_json(dump(value), "again")) == dump(value));
    ++n_read;
  }
  CHECK(n_read > 300);
  CHECK(n_refused > 300);
}

TEST_CASE("numbers come out as they went in") {
  for (const char* digits : {"12345678901234567890", "18446744073709551615", "18446744073709551616",
                             "-9223372036854775809", "340282366920938463463374607431768211455"}) {
    const std::string text = std::string("{\"id\":") + digits + ",\"n\":1,\"x\":[0.1,1.0]}";
    CHECK(dump(parse_json(text, "record")) == text);  // and no neighbour becomes a double
    CHECK_FALSE(is_int(parse_json(digits, "id")));
    CHECK(is_any_integer(parse_json(digits, "id")));
  }
  CHECK(is_int(parse_json("9223372036854775807", "id")));
  CHECK(as_int(parse_json("-9223372036854775808", "id")) == INT64_MIN);
  // A reader that wants a number gets no rounded one: beyond 64 bits it is none.
  CHECK_FALSE(parse_json("18446744073709551616", "id").is_number());
  CHECK(parse_json("18446744073709551615", "id").get<double>() == 18446744073709551615.0);
  CHECK(dump(long_integer("123456789012345678901")) == "123456789012345678901");
  CHECK(long_integer_digits(Json("123")).empty());
  for (const char* other : {"1.0", "1e20", "\"1\"", "true", "null", "[1]"})
    CHECK_FALSE(is_any_integer(parse_json(other, "x")));
}

TEST_CASE("of two members with one name the last counts, at the first one's place; fast in large objects") {
  CHECK(dump(parse_json(R"({"a":1,"b":2,"a":{"a":3,"a":4}})", "x")) == R"({"a":{"a":4},"b":2})");
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  const Json many = parse_json(text + "\"k7\":\"last\"}", "x");
  CHECK(many.size() == 200'000);
  CHECK(as_string(many["k7"]) == "last");
}

TEST_CASE("an error names the place, the column, and quotes little") {
  try {
    parse_json("{\"a\": [1,\n 2,, 3]}", "model/config.json");
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.where() == "model/config.json");
    CHECK(std::string(e.what()).find("line 2, column 4") != std::string::npos);
    CHECK(std::string(e.what()).find("json.exception") == std::string::npos);
  }
  try {
    parse_json("[\"" + std::string(1'000'000, 'a'), "x");
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(std::string(e.what()).size() < 500);
  }
  CHECK_THROWS_WITH_AS(parse_json("[1e400]", "x"), doctest::Contains("1e400"), Error);
}
