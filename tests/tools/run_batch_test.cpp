// ds-run --jsonl --concurrency: records that share the steps.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <random>

#include "core/json_value.h"
#include "io/json.h"
#include "run_program.h"

using namespace ds;

namespace {

ProgramResult answer(const std::string& model, const std::string& in, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {model, "--jsonl", "-q"});
  ProgramOptions options;
  options.in = in;
  return run_program("ds-run", more, options);
}
std::vector<std::string> sorted(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  return lines;
}
std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}
Json parsed(const std::string& line) { return io::parse_json(line, "stdout"); }

// Greedy and seeded, chat and raw, short and long, with stop strings, limits and errors among them.
std::vector<std::string> text_records(int n) {
  const char* kinds[] = {
      R"("prompt":"What is N*7?","temperature":0)",
      R"("messages":[{"role":"user","content":"N+278"}],"temperature":0.8,"seed":N)",
      R"("prompt":"Why is the sky blue?","stop":["light","N"],"seed":1)",
      R"("prompt":"Tell me about N penguins. Tell me about a panda. Tell me a story.","max_tokens":5,"temperature":0)",
      R"("prompt":N)",
      R"("input_ids":[0,3,100,N],"max_tokens":20,"temperature":1,"seed":3,"return_ids":true)",
      R"("input_ids":[99999])",
      R"("prompt":"Question: N?\nAnswer:","raw":true,"max_tokens":9,"temperature":1,"seed":0)",
  };
  std::vector<std::string> out;
  for (int i = 0; i < n; ++i) {
    std::string members = kinds[i % std::size(kinds)];
    for (size_t at; (at = members.find('N')) != members.npos;) members.replace(at, 1, std::to_string(i));
    out.push_back("{\"id\":" + std::to_string(i) + "," + members + "}");
  }
  return out;
}
std::vector<std::string> id_records(int n) {
  std::vector<std::string> out;
  for (int i = 0; i < n; ++i) {
    std::string ids;
    for (int k = 0; k < 1 + i * 11 % 60; ++k) ids += (k ? "," : "") + std::to_string((i + k * 7) % 200);
    out.push_back("{\"id\":" + std::to_string(i) + ",\"input_ids\":[" + ids + "],\"max_tokens\":" +
                  std::to_string(1 + i % 7) + ",\"seed\":7,\"temperature\":" + (i % 2 ? "1" : "0") + "}");
  }
  return out;
}

// Answers by id, errors without their place.
std::vector<std::string> by_id(const std::string& out) {
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(out)) {
    Json record = parsed(line);
    if (Json* error = record.contains("error") ? &record["error"] : nullptr) error->erase("where");
    lines.push_back(dump(record));
  }
  return sorted(lines);
}

}  // namespace

TEST_CASE("answers are those of each record alone, for any concurrency, threads and company") {
  const std::vector<std::string> records = text_records(24);
  const std::string in = joined(records), want = answer(kTinyModel, in, {"--concurrency", "1"}).out;
  CHECK(lines_of(want).size() == records.size());
  CHECK(want.find("\"error\"") != std::string::npos);
  for (const char* n : {"3", "8", "auto"}) {
    CAPTURE(n);
    const ProgramResult r =
        answer(kTinyModel, in, {"--concurrency", n, "--threads", n[0] == '3' ? "1" : "3"});
    CHECK(r.rc == 65);
    CHECK(r.out == want);
    CHECK(sorted(lines_of(answer(kTinyModel, in, {"--concurrency", n, "--unordered"}).out)) ==
          sorted(lines_of(want)));
  }
  // Alone, and in another order.
  const std::vector<std::string> expected = by_id(want);
  for (const size_t i : {1, 2, 5, 15}) {
    const auto alone = by_id(answer(kTinyModel, records[i] + "\n").out);
    REQUIRE(alone.size() == 1);
    CHECK(std::count(expected.begin(), expected.end(), alone[0]) == 1);
  }
  std::vector<std::string> shuffled = records;
  std::mt19937 random(5);
  for (const char* n : {"3", "8"}) {
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    CHECK(by_id(answer(kTinyModel, joined(shuffled), {"--concurrency", n}).out) == expected);
  }
}

TEST_CASE("the same for every kind of attention") {
  const std::string in = joined(id_records(20));
  for (const char* arch :
       {"deepseek_v3", "deepseek_v32", "deepseek_v2_lite", "llama", "mistral", "qwen3_moe"}) {
    CAPTURE(arch);
    const std::string model = std::string(DS_SOURCE_DIR "/tests/golden/arch/") + arch;
    const auto with = [&](const char* n) { return answer(model, in, {"--ctx", "128", "--concurrency", n}); };
    const ProgramResult want = with("1");
    CHECK(want.rc == 0);
    CHECK(lines_of(want.out).size() == 20);
    for (const char* n : {"3", "8"}) CHECK(with(n).out == want.out);
  }
}

TEST_CASE("a record that comes is answered while others run, and before the next is there") {
  const ProgramResult r = run_program(
      "/bin/bash",
      {"-c",
       "cd '" DS_BIN_DIR
       "'; ask() { echo \"{\\\"id\\\":$1,\\\"prompt\\\":\\\"$2\\\",\\\"max_tokens\\\":3}\"; }; "
       "mkfifo_dir=$(mktemp -d); mkfifo $mkfifo_dir/in $mkfifo_dir/out; "
       "./ds-run " +
           kTinyModel +
           " --jsonl -q < $mkfifo_dir/in > $mkfifo_dir/out & "
           "exec 3> $mkfifo_dir/in 4< $mkfifo_dir/out; rm -r $mkfifo_dir; "
           "for i in 1 2 3; do ask $i hello >&3; read -r -t 30 line <&4 && echo \"$line\"; done; "
           // Half a line must not hold up what runs.
           "{ ask 4 hello; printf '{\"id\":5,'; } >&3; read -r -t 30 line <&4 && echo \"$line\"; "
           "echo '\"prompt\":\"hello\",\"max_tokens\":2}' >&3; read -r -t 30 line <&4 && echo \"$line\"; "
           "exec 3>&-; wait"});
  CHECK(r.rc == 0);
  const auto lines = lines_of(r.out);
  REQUIRE(lines.size() == 5);
  for (int i = 0; i < 5; ++i) CHECK(as_int(*find(parsed(lines[i]), "id")) == i + 1);
}

TEST_CASE("--unordered writes a short answer before a long one that came first") {
  const std::string in =
      "{\"id\":\"long\",\"input_ids\":[5,6,7],\"max_tokens\":40}\n"
      "{\"id\":\"short\",\"input_ids\":[5,6],\"max_tokens\":1}\n";
  const std::string model = DS_SOURCE_DIR "/tests/golden/arch/llama";
  CHECK(lines_of(answer(model, in).out)[0].starts_with("{\"id\":\"long\""));
  CHECK(lines_of(answer(model, in, {"--unordered"}).out)[0].starts_with("{\"id\":\"short\""));
  CHECK(lines_of(answer(model, in, {"--unordered", "--concurrency", "1"}).out)[0].starts_with(
      "{\"id\":\"long\""));
}

TEST_CASE("a beginning that records share is read once; usage tells it") {
  std::string begin, in;
  for (int i = 0; i < 150; ++i) begin += "Tell me about the penguin. ";
  for (int i = 0; i < 6; ++i)
    in += R"({"prompt":"What is )" + std::to_string(i) + R"(+7?","system":")" + begin +
          "\",\"max_tokens\":3}\n";
  const auto cached = [&](const char* n) {
    std::vector<int64_t> out;
    for (const std::string& line : lines_of(answer(kTinyModel, in, {"--concurrency", n}).out))
      out.push_back(as_int(*find(*find(parsed(line), "usage"), "cached_tokens")));
    return out;
  };
  const auto together = cached("6");
  REQUIRE(together.size() == 6);
  CHECK(together[0] == 0);
  CHECK(together[1] >= 512);
  for (size_t i = 2; i < 6; ++i) CHECK(together[i] == together[1]);
  CHECK(cached("1") == together);
  std::vector<int64_t> timed;
  for (const std::string& line : lines_of(answer(kTinyModel, in, {"--timings", "-"}).out))
    timed.push_back(as_int(*find(parsed(line), "cached_tokens")));
  CHECK(timed == together);
}

TEST_CASE("OpenAI batch lines are answered in kind") {
  const auto line = [](const char* id, const char* url, const char* body) {
    return std::string("{\"custom_id\":\"") + id + R"(","method":"POST","url":")" + url +
           "\",\"body\":" + body + "}\n";
  };
  const char *chat = "/v1/chat/completions", *text = "/v1/completions";
  const char* question =
      R"({"model":"m","messages":[{"role":"user","content":"What is 62*7?"}],"temperature":0})";
  const std::string in =
      line("a", chat, question) + "{\"id\":\"own\",\"prompt\":\"What is 62*7?\"}\n" +
      line("b", text, R"({"prompt":"Question: 3+4?\nAnswer:","max_tokens":3,"user":null})") +
      line("c", "/v1/embeddings", R"({"input":"x"})") + line("d", chat, R"({"prompt":"x"})") +
      line("e", chat, R"({"messages":[{"role":"user","content":"x"}],"n":2})") + line("f", chat, "7");
  const ProgramResult r = answer(kTinyModel, in);
  CHECK(r.rc == 65);
  CHECK(r.err.empty());
  const auto lines = lines_of(r.out);
  REQUIRE(lines.size() == 7);
  const Json a = parsed(lines[0]);
  CHECK(as_string(a["id"]).starts_with("batch_req_"));
  CHECK(as_string(a["custom_id"]) == "a");
  CHECK(a["error"].is_null());
  CHECK(as_int(a["response"]["status_code"]) == 200);
  CHECK(as_string(a["response"]["request_id"]).starts_with("req_"));
  const Json& body = a["response"]["body"];
  CHECK(as_string(body["object"]) == "chat.completion");
  CHECK(as_string(body["model"]) == "m");
  CHECK(as_string(body["choices"][0]["message"]["role"]) == "assistant");
  CHECK(as_string(body["choices"][0]["message"]["content"]) == "434");
  CHECK(as_string(body["choices"][0]["message"]["reasoning_content"]) == "7*2=14, 7*6=42, 42+1=43");
  CHECK(as_string(body["choices"][0]["finish_reason"]) == "stop");
  CHECK(as_int(body["usage"]["prompt_tokens_details"]["cached_tokens"]) == 0);
  CHECK(as_string(parsed(lines[1])["text"]) == "434");
  const Json b = parsed(lines[2])["response"]["body"];
  CHECK(as_string(b["object"]) == "text_completion");
  CHECK(as_string(b["model"]) == "dsv3-tiny");
  CHECK(as_int(b["usage"]["completion_tokens"]) == 3);
  CHECK(b["choices"][0]["text"].is_string());
  for (size_t i = 3; i < 7; ++i) {
    const Json bad = parsed(lines[i]);
    CHECK(as_string(bad["custom_id"]) == std::string(1, static_cast<char>('a' + i - 1)));
    CHECK(as_int(bad["response"]["status_code"]) == 400);
    CHECK(as_string(bad["error"]["message"]).find("<stdin>:" + std::to_string(i + 1)) != std::string::npos);
  }
  CHECK(answer(kTinyModel, in, {"--concurrency", "1"}).out == r.out);
  // Gone on with, errors are tried again.
  const TemporaryFolder folder;
  const std::string path = folder.write("in", in),
                    out = folder.write("out", lines[0] + "\n" + lines[3] + "\n");
  CHECK(run_program("ds-run", {kTinyModel, "--jsonl", path, "--resume", out, "-q"}).rc == 65);
  const auto resumed = lines_of(file_bytes(out));
  REQUIRE(resumed.size() == 7);
  for (size_t i = 0; i < 3; ++i) CHECK(resumed[i] == lines[i]);
}

TEST_CASE("killed or stopped at any moment, the same command gives the same set of answers") {
  const TemporaryFolder folder;
  const auto bash = [&](const std::string& script) {
    return run_program("/bin/bash", {"-c", "cd '" + folder.path() + "'; " + script});
  };
  // Input that does not end, so that the signal always finds the run at work.
  const auto killed = [&](const std::string& command, const std::string& signal, int n_least) {
    return bash("rm -f fifo; mkfifo fifo; exec 3<> fifo; cat in >&3; " + command + " < fifo & P=$!; " +
                "until [ -e out ] && [ $(wc -l < out) -ge " + std::to_string(n_least) +
                " ]; do sleep 0.005; done; kill -" + signal + " $P; wait $P");
  };
  for (const bool openai : {false, true}) {
    std::string in;
    for (int i = 0; i < 90; ++i) {
      const std::string id = std::to_string(i),
                        request = R"("prompt":"Tell me about the penguin.","max_tokens":)" +
                                  std::to_string(1 + i * 7 % 20) + ",\"temperature\":0.7,\"seed\":" + id;
      in += openai ? R"({"custom_id":"c)" + id + R"(","method":"POST","url":"/v1/completions","body":{)" +
                         request + "}}\n"
                   : "{\"id\":" + id + "," + request + "}\n";
    }
    folder.write("in", in);
    const std::string run = "'" DS_BIN_DIR "/ds-run' " + kTinyModel + " --jsonl -q ";
    const std::string whole = bash(run + "--concurrency 1 < in").out;
    const auto want = sorted(lines_of(whole));
    REQUIRE(want.size() == 90);
    for (const std::string order : {"--unordered ", ""}) {
      CAPTURE(openai);
      CAPTURE(order);
      bash("rm -f out out.run");
      const std::string command = run + order + "--resume out";
      CHECK(killed(command, "9", 8).rc == 137);
      CHECK(killed(command, "TERM", 25).rc == 75);
      CHECK(killed(command, "9", 50).rc == 137);
      CHECK(bash(command + " < in").rc == 0);
      const std::string out = file_bytes(folder.path() + "/out");
      CHECK(sorted(lines_of(out)) == want);
      if (order.empty()) CHECK(out == whole);
    }
  }
}

TEST_CASE("memory does not grow with the number of records") {
  const auto peak = [](int n) {
    std::string in;
    for (int i = 0; i < n; ++i)
      in += "{\"prompt\":\"What is " + std::to_string(i) + "+7?\",\"max_tokens\":2}\n";
    const ProgramResult r = answer(kTinyModel, in);
    CHECK(lines_of(r.out).size() == static_cast<size_t>(n));
    return r.peak_rss_bytes;
  };
  const int64_t few = peak(200), many = peak(2000);
  CHECK(many < few + (3 << 20));
}

TEST_CASE("--concurrency and --unordered belong to answers to records") {
  for (const char* n : {"0", "-1", "many", "2000"})
    CHECK(answer(kTinyModel, "", {"--concurrency", n}).rc == 2);
  CHECK(run_program("ds-run", {kTinyModel, "hi", "--concurrency", "2"}).rc == 2);
  CHECK(run_program("ds-run", {kTinyModel, "hi", "--unordered"}).rc == 2);
  const std::string plan = run_program("ds-run", {kTinyModel, "--plan", "--concurrency", "5"}).out;
  CHECK(plan.find("5 records, which share 20480 tokens of cache") != std::string::npos);
}
