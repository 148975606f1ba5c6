// ds-run, one question: where prompts come from, what is printed where.
#include <doctest/doctest.h>

#include <cstdlib>

#include "core/json_value.h"
#include "core/utf8.h"
#include "io/json.h"
#include "run_program.h"

using namespace ds;

namespace {

ProgramResult ask(std::vector<std::string> arguments, ProgramOptions options = {}) {
  arguments.insert(arguments.begin(), kTinyModel);
  return run_program("ds-run", arguments, options);
}
ProgramResult ask_piped(std::vector<std::string> arguments, const std::string& in) {
  ProgramOptions options;
  options.in = in;
  return ask(std::move(arguments), options);
}

}  // namespace

TEST_CASE("a question as argument: the answer and one line feed on stdout, reasoning on stderr") {
  const ProgramResult r = ask({"What is 62*7?"});
  CHECK(r.rc == 0);
  CHECK(r.out == "434\n");
  CHECK(r.err.find("42+1=43") != std::string::npos);    // what the model thought
  CHECK(r.err.find("threads (") != std::string::npos);  // the choice is printed
  CHECK(r.err.find("\x1b[") == std::string::npos);      // no colour in a pipe
}

TEST_CASE("prompts: argument, -p, stdin, -f FILE, -f -") {
  const TemporaryFolder folder;
  const std::string file = folder.write("question.txt", "What is 62*7?\n");
  CHECK(ask({"-p", "What is 62*7?"}).out == "434\n");
  CHECK(ask_piped({}, "What is 62*7?\n").out == "434\n");
  CHECK(ask_piped({}, "What is 62*7?").out == "434\n");
  CHECK(ask({"-f", file}).out == "434\n");
  CHECK(ask_piped({"-f", "-"}, "What is 62*7?\n").out == "434\n");
  const ProgramResult both = ask({"a", "-p", "b"});
  CHECK(both.rc == 2);
  CHECK(both.out.empty());
}

TEST_CASE("argument plus piped text is instruction, blank line, text") {
  TemporaryFolder folder;
  const std::string out = folder.path() + "/o.jsonl";
  // The prompt's length tells: the same text given whole has as many tokens.
  const ProgramResult joined =
      ask_piped({"Where does Anna live?", "--json", "-n", "4"}, "Anna lives in Rome.\n");
  const ProgramResult whole = ask({"Where does Anna live?\n\nAnna lives in Rome.", "--json", "-n", "4"});
  CHECK(joined.rc == 0);
  CHECK(joined.out == whole.out);
}

TEST_CASE("no prompt, empty stdin, closed stdin: a usage error at once") {
  CHECK(ask_piped({}, "").rc == 2);
  CHECK(ask_piped({}, " \n\n").rc == 2);
  CHECK(ask_piped({""}, "").rc == 2);
  ProgramOptions closed;
  closed.close_stdin = true;
  const ProgramResult r = ask({}, closed);
  CHECK(r.rc == 2);
  CHECK(r.out.empty());
  CHECK(r.err.find("no prompt") != std::string::npos);
  CHECK(ask({"What is 62*7?"}, closed).out == "434\n");
}

TEST_CASE("--raw continues text, exactly") {
  const ProgramResult r = ask({"--raw", "-p", "Question: 3+4?\nAnswer:", "--quiet"});
  CHECK(r.rc == 0);
  CHECK(r.out.find('\n') == std::string::npos);
  CHECK(r.out.find('7') != std::string::npos);
  CHECK(r.err.empty());
}

TEST_CASE("reasoning goes to --think-out, or nowhere with --quiet") {
  const TemporaryFolder folder;
  const std::string thoughts = folder.path() + "/thoughts.txt";
  const ProgramResult r = ask({"What is 62*7?", "--think-out", thoughts, "--quiet"});
  CHECK(r.out == "434\n");
  CHECK(r.err.empty());
  CHECK(file_bytes(thoughts) == "7*2=14, 7*6=42, 42+1=43\n");
  CHECK(ask({"What is 62*7?", "--quiet"}).err.empty());
  CHECK(ask({"hi", "--think-out", "/no/such/folder/x"}).rc == 73);
  CHECK(ask({"What is 62*7?", "--think-out", "/dev/null"}).rc == 0);
}

TEST_CASE("--think and --no-think use the template's switch; a template without one is a usage error") {
  const TemporaryFolder folder;
  const std::string plain = folder.write("plain.jinja", "{{ messages[0]['content'] }}");
  CHECK(ask({"hi", "--think"}).rc == 0);
  CHECK(ask({"hi", "--no-think"}).rc == 0);
  CHECK(ask({"hi", "--think", "--no-think"}).rc == 2);
  const ProgramResult r = ask({"hi", "--no-think", "--chat-template", plain});
  CHECK(r.rc == 2);
  CHECK(r.err.find("no switch") != std::string::npos);
}

TEST_CASE("generation stops at --max-tokens, --stop and the end of the context") {
  using ds::io::parse_json;
  const auto record = [](const ProgramResult& r) { return parse_json(r.out, "ds-run"); };
  const ds::Json cut = record(ask({"Why is the sky blue?", "--json", "-n", "5"}));
  CHECK(as_string(*find(cut, "finish_reason")) == "length");
  CHECK(as_int(*find(*find(cut, "usage"), "completion_tokens")) == 5);
  const std::string whole = ask({"Why is the sky blue?"}).out;
  CHECK(ask({"Why is the sky blue?", "--stop", "light", "--stop", "colours"}).out ==
        "Sun" + std::string("\n"));
  const ds::Json stopped = record(ask({"Why is the sky blue?", "--json", "--stop", " the air"}));
  CHECK(as_string(*find(stopped, "finish_reason")) == "stop");
  CHECK(whole.find(as_string(*find(stopped, "text"))) == 0);
  const ds::Json full = record(ask({"Why is the sky blue?", "--json", "--ctx", "16"}));
  CHECK(as_string(*find(full, "finish_reason")) == "length");
  CHECK(as_int(*find(*find(full, "usage"), "total_tokens")) == 16);
  const ProgramResult too_long = ask({"Why is the sky blue?", "--ctx", "4"});
  CHECK(too_long.rc == 65);
  CHECK(too_long.err.find("context of 4") != std::string::npos);
}

TEST_CASE("UTF-8 is never cut: every piece the program wrote is whole characters") {
  const std::string out = ask({"什么是混合专家模型?", "--quiet"}).out;
  CHECK(out.size() > 30);
  CHECK(ds::find_invalid_utf8(out) == std::string::npos);
  for (int n = 1; n < 12; ++n) {
    const std::string cut = ask({"什么是混合专家模型?", "--quiet", "-n", std::to_string(n)}).out;
    CHECK(ds::find_invalid_utf8(cut) == std::string::npos);
  }
}

TEST_CASE("the same bits for any number of threads; a seed fixes sampled answers") {
  const std::vector<std::string> greedy = {"Why is the sky blue?", "--json", "--ids", "--temperature", "0"};
  const std::vector<std::string> sampled = {"你好", "--json", "--ids", "--temperature", "1.5", "--seed", "7"};
  for (std::vector<std::string> arguments : {greedy, sampled}) {
    const std::string once = ask(arguments).out;
    for (const char* threads : {"1", "2", "3", "8"}) {
      std::vector<std::string> more = arguments;
      more.insert(more.end(), {"--threads", threads});
      CHECK(ask(more).out == once);
    }
  }
  std::vector<std::string> other = sampled;
  other.back() = "8";
  CHECK(ask(other).out != ask(sampled).out);
}

TEST_CASE("a system prompt reaches the model") {
  const auto n_prompt = [](const ProgramResult& r) {
    return as_int(*find(*find(ds::io::parse_json(r.out, "ds-run"), "usage"), "prompt_tokens"));
  };
  CHECK(n_prompt(ask({"hi", "--json"})) < n_prompt(ask({"hi", "--json", "-s", "Be brief."})));
}

TEST_CASE("--timings: a line per answer; - puts it on stdout in place of the answer") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/t.jsonl";
  CHECK(ask({"What is 62*7?", "--timings", path}).out == "434\n");
  const ds::Json line = ds::io::parse_json(file_bytes(path), path);
  CHECK(as_int(*find(line, "completion_tokens")) == static_cast<int64_t>(find(line, "token_ns")->size()));
  CHECK(as_int(*find(line, "ttft_ns")) > 0);
  const ProgramResult r = ask({"What is 62*7?", "--timings", "-"});
  CHECK(lines_of(r.out).size() == 1);
  CHECK(as_int(*find(ds::io::parse_json(r.out, "stdout"), "ttft_ns")) > 0);
}

TEST_CASE("options come from DS_<FLAG> too") {
  ProgramOptions options;
  options.environment = {"DS_MAX_TOKENS=3"};
  const ProgramResult r = ask({"Why is the sky blue?", "--json"}, options);
  CHECK(as_int(*find(*find(ds::io::parse_json(r.out, "ds-run"), "usage"), "completion_tokens")) == 3);
  options.environment = {"DS_TEMPERATURE=hot"};
  const ProgramResult bad = ask({"hi"}, options);
  CHECK(bad.rc == 2);
  CHECK(bad.err.find("DS_TEMPERATURE") != std::string::npos);
}

TEST_CASE("--plan prints the plan and reads no prompt; what cannot fit is refused with the numbers") {
  const ProgramResult r = ask({"--plan"});
  CHECK(r.rc == 0);
  for (const char* word : {"weights", "context", "cache", "per token", "threads", "kernels"})
    CHECK(r.out.find(word) != std::string::npos);
  const ds::Json json = ds::io::parse_json(ask({"--plan", "--json", "--ctx", "100"}).out, "plan");
  CHECK(as_int(*find(json, "cache_bytes_per_token")) ==
        4 * (64 + 16) * 4);  // 4 layers of latent and rope key
  CHECK(as_int(*find(json, "ctx_tokens")) == 100);
  const ds::Json half =
      ds::io::parse_json(ask({"--plan", "--json", "--ctx", "100", "--cache-type", "bf16"}).out, "plan");
  CHECK(as_int(*find(half, "cache_bytes")) * 2 == as_int(*find(json, "cache_bytes")));
  CHECK(*find(half, "cache_type") == "bf16");
  CHECK(ask({"--plan", "--cache-type", "f16"}).rc == 2);
  CHECK(ask({"--plan", "--ctx", "5000"}).rc == 2);
  const ProgramResult scalar = ask({"--plan", "--isa", "scalar"});
  CHECK(scalar.out.find("scalar") != std::string::npos);
  CHECK(ask({"--plan", "--isa", "sse9"}).rc == 2);
}

TEST_CASE("peak memory is mapped weights, planned cache and at most 150 MB") {
  const ds::Json plan = ds::io::parse_json(ask({"--plan", "--json"}).out, "plan");
  const ProgramResult r = ask({"Why is the sky blue?"});
  CHECK(r.peak_rss_bytes <
        as_int(*find(plan, "weight_file_bytes")) + as_int(*find(plan, "cache_bytes")) + 150'000'000);
}

TEST_CASE("--help teaches, --version tells the levels, --man and --completion come from the same table") {
  const ProgramResult help = run_program("ds-run", {"--help"});
  CHECK(help.rc == 0);
  for (const char* word : {"--max-tokens", "--score", "Exit codes", "DS_", "ds-run MODEL"})
    CHECK(help.out.find(word) != std::string::npos);
  const ProgramResult version = run_program("ds-run", {"--version"});
  for (const char* word : {"avx2", "amx", "cuda"}) CHECK(version.out.find(word) != std::string::npos);
  CHECK(run_program("ds-run", {"--man"}).out.find(".TH") == 0);
  CHECK(run_program("ds-run", {"--completion", "bash"}).out.find("--think-out") != std::string::npos);
}

TEST_CASE("text that a question swallows from stdin is told, the more so in a shell loop") {
  const TemporaryFolder folder;
  const std::string path = folder.write("lines", "What is 62*7?\nWhat is 1+1?\n");
  const std::string run = DS_BIN_DIR "/ds-run " + kTinyModel + " -n 2 ";
  const auto stderr_of = [&](const std::string& command) {
    const std::string err = folder.path() + "/err";
    REQUIRE(std::system(("bash -c '" + command + "' >/dev/null 2>" + err).c_str()) == 0);
    return file_bytes(err);
  };
  const std::string loop = "while read -r line; do " + run + "\"$line\"; done < " + path;
  CHECK(stderr_of(loop).find("13 bytes from stdin, which others have begun to read") != std::string::npos);
  CHECK(stderr_of(run + "\"What?\" < " + path).find("27 bytes from stdin\n") != std::string::npos);
  CHECK(stderr_of(run + "\"What?\" < /dev/null").find("from stdin") == std::string::npos);
}
