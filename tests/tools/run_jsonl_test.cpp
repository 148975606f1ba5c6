// ds-run --jsonl: records in, answers out.
#include <doctest/doctest.h>
#include <signal.h>

#include <cstdlib>

#include "core/json_value.h"
#include "io/compress.h"
#include "io/json.h"
#include "run_program.h"
#include "skip.h"

using namespace ds;

namespace {

ProgramResult batch(const std::string& in, std::vector<std::string> arguments = {},
                    ProgramOptions options = {}) {
  arguments.insert(arguments.begin(), {kTinyModel, "--jsonl", "--quiet"});
  options.in = in;
  return run_program("ds-run", arguments, options);
}
std::vector<ds::Json> records_of(const ProgramResult& r) {
  std::vector<ds::Json> out;
  for (const std::string& line : lines_of(r.out)) out.push_back(ds::io::parse_json(line, "stdout"));
  return out;
}
std::string text_of(const ds::Json& record) { return as_string(*find(record, "text")); }

}  // namespace

TEST_CASE("answers come in order, with text, reasoning, finish_reason and usage") {
  const ProgramResult r = batch(
      "{\"id\":\"a\",\"prompt\":\"What is 62*7?\"}\n"
      "{\"id\":2,\"messages\":[{\"role\":\"user\",\"content\":\"345+278\"}]}\n"
      "\n"
      "{\"prompt\":\"What is 62*7?\"}");
  CHECK(r.rc == 0);
  const auto records = records_of(r);
  REQUIRE(records.size() == 3);
  CHECK(as_string(*find(records[0], "id")) == "a");
  CHECK(text_of(records[0]) == "434");
  CHECK(as_string(*find(records[0], "reasoning")) == "7*2=14, 7*6=42, 42+1=43");
  CHECK(as_string(*find(records[0], "finish_reason")) == "stop");
  CHECK(find(records[0], "output_ids") == nullptr);
  const ds::Json& usage = *find(records[0], "usage");
  CHECK(as_int(*find(usage, "prompt_tokens")) + as_int(*find(usage, "completion_tokens")) ==
        as_int(*find(usage, "total_tokens")));
  CHECK(as_int(*find(records[1], "id")) == 2);
  CHECK(text_of(records[1]) == "623");
  CHECK(as_string(*find(records[2], "id")) == "line:4");
  CHECK(text_of(records[2]) == "434");
}

TEST_CASE("a JSON array is no stream of records; a stdout that is the input is refused") {
  const ProgramResult array = batch("[\n{\"prompt\":\"1+1?\"},\n{\"prompt\":\"1+2?\"}\n]\n");
  CHECK(array.rc == 65);
  CHECK(array.out.empty());
  CHECK(array.err.find("jq -c") != std::string::npos);
  const TemporaryFolder folder;
  const std::string in = folder.write("in", "{\"prompt\":\"1+1?\"}\n");
  ProgramOptions onto;
  onto.stdout_path = in;
  CHECK(run_program("ds-run", {kTinyModel, "--jsonl", in}, onto).rc == 2);
}

TEST_CASE("input_ids give output_ids; records override the command line") {
  const ProgramResult r = batch(
      "{\"id\":1,\"input_ids\":[0,3,100,4],\"max_tokens\":3}\n"
      "{\"id\":2,\"prompt\":\"Why is the sky blue?\",\"max_tokens\":4,\"return_ids\":true}\n"
      "{\"id\":3,\"prompt\":\"Why is the sky blue?\",\"stop\":[\"light\",\"xyz\"]}\n"
      "{\"id\":4,\"prompt\":\"Question: 3+4?\\nAnswer:\",\"raw\":true}\n",
      {"-n", "6"});
  CHECK(r.rc == 0);
  const auto records = records_of(r);
  REQUIRE(records.size() == 4);
  CHECK(find(records[0], "output_ids")->size() == 3);
  CHECK(find(records[1], "output_ids")->size() == 4);
  CHECK(text_of(records[2]) == "Sun");
  CHECK(find(records[2], "output_ids") == nullptr);
}

TEST_CASE("an answer does not depend on the records around it") {
  const std::string one = "{\"id\":\"x\",\"prompt\":\"Tell me about the penguin.\",\"temperature\":0}\n";
  const auto alone = lines_of(batch(one).out);
  const auto among = lines_of(batch("{\"id\":1,\"prompt\":\"Tell me about the panda.\"}\n" + one + one).out);
  REQUIRE(alone.size() == 1);
  REQUIRE(among.size() == 3);
  CHECK(among[1] == alone[0]);
  CHECK(among[2] == alone[0]);
}

TEST_CASE("a bad record yields an error record in its place, the rest go on, exit 65") {
  const std::vector<std::string> bad = {
      "{\"id\":\"b\",\"prompt\":",
      "[1,2]",
      "{\"id\":\"b\"}",
      "{\"id\":[1],\"prompt\":\"x\"}",
      "{\"id\":\"b\",\"prompt\":7}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"input_ids\":[1]}",
      "{\"id\":\"b\",\"input_ids\":[]}",
      "{\"id\":\"b\",\"input_ids\":[1,99999]}",
      "{\"id\":\"b\",\"input_ids\":[1.5]}",
      "{\"id\":\"b\",\"input_ids\":[-1]}",
      "{\"id\":\"b\",\"messages\":[]}",
      "{\"id\":\"b\",\"messages\":[{\"content\":\"x\"}]}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"temperature\":-1}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"temperature\":\"hot\"}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"top_p\":0}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"stop\":[\"\"]}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"max_tokens\":-3}",
      "{\"id\":\"b\",\"prompt\":\"x\",\"tools\":\"none\"}",
      "{\"id\":\"b\",\"prompt\":\"\xff\xfe\"}",
      std::string("{\"id\":\"b\",\"prompt\":\"\0\"}", 23),
      std::string(100000, '['),
  };
  std::string in = "{\"id\":\"first\",\"prompt\":\"What is 62*7?\"}\n";
  for (const std::string& line : bad) in += line + "\n";
  in += "{\"id\":\"last\",\"prompt\":\"What is 62*7?\"}\n";
  const ProgramResult r = batch(in);
  CHECK(r.rc == 65);
  CHECK(r.err.empty());  // --quiet: the records tell
  const auto records = records_of(r);
  REQUIRE(records.size() == bad.size() + 2);
  CHECK(text_of(records.front()) == "434");
  CHECK(text_of(records.back()) == "434");
  for (size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(bad[i].substr(0, 100));
    const ds::Json* error = find(records[i + 1], "error");
    REQUIRE(error != nullptr);
    CHECK_FALSE(as_string(*find(*error, "message")).empty());
    CHECK(as_string(*find(*error, "where")) == "<stdin>:" + std::to_string(i + 2));
  }
}

TEST_CASE("bad records are told on stderr with file and line, and kept in --bad-lines") {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("in.jsonl", "{\"prompt\":\"hi\",\"max_tokens\":1}\noops\n{\"input_ids\":[-1]}\n");
  const std::string bad = folder.path() + "/bad.jsonl";
  const ProgramResult r = run_program("ds-run", {kTinyModel, "--jsonl", path, "--bad-lines", bad});
  CHECK(file_bytes(bad) == "oops\n{\"input_ids\":[-1]}\n");
  CHECK(r.rc == 65);
  CHECK(r.err.find("in.jsonl:2") != std::string::npos);
  CHECK(r.err.find("3 records read, 1 answered, 2 failed") != std::string::npos);
  CHECK(lines_of(r.out).size() == 3);
}

TEST_CASE("an empty batch is done at once; a missing file is exit 66") {
  const ProgramResult r = batch("");
  CHECK(r.rc == 0);
  CHECK(r.out.empty());
  CHECK(run_program("ds-run", {kTinyModel, "--jsonl", "/no/such/file.jsonl"}).rc == 66);
}

TEST_CASE("SIGTERM and SIGUSR1 in the middle: whole records only, exit 75") {
  std::string in;
  for (int i = 0; i < 2000; ++i)
    in += "{\"id\":" + std::to_string(i) + ",\"prompt\":\"Tell me about the penguin.\"}\n";
  for (const int signal : {SIGTERM, SIGUSR1}) {
    ProgramOptions options;
    options.on_first_line = [signal](int pid) { ::kill(pid, signal); };
    const ProgramResult r = batch(in, {}, options);
    CHECK(r.rc == 75);
    CHECK(r.out.back() == '\n');
    const auto records = records_of(r);
    CHECK(records.size() < 2000);
    for (size_t i = 0; i < records.size(); ++i)
      CHECK(as_int(*find(records[i], "id")) == static_cast<int64_t>(i));
  }
}

TEST_CASE("SIGTERM while waiting for more records ends the run too") {
  ProgramOptions options;
  options.keep_stdin_open = true;
  options.on_first_line = [](int pid) { ::kill(pid, SIGTERM); };
  const ProgramResult r = batch("{\"prompt\":\"hi\",\"max_tokens\":2}\n", {}, options);
  CHECK(r.rc == 75);
  CHECK(lines_of(r.out).size() == 1);
}

TEST_CASE("folders without a tokenizer answer input_ids; text is refused per record") {
  const std::string model = DS_SOURCE_DIR "/tests/golden/arch/llama";
  ProgramOptions options;
  options.in = "{\"id\":1,\"input_ids\":[5,6,7],\"max_tokens\":4}\n{\"id\":2,\"prompt\":\"hi\"}\n";
  const ProgramResult r = run_program("ds-run", {model, "--jsonl", "--quiet", "--temperature", "0"}, options);
  CHECK(r.rc == 65);
  const auto records = records_of(r);
  REQUIRE(records.size() == 2);
  CHECK(find(records[0], "output_ids")->size() == 4);
  CHECK(find(records[0], "text")->is_null());
  CHECK(find(*find(records[1], "error"), "message") != nullptr);
}

TEST_CASE("other programs' names of members are obeyed; unknown ones are told once") {
  const ProgramResult r = run_program("ds-run", {kTinyModel, "--jsonl"}, [] {
    ProgramOptions options;
    options.in =
        "{\"id\":1,\"prompt\":\"Why is the sky "
        "blue?\",\"max_new_tokens\":3,\"user\":\"me\",\"return_ids\":true}\n"
        "{\"id\":2,\"prompt\":\"Why is the sky "
        "blue?\",\"n_predict\":4,\"user\":\"you\",\"return_ids\":true}\n"
        "{\"id\":3,\"prompt\":\"Why is the sky blue?\",\"n_predict\":4,\"max_tokens\":5}\n";
    return options;
  }());
  CHECK(r.rc == 65);
  const auto records = records_of(r);
  REQUIRE(records.size() == 3);
  CHECK(find(records[0], "output_ids")->size() == 3);
  CHECK(find(records[1], "output_ids")->size() == 4);
  CHECK(as_string(*find(*find(records[2], "error"), "message")).find("mean the same and differ") !=
        std::string::npos);
  const size_t told = r.err.find("member \"user\" is not known");
  CHECK(told != std::string::npos);
  CHECK(r.err.find("\"user\"", told + 10) == std::string::npos);
  CHECK(r.err.find("n_predict\" is not known") == std::string::npos);
}

TEST_CASE("do_sample: false takes the most likely token, whatever the temperature") {
  const std::string prompt = "{\"id\":1,\"prompt\":\"Tell me about the penguin.\",\"return_ids\":true,";
  const ProgramResult r = batch(prompt + "\"temperature\":0}\n" + prompt + "\"do_sample\":false}\n" + prompt +
                                "\"do_sample\":false,\"temperature\":2,\"seed\":5}\n");
  CHECK(r.rc == 0);
  const auto lines = lines_of(r.out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1] == lines[0]);
  CHECK(lines[2] == lines[0]);
}

TEST_CASE("an answer that was begun is gone on with") {
  const std::string question = R"({"role":"user","content":"Why is the sky blue?"})";
  const auto whole = records_of(batch("{\"messages\":[" + question + "],\"temperature\":0}\n"));
  REQUIRE(whole.size() == 1);
  const std::string text = text_of(whole[0]);
  const std::string begun = text.substr(0, text.find(' ', text.size() / 2));
  const auto rest = records_of(batch("{\"messages\":[" + question + R"(,{"role":"assistant","content":")" +
                                     begun + "\"}],\"temperature\":0}\n"));
  REQUIRE(rest.size() == 1);
  CHECK(begun + text_of(rest[0]) == text);
}

TEST_CASE("records come from gzip files and behind a byte order mark") {
  const TemporaryFolder folder;
  const std::string plain = folder.write("a.jsonl", "\xEF\xBB\xBF{\"id\":1,\"prompt\":\"What is 62*7?\"}\n");
  const std::string packed = folder.path() + "/packed";
  for (const auto compression : {ds::io::Compression::kGzip, ds::io::Compression::kZstd}) {
    std::string bytes;
    ds::io::ByteSink sink(compression, [&](std::string_view part) { bytes += part; });
    sink.write(file_bytes(plain));
    sink.finish();
    folder.write("packed", bytes);
    for (const std::string& path : {plain, packed}) {
      const ProgramResult r = run_program("ds-run", {kTinyModel, "--jsonl", path, "--quiet"});
      CHECK(r.rc == 0);
      const auto records = records_of(r);
      REQUIRE(records.size() == 1);
      CHECK(text_of(records[0]) == "434");
    }
  }
  const std::string cut = folder.write("cut.gz", file_bytes(packed).substr(0, 30));
  const ProgramResult r = run_program("ds-run", {kTinyModel, "--jsonl", cut});
  CHECK(r.rc == 65);
  CHECK(r.err.find("cut.gz") != std::string::npos);
}

TEST_CASE(
    "progress: one line on a terminal that does not show the answers, nothing in a pipe or with --quiet") {
  const TemporaryFolder folder;
  std::string in;
  for (int i = 0; i < 12; ++i) in += "{\"text\":\"What is 62*7?\",\"prompt\":\"Why is the sky blue?\"}\n";
  const std::string path = folder.write("in.jsonl", in),
                    tool = DS_BIN_DIR "/ds-run " + kTinyModel + " -n 8 --jsonl ";
  const auto bash = [](const std::string& line) { return run_program("/bin/bash", {"-c", line}); };
  CHECK(bash(tool + path + " > /dev/null").err.find('\x1b') == std::string::npos);
  if (std::system("script -qec true /dev/null > /dev/null 2>&1") != 0) {
    ds::test::skip_test("no pseudo-terminal here: the line itself is not looked at");
    return;
  }
  const auto on_terminal = [&](const std::string& command) {
    return bash("TERM=xterm script -qec \"" + command + "\" /dev/null").out;
  };
  for (const std::string job : {"", "--score "}) {
    const std::string seen = on_terminal(tool + path + " " + job + "> /dev/null");
    CHECK(seen.find("/12 records  ") != std::string::npos);
    CHECK(seen.find(" left") != std::string::npos);
  }
  CHECK(on_terminal("cat " + path + " | " + tool + "> /dev/null").find(" records") != std::string::npos);
  CHECK(on_terminal(tool + path + " -q > /dev/null").empty());
  CHECK(on_terminal(tool + path).find(" records") == std::string::npos);
}
