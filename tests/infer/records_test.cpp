#include "infer/records.h"

#include <doctest/doctest.h>

#include "infer/generation_config.h"
#include "infer/prompt.h"
#include "infer/text_jobs.h"

using namespace ds;
using namespace ds::infer;

namespace {

Record parse(const std::string& line) {
  Json id;
  return parse_record(line, "f:3", 3, id);
}

}  // namespace

TEST_CASE("records keep their id, or get the line's number") {
  CHECK(parse(R"({"id":"a"})").id.as_string() == "a");
  CHECK(parse(R"({"id":7})").id.as_int() == 7);
  CHECK(parse(R"({"id":null})").id.as_int() == 3);
  CHECK(parse("{}").id.as_int() == 3);
  for (const char* bad : {"", "[]", "7", R"({"id":true})", R"({"id":{}})", "{"})
    CHECK_THROWS_AS(parse(bad), Error);
}

TEST_CASE("members are checked by type, null is absent") {
  const Record r =
      parse(R"({"s":"x","b":true,"n":1.5,"i":4,"ids":[1,2],"null":null,"neg":-1,"bad":[1,"x"]})");
  CHECK(*string_member(r, "s") == "x");
  CHECK(string_member(r, "null") == nullptr);
  CHECK(string_member(r, "absent") == nullptr);
  CHECK(bool_member(r, "b") == true);
  CHECK(number_member(r, "n") == 1.5);
  CHECK(number_member(r, "i") == 4.0);
  CHECK(count_member(r, "i") == 4);
  CHECK(ids_member(r, "ids")->size() == 2);
  CHECK_THROWS_AS(string_member(r, "i"), Error);
  CHECK_THROWS_AS(bool_member(r, "s"), Error);
  CHECK_THROWS_AS(number_member(r, "s"), Error);
  CHECK_THROWS_AS(count_member(r, "neg"), Error);
  CHECK_THROWS_AS(count_member(r, "n"), Error);
  CHECK_THROWS_AS(ids_member(r, "bad"), Error);
}

TEST_CASE("error records carry message, place and remedy") {
  const Json record = error_record("a", Error(ErrorKind::kBadData, "what", "file:1", "do this"));
  CHECK(record.dump() == R"({"id":"a","error":{"message":"what","where":"file:1","hint":"do this"}})");
}

TEST_CASE("prompts are joined with a blank line; piped text loses one line feed") {
  CHECK(join_prompt(std::nullopt, "text\n", false) == "text");
  CHECK(join_prompt(std::nullopt, "text\r\n", false) == "text");
  CHECK(join_prompt(std::nullopt, "text\n\n", false) == "text\n");
  CHECK(join_prompt(std::nullopt, "text\n", true) == "text\n");
  CHECK(join_prompt("do", "text\n", false) == "do\n\ntext");
  CHECK(join_prompt("do", "", false) == "do");
  CHECK(join_prompt("do", " \n", false) == "do");
  std::string broken = "a\xFF";
  CHECK(repair_utf8(broken));
  CHECK(broken == "a\xEF\xBF\xBD");
  CHECK_FALSE(repair_utf8(broken));
}

TEST_CASE("ids are read from words and from JSON lists") {
  CHECK(parse_ids("1 2\n3", "x") == std::vector<int32_t>{1, 2, 3});
  CHECK(parse_ids("[1, 2]\n[3]", "x") == std::vector<int32_t>{1, 2, 3});
  CHECK(parse_ids("", "x").empty());
  for (const char* bad : {"x", "-1", "99999999999", "1.5"}) CHECK_THROWS_AS(parse_ids(bad, "x"), Error);
}

TEST_CASE("defaults: recommendation by family, then overrides") {
  CHECK(recommended_sampling("deepseek_v2").temperature == 0.3);
  CHECK(recommended_sampling("qwen3").top_p == 0.95);
  CHECK(recommended_sampling("something").temperature == 1);
  GenerationOverrides overrides;
  overrides.temperature = 0.2;
  overrides.max_tokens = 9;
  const GenerationSettings s = with_overrides({}, overrides, ErrorKind::kUsage, "");
  CHECK(s.sampling.temperature == 0.2);
  CHECK(s.sampling.top_p == 1);
  CHECK(s.max_tokens == 9);
  overrides.max_tokens = -1;
  CHECK_THROWS_AS(with_overrides({}, overrides, ErrorKind::kUsage, ""), Error);
}
