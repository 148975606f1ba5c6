#include "infer/records.h"

#include <doctest/doctest.h>

#include "core/json_value.h"
#include "infer/generation_config.h"
#include "infer/prompt.h"
#include "infer/request.h"
#include "infer/text_jobs.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::infer;

namespace {

Record parse(const std::string& line) {
  Record record;
  record.where = "f:3";
  record.line_number = 3;
  record.json = parse_jsonl_line(line, record.where);
  return record;
}
Json id_in(const std::string& line) { return id_of(parse(line)); }

// All records of a text, as ids and as what was said.
struct ReadBack {
  std::vector<std::string> ids, notes;
};
ReadBack read_all(const std::string& text, const MemberNames& known, const std::string& idle = "") {
  const test::TempFolder folder;
  ReadBack out;
  RecordJob job;
  job.input = folder.write("in.jsonl", text);
  job.on_note = [&](const std::string& note) { out.notes.push_back(note.substr(note.find("in.jsonl"))); };
  if (!idle.empty()) job.idle_members[idle] = "is not printed";
  JsonlRecordReader reader(job, known);
  const auto on_bad = [&](const Json& id, const Error&, std::string_view) {
    out.ids.push_back("bad " + dump(id));
  };
  while (const auto record = reader.next(on_bad)) out.ids.push_back(dump(record->id));
  return out;
}

}  // namespace

TEST_CASE("records keep their id; one without is called by its line, and no other can take that name") {
  CHECK(as_string(id_in(R"({"id":"a"})")) == "a");
  CHECK(as_string(id_in(R"({"custom_id":"a"})")) == "a");
  CHECK(as_int(id_in(R"({"id":7})")) == 7);
  CHECK(as_string(id_in(R"({"id":null})")) == "line:3");
  CHECK(as_string(id_in("{}")) == "line:3");
  CHECK(as_string(id_in(R"({"id":"line:3"})")) == "line:3");  // an answer given back
  for (const char* own : {"line:", "line:x", "line:4x", "inline:4"})
    CHECK(as_string(id_in(R"({"id":")" + std::string(own) + "\"}")) == own);
  for (const char* bad : {"", "[]", "7", R"({"id":true})", R"({"id":{}})", "{"})
    CHECK_THROWS_AS(id_in(bad), Error);
  CHECK(read_all("{\"id\":2}\n{}\n\noops\n{\"id\":\"line:2\"}\n{}\n", {"id"}).ids ==
        std::vector<std::string>{"2", "\"line:2\"", "bad \"line:4\"", "bad \"line:5\"", "\"line:6\""});
  CHECK(read_all("{\"id\":\"line:3\"}\n{\"id\":\"line:02\"}\n{}\n{}\n", {"id"}).ids ==
        std::vector<std::string>{"\"line:3\"", "\"line:02\"", "bad \"line:3\"", "\"line:4\""});
}

TEST_CASE("results of records without an id are records, whole, in part and in any order") {
  CHECK(
      read_all("{\"id\":\"line:2\"}\n{\"id\":\"line:3\"}\n{\"id\":\"line:1\"}\n{\"id\":\"line:3\"}\n", {"id"})
          .ids == std::vector<std::string>{"\"line:2\"", "\"line:3\"", "\"line:1\"", "\"line:3\""});
}

TEST_CASE("a float beyond all doubles spoils a record only where it is asked for; a bad line keeps its id") {
  const Record record = parse(R"({"id":7,"score":1e400,"temperature":-1E999,"x":"1e400 \" 2e999"})");
  CHECK(as_int(id_of(record)) == 7);
  CHECK(as_string(*find(record.json, "x")) == "1e400 \" 2e999");
  GenerationOverrides told;
  told.temperature = record.members().number("temperature");
  CHECK_THROWS_AS(with_overrides({}, told, ErrorKind::kBadData, ""), Error);
  CHECK_THROWS_AS(parse(R"({"n":1e400})").members().count("n"), Error);
  CHECK_THROWS_AS(id_in(R"({"id":1e400})"), Error);
  CHECK_THROWS_AS(parse(R"({"n":01e400})"), Error);
  CHECK_THROWS_AS(parse(R"({"n":1e400.5})"), Error);
  CHECK_THROWS_AS(parse(R"({"n":1e400,)"), Error);
  const std::string digits(400, '9');
  CHECK(dump(*find(parse("{\"n\":" + digits + "}").json, "n")) == digits);

  CHECK(read_all(
            "{\"id\":\"a\",\"prompt\":NaN}\n{\"id\":12\n{\"id\":12,\n{\"x\":1,\"id\":\"b\",\"prompt\":\"cut\n"
            "{\"id\":\"line:9\",\"x\":}\n{\"id\":[1],\"x\":}\n{\"p\":{\"id\":1},\"x\":}\n",
            {"id"})
            .ids == std::vector<std::string>{"bad \"a\"", "bad \"line:2\"", "bad \"line:3\"", "bad \"b\"",
                                             "bad \"line:5\"", "bad \"line:6\"", "bad \"line:7\""});
}

TEST_CASE("members that nobody knows are told once each, synonyms are known") {
  const ReadBack read = read_all(
      "{\"id\":1,\"max_new_tokens\":2,\"user\":\"x\"}\n{\"user\":\"y\",\"top_kk\":1,\"num_predict\":null}\n",
      {"id", "max_tokens"});
  CHECK(read.notes ==
        std::vector<std::string>{"in.jsonl:1: member \"user\" is not known and has no effect",
                                 "in.jsonl:2: member \"top_kk\" is not known and has no effect"});
  CHECK(read_all("{\"tools\":[]}\n{\"tools\":[1]}\n{\"tools\":[1]}\n", {"tools"}, "tools").notes ==
        std::vector<std::string>{"in.jsonl:2: member \"tools\" is not printed and has no effect"});
  std::string many = "{\"a\":0";
  for (int i = 0; i < 100; ++i) many += ",\"b" + std::to_string(i) + "\":0";
  CHECK(read_all(many + "}\n", {}).notes.size() == 21);
}

TEST_CASE("members are found under other programs' names; two that differ are refused") {
  CHECK(parse(R"({"max_completion_tokens":3})").members().count("max_tokens") == 3);
  CHECK(parse(R"({"repetition_penalty":1.5})").members().number("repeat_penalty") == 1.5);
  CHECK(parse(R"({"n_predict":3,"max_tokens":3})").members().count("max_tokens") == 3);
  CHECK_THROWS_AS(parse(R"({"n_predict":3,"max_tokens":4})").members().count("max_tokens"), Error);
  CHECK(parse(R"({"n_predict":2.0})").members().count("max_tokens") == 2);
  CHECK(parse(R"({"n_predict":-1.0})").members().integer("max_tokens") == -1);
  for (const char* bad : {"2.5", "-2.0", "1e300", "\"2\""})
    CHECK_THROWS_AS(parse(R"({"n_predict":)" + std::string(bad) + "}").members().count("max_tokens"), Error);
  const Record ids = parse(R"({"ids":[1,2],"bad":[1,"x"],"large":[3000000000]})");
  CHECK(ids_member(ids.members(), "ids")->size() == 2);
  CHECK(!ids_member(ids.members(), "absent"));
  CHECK_THROWS_AS(ids_member(ids.members(), "bad"), Error);
  CHECK_THROWS_AS(ids_member(ids.members(), "large"), Error);
}

TEST_CASE("of members that exclude each other those are named that are there") {
  const auto refusal = [](const char* json) {
    try {
      require_one_of(parse(json), {"prompt", "messages", "input_ids"});
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refusal(R"({"prompt":"a"})").empty());
  CHECK(refusal("{}") == R"(a record needs one of "prompt", "messages" and "input_ids")");
  CHECK(refusal(R"({"prompt":"a","messages":[]})") ==
        R"(the record has "prompt" and "messages": one of them is wanted)");
}

TEST_CASE("a conversation ends where the record says, or where its last message does") {
  const auto chat = [](const std::string& members, ChatEnd end) {
    const Record record = parse("{" + members + "}");
    RequestDefaults defaults;
    defaults.system = "be brief";
    return chat_of(record, *find(record.json, "messages"), defaults, end);
  };
  const std::string asked = R"("messages":[{"role":"user","content":"q"}])";
  const std::string begun =
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  CHECK(chat(asked, ChatEnd::kAnswer).add_generation_prompt);
  CHECK(chat(asked, ChatEnd::kAnswer).continue_member.empty());
  CHECK(dump(chat(asked, ChatEnd::kAnswer).messages) ==
        R"([{"role":"system","content":"be brief"},{"role":"user","content":"q"}])");
  CHECK(chat(asked + R"(,"system":"")", ChatEnd::kAnswer).messages.size() == 1);
  CHECK_FALSE(chat(asked, ChatEnd::kWhole).add_generation_prompt);
  CHECK(chat(begun, ChatEnd::kAnswer).continue_member == "content");
  CHECK_FALSE(chat(begun, ChatEnd::kAnswer).add_generation_prompt);
  CHECK(chat(begun + R"(,"continue_final_message":false)", ChatEnd::kAnswer).add_generation_prompt);
  CHECK(chat(begun + R"(,"add_generation_prompt":true)", ChatEnd::kAnswer).continue_member.empty());
  CHECK(chat(begun + R"(,"continue_final_message":"reasoning")", ChatEnd::kAnswer).continue_member ==
        "reasoning");
  CHECK_THROWS_AS(
      chat(begun + R"(,"continue_final_message":true,"add_generation_prompt":true)", ChatEnd::kAnswer),
      Error);
  const auto prefixed = [&](const char* role, const char* prefix, ChatEnd end) {
    return chat(
        R"("messages":[{"role":")" + std::string(role) + R"(","content":"a","prefix":)" + prefix + "}]", end);
  };
  CHECK(prefixed("assistant", "true", ChatEnd::kWhole).continue_member == "content");
  CHECK(prefixed("assistant", "false", ChatEnd::kWhole).continue_member.empty());
  CHECK_THROWS_AS(prefixed("user", "true", ChatEnd::kAnswer), Error);
  CHECK_THROWS_AS(prefixed("assistant", "1", ChatEnd::kAnswer), Error);
  const std::string own = R"("messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}])";
  CHECK(chat(own, ChatEnd::kAnswer).messages.size() == 2);  // in place of the command line's
  CHECK(chat(own + R"(,"system":"s")", ChatEnd::kAnswer).messages.size() == 2);
  CHECK_THROWS_AS(chat(own + R"(,"system":"other")", ChatEnd::kAnswer), Error);
  // A call of a tool was not begun but made.
  CHECK(chat(R"("messages":[{"role":"assistant","content":"","tool_calls":[]}])", ChatEnd::kAnswer)
            .continue_member.empty());
}

TEST_CASE("error records carry message, place and remedy") {
  const Json record = error_record("a", Error(ErrorKind::kBadData, "what", "file:1", "do this"));
  CHECK(dump(record) == R"({"id":"a","error":{"message":"what","where":"file:1","hint":"do this"}})");
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
