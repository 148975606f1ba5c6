// What every tool does before and after its work: help, man pages, completions, typing errors, variables,
// exit codes, two runs to one output.
#include <doctest/doctest.h>
#include <signal.h>

#include <filesystem>

#include "skip.h"
#include "tools/run_program.h"

namespace {

namespace fs = std::filesystem;
using Args = std::vector<std::string>;

const std::vector<std::string> kTools = {"ds-bench", "ds-filter", "ds-finetune", "ds-quantize", "ds-run"};

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

ProgramResult bash(const std::string& script, const std::vector<std::string>& environment = {}) {
  ProgramOptions options;
  options.environment = environment;
  return run_program("/bin/bash", {"-c", "PATH=" DS_BIN_DIR ":$PATH; " + script}, options);
}

// "" for the tool itself, then its commands.
Args commands_of(const std::string& tool) {
  Args out{""};
  bool in_list = false;
  for (const std::string& line : lines_of(run_program(tool, {"--help"}).out)) {
    if (in_list && line.empty()) break;
    if (in_list && line[2] != ' ') out.push_back(line.substr(2, line.find(' ', 2) - 2));
    in_list |= line.starts_with("Commands");
  }
  return out;
}

size_t columns_of(const std::string& line) {
  size_t n = 0;
  for (const char c : line) n += (c & 0xC0) != 0x80;
  return n;
}

}  // namespace

TEST_CASE("--help of every tool and command is as wide as it is told, and has examples") {
  for (const std::string& tool : kTools) {
    for (const std::string& command : commands_of(tool)) {
      for (const int columns : {60, 80, 100, 120}) {
        ProgramOptions options;
        options.environment = {"COLUMNS=" + std::to_string(columns)};
        const ProgramResult r =
            run_program(tool, command.empty() ? Args{"--help"} : Args{command, "--help"}, options);
        CHECK(r.rc == 0);
        CAPTURE(tool);
        CAPTURE(command);
        CHECK(holds(r.out, "\nExamples:\n  "));
        for (const std::string& line : lines_of(r.out)) {
          CAPTURE(line);
          CHECK(columns_of(line) <= static_cast<size_t>(columns));
        }
      }
    }
    CHECK(holds(run_program(tool, {"--help"}).out, "130"));
  }
  CHECK(commands_of("ds-bench").size() == 1 + 9);
  CHECK(commands_of("ds-filter").size() == 1 + 7);
}

TEST_CASE("options stand under headings in the help of every tool that has many") {
  for (const char* tool : {"ds-filter", "ds-quantize", "ds-run"}) {
    const std::string help = run_program(tool, {"--help"}).out;
    size_t n_in_a_row = 0;
    for (const std::string& line : lines_of(help)) {
      n_in_a_row = line.empty() ? 0 : n_in_a_row + line.starts_with("  -");
      CAPTURE(line);
      CHECK(n_in_a_row <= 12);
    }
  }
  CHECK(holds(run_program("ds-quantize", {"--help"}).out, "MiB or GiB [5GB]"));
}

TEST_CASE("a number that 64 bits do not hold is refused, not cut") {
  const std::string long_number = "99999999999999999999";
  for (const Args& words :
       {Args{"ds-run", "M", "hi", "--seed"}, Args{"ds-run", "M", "hi", "-n"},
        Args{"ds-bench", "run", "M", "--seed"}, Args{"ds-filter", "tune", "x", "--sample"}}) {
    Args rest(words.begin() + 1, words.end());
    rest.push_back(long_number);
    const ProgramResult r = run_program(words[0], rest);
    CHECK(r.rc == 2);
    CAPTURE(r.err);
    CHECK(holds(r.err, long_number));
    CHECK(holds(r.err, "at most 9223372036854775807"));
  }
  ProgramOptions options;
  options.environment = {"DS_SEED=" + long_number};
  CHECK(run_program("ds-run", {"M", "hi"}, options).rc == 2);
  CHECK(run_program("ds-run", {kTinyModel, "hi", "-n", "1", "--seed", "9223372036854775807"}).rc == 0);
}

TEST_CASE("examples on a narrow terminal: what they do below them, and commands that a shell still reads") {
  ProgramOptions options;
  options.environment = {"COLUMNS=60"};
  const std::string run = run_program("ds-run", {"--help"}, options).out;
  CHECK(holds(run, "\n  ds-run MODEL 'Why is the sky blue?'\n      one question, the answer on stdout\n"));
  CHECK(holds(run, "\n  git diff | ds-run MODEL 'Say what changed'\n"));  // has room
  CHECK(holds(run, " \\\n      < questions.txt"));
}

TEST_CASE("man pages have the sections that people look for") {
  for (const std::string& tool : kTools) {
    const std::string page = run_program(tool, {"--man"}).out;
    for (const char* section : {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "ENVIRONMENT",
                                "EXIT STATUS", "SEE ALSO"}) {
      CAPTURE(section);
      CHECK(holds(page, std::string(".SH ") + section + "\n"));
    }
  }
}

TEST_CASE("--version names commit and features; a full disk is exit 74") {
  for (const std::string& tool : kTools) {
    const std::string text = run_program(tool, {"--version"}).out;
    for (const char* word : {"commit:", "features:", "zstd", "levels:"}) CHECK(holds(text, word));
    for (const char* flag : {"--version", "--help", "--man"}) {
      ProgramOptions full;
      full.stdout_path = "/dev/full";
      CHECK(run_program(tool, {flag}, full).rc == 74);
    }
  }
}

TEST_CASE("typing errors: the guilty word, and what may have been meant") {
  const auto err = [](const std::string& tool, const Args& args) {
    const ProgramResult r = run_program(tool, args);
    CHECK(r.rc == 2);
    CHECK(r.out.empty());
    return r.err;
  };
  CHECK(holds(err("ds-run", {kTinyModel, "hi", "--max-token", "3"}), "did you mean --max-tokens?"));
  CHECK(holds(err("ds-run", {kTinyModel, "hi", "--isa", "avx"}), "did you mean avx2?"));
  CHECK(holds(err("ds-quantize", {kTinyModel, "-o", "x", "--to", "fp9"}), "'fp9'"));
  CHECK(holds(err("ds-quantize", {kTinyModel, "-o", "x", "--to", "fp9"}), "did you mean fp8?"));
  CHECK(holds(err("ds-bench", {"stast", "x"}), "unknown command 'stast'; did you mean stats?"));
  CHECK(holds(err("ds-filter", {"explian", "x", "--id", "3"}),
              "unknown command 'explian'; did you mean explain?"));
  CHECK(holds(err("ds-bench", {"stats", "--widht", "80"}), "did you mean --width?"));
  CHECK_FALSE(holds(err("ds-run", {kTinyModel, "hi", "--zzzzzz"}), "did you mean"));
  // Neighbours swapped are one slip, the first of equally near names is meant, a beginning is enough.
  CHECK(holds(err("ds-bench", {"rnu", "--cmd", "true"}), "did you mean run?"));
  CHECK(holds(err("ds-bench", {"stats", "--max-tokens=3"}), "unknown option --max-tokens"));
  CHECK_FALSE(holds(err("ds-bench", {"stats", "--max-tokens=3"}), "--max-tokens=3"));
  CHECK(holds(err("ds-bench", {"stats", "--percentile-m", "hdr"}), "did you mean --percentile-method?"));
  for (const char* unlike : {"xyzzy", "foo", "zz"})
    CHECK_FALSE(holds(err("ds-bench", {unlike}), "did you mean"));
  CHECK_FALSE(holds(err("ds-bench", {"evil-reports"}), "did you mean"));
  CHECK(holds(run_program("ds-filter", {"explian"}).err, "did you mean the command explain?"));
  CHECK_FALSE(holds(run_program("ds-filter", {"/no/such/file"}).err, "did you mean"));
  ProgramOptions garbage;
  garbage.in = "nonsense\n";
  CHECK_FALSE(holds(run_program("ds-bench", {"stats", "-"}, garbage).err,
                    "did you mean"));  // of a word that is missing
  // In the order typed, whatever their number.
  CHECK(holds(err("ds-run", {kTinyModel, "Why", "is", "the", "sky", "blue?"}), "'Why is the sky blue?'"));
  CHECK(holds(err("ds-quantize", {"My", "new", "Model", "-o", "x"}), "'My new Model'"));
  // Without a model the sentence begins one word earlier.
  CHECK(holds(err("ds-run", {"Why", "is", "the", "sky", "blue?"}),
              "needs quotes: MODEL 'Why is the sky blue?'"));
  ProgramOptions model;
  model.environment = {"DS_MODEL=" + kTinyModel};
  CHECK(
      holds(run_program("ds-run", {"Why", "is", "the", "sky"}, model).err, "needs quotes: 'Why is the sky'"));
}

TEST_CASE("values that are none are refused in the words of a person") {
  const auto says = [](const Args& args, const std::string& text) {
    const ProgramResult r = run_program(args[0], Args(args.begin() + 1, args.end()));
    CAPTURE(r.err);
    CHECK(r.rc == 2);
    CHECK(holds(r.err, text));
  };
  says({"ds-run", kTinyModel, "hi", "--threads", "abc"}, "--threads: 'abc' is no number from 0 to 4096");
  says({"ds-filter", "x", "--max-bad", "2"}, "--max-bad: '2' is no number from 0 to 1\n");
  says({"ds-run", kTinyModel, "hi", "--seed", "-1"}, "--seed: '-1' is no number from 0 up\n");
  says({"ds-quantize", "M", "--max-shard-size", "0"}, "--max-shard-size: '0' is no number above 0\n");
  says({"ds-run", kTinyModel, "hi", "--temperature", "hot"}, "--temperature: 'hot' is no number\n");
  says({"ds-bench", "run", "M", "-c", "1,b"}, "--concurrency: '1,b' is no list of numbers\n");
  says({"ds-run", kTinyModel, "hi", "--threads"}, "--threads needs a value: N\n");
  ProgramOptions quiet;
  quiet.environment = {"DS_QUIET=maybe"};
  CHECK(holds(run_program("ds-run", {kTinyModel, "hi"}, quiet).err,
              "--quiet: 'maybe' is neither true nor false"));
}

TEST_CASE("no record at all: done, and said") {
  for (const Args& args : {Args{"ds-run", kTinyModel, "--jsonl"}, Args{"ds-run", kTinyModel, "--score"},
                           Args{"ds-run", kTinyModel, "--render"}, Args{"ds-filter"}}) {
    const ProgramResult r = run_program(args[0], Args(args.begin() + 1, args.end()));
    CHECK(r.rc == 0);
    CHECK(r.out.empty());
    CHECK(holds(r.err, args[0] == "ds-run" ? "0 records read" : "read 0 records"));
  }
}

TEST_CASE("what is no JSONL is named, and how to make it") {
  const TemporaryFolder work;
  const std::string zip = work.write("a.zip", "PK\x03\x04 and so on\nmore\n"),
                    object = work.write("a.json", "{\n  \"id\": 1,\n  \"prompt\": \"hi\"\n}\n");
  for (const Args& args :
       {Args{"ds-run", kTinyModel, "--jsonl"}, Args{"ds-filter"}, Args{"ds-bench", "stats"}}) {
    Args words(args.begin() + 1, args.end());
    words.push_back(zip);
    ProgramResult r = run_program(args[0], words);
    CHECK(r.rc == 65);
    CHECK(holds(r.err, "this is a zip archive"));
    words.back() = object;
    r = run_program(args[0], words);
    CHECK(r.rc == 65);
    CHECK(r.out.empty());
    CHECK(holds(r.err, "a JSON object over several lines"));
    CHECK(holds(r.err, "jq -c . FILE"));
  }
}

TEST_CASE("a variable that is wrong is named; one of another command changes nothing") {
  const auto run = [](const std::string& tool, const Args& args, const std::string& variable) {
    ProgramOptions options;
    options.environment = {variable};
    return run_program(tool, args, options);
  };
  for (const char* variable :
       {"DS_ISA=sse9", "DS_CTX=-5", "DS_PROMPT=there is one already", "DS_THREADS=many"}) {
    const ProgramResult r = run("ds-run", {kTinyModel, "hi"}, variable);
    CAPTURE(variable);
    CHECK(r.rc == 2);
    CHECK(holds(r.err, variable));
    CHECK(holds(r.err, "environment"));
  }
  // Nothing that a variable may be called turns the work into a page of text.
  for (const char* variable : {"DS_VERSION=1", "DS_HELP=1", "DS_MAN=1", "DS_COMPLETION=bash",
                               "DS_COMPLETION=nonsense", "DS_VERSION=maybe", "DS_DS_RUN=1", "DS_=x"})
    CHECK(run("ds-bench", {"plan", "--detect", "p90:5%"}, variable).out ==
          run_program("ds-bench", {"plan", "--detect", "p90:5%"}).out);
  // A dash of an option is an underscore; the word behind "--" is none of ours.
  CHECK(holds(run("ds-bench", {"plan", "-n", "2"}, "DS_OUTPUT_TOKENS=77").out, "\"max_tokens\":77"));
  CHECK(run_program("ds-run", {kTinyModel, "-q", "-n", "2", "--", "--version"}).out !=
        run_program("ds-run", {"--version"}).out);
  // --baseline of drift is a share, that of eval a file; --window belongs to eval alone.
  const Args doctor = {"plan", "--detect", "p90:5%"};
  CHECK(run("ds-bench", doctor, "DS_BASELINE=no number").rc == 0);
  CHECK(run("ds-bench", doctor, "DS_WINDOW=no number").rc == 0);
  CHECK(run("ds-bench", doctor, "DS_SKIP_CUDA_CHECK=1").rc == 0);
}

TEST_CASE("help says ranges, choices, defaults and variables in words, and fills its lines") {
  const std::string run = run_program("ds-run", {"--help"}).out,
                    bench = run_program("ds-bench", {"run", "--help"}).out;
  const auto flat = [](const std::string& text) {  // lines joined again
    std::string out;
    for (const char c : text)
      if (c != ' ' && c != '\n')
        out += c;
      else if (!out.empty() && out.back() != ' ')
        out += ' ';
    return out;
  };
  CHECK(holds(flat(run), "auto, scalar, avx2, avx512 or amx [auto]"));
  CHECK(holds(flat(run), "0 to 4096"));
  CHECK(holds(flat(bench), "0 or more"));
  CHECK_FALSE(holds(run, "NONNEGATIVE"));
  CHECK_FALSE(holds(bench, "POSITIVE"));
  // A default stands once, also where the text says it.
  for (const std::string& tool : kTools)
    for (const std::string& command : commands_of(tool)) {
      ProgramOptions wide;
      wide.environment = {"COLUMNS=400"};
      const std::string text =
          run_program(tool, command.empty() ? Args{"--help"} : Args{command, "--help"}, wide).out;
      for (const std::string& line : lines_of(text)) {
        CAPTURE(line);
        const size_t end = line.rfind(']');
        if (end != std::string::npos && end + 1 == line.size() && line.starts_with("  -")) {
          const size_t first = line.find(" ["), last = line.rfind(" [");
          CHECK((first == last || line.find(']', first) > last));
        }
      }
    }
  // Of the texts beside the options no line is too long, and none could have taken the next one's first word.
  constexpr size_t kTexts = 27;
  ProgramOptions narrow;
  int n_folded = 0;
  for (const int columns : {50, 57, 60, 63, 71, 80, 99}) {
    narrow.environment = {"COLUMNS=" + std::to_string(columns)};
    const auto lines = lines_of(run_program("ds-run", {"--help"}, narrow).out);
    for (size_t i = 1; i < lines.size(); ++i) {
      const auto is_text = [](const std::string& l) {
        return l.size() > kTexts && l[kTexts - 1] == ' ' && l[kTexts] != ' ';
      };
      const std::string &before = lines[i - 1], &line = lines[i];
      if (!is_text(line) || line.find_first_not_of(' ') != kTexts || !is_text(before)) continue;
      ++n_folded;
      CAPTURE(line);
      CHECK(columns_of(line) <= static_cast<size_t>(columns));
      CHECK(columns_of(before) <= static_cast<size_t>(columns));
      CHECK(columns_of(before) + 1 + columns_of(line.substr(kTexts, line.find(' ', kTexts) - kTexts)) >
            static_cast<size_t>(columns));
    }
  }
  CHECK(n_folded > 100);
  narrow.environment = {"COLUMNS=0"};
  CHECK(run_program("ds-run", {"--help"}, narrow).out == run_program("ds-run", {"--help"}).out);
}

TEST_CASE("threads are chosen and counted; the command line stands in the page as a shell would read it") {
  for (const auto& [n, said] : {std::pair("1", "1 thread (--threads)"), {"2", "2 threads (--threads)"}})
    CHECK(holds(run_program("ds-quantize", {kTinyModel, "--dry-run", "--threads", n}).err, said));
  const TemporaryFolder folder;
  const std::string page = folder.path() + "/it's a page";
  CHECK(run_program("ds-quantize", {kTinyModel, "-o", folder.path() + "/plain", "-q", "--html", page}).rc ==
        0);
  std::string text = file_bytes(page);
  for (const auto& [escape, c] : {std::pair("&#39;", "'"), {"&quot;", "\""}, {"&amp;", "&"}})
    for (size_t at = 0; (at = text.find(escape)) != std::string::npos;)
      text.replace(at, std::string(escape).size(), c);
  CHECK(holds(text, "ds-quantize " + kTinyModel + " -o " + folder.path() + "/plain -q --html '" +
                        folder.path() + "/it'\\''s a page'"));
}

TEST_CASE("completions know commands, values, and folders with spaces") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() + "/My Model");
  fs::create_directory(folder.path() + "/My Other");
  const std::string begin =
      "cd '" + folder.path() +
      "'; for t in run bench quantize filter; do eval \"$(ds-$t --completion bash)\"; done; "
      "comp() { COMP_WORDS=(\"${@:2}\"); COMP_CWORD=$(($# - 2)); COMPREPLY=(); $1; "
      "printf '[%s]\\n' \"${COMPREPLY[@]}\" | sort | tr -d '\\n'; }; ";
  const auto complete = [&](const std::string& words) { return bash(begin + "comp " + words).out; };
  CHECK(complete("_ds_run ds-run 'My M'") == "[My Model]");
  CHECK(complete("_ds_run ds-run My") == "[My Model][My Other]");
  CHECK(complete("_ds_bench ds-bench st") == "[stats]");
  CHECK(complete("_ds_bench ds-bench stats --w") == "[--width]");
  CHECK(complete("_ds_bench ds-bench run --isa avx") == "[avx2][avx512]");
  CHECK(complete("_ds_quantize ds-quantize M --to b") == "[bf16]");
  CHECK(complete("_ds_quantize ds-quantize M --to gguf : q") == "[q4_0][q4_k][q6_k][q8_0]");
  CHECK(complete("_ds_run ds-run M --weights = m") == "[map]");
  CHECK(complete("_ds_run ds-run M --temperature ''") == "[]");
  CHECK(complete("_ds_bench ds-bench stats --asc") == "[--ascii]");
  CHECK(complete("_ds_filter ds-filter explain --stag") == "[--stages]");  // the tool's own follow a command
  CHECK(complete("_ds_bench ds-bench compare --gat") == "[--gate]");
  CHECK(complete("_ds_bench ds-bench --gat") == "[]");
  CHECK(complete("_ds_bench ds-bench stats x --isa a") == "[]");
  CHECK(complete("_ds_run ds-run -").find("[-q]") == std::string::npos);  // long names only
}

TEST_CASE("zsh takes its completion scripts") {
  if (bash("command -v zsh").rc != 0) return ds::test::skip_test("zsh is not installed");
  for (const std::string& tool : kTools)
    CHECK_MESSAGE(bash("zsh -n <(" + tool + " --completion zsh)").rc == 0, tool);
}

TEST_CASE("fish takes its completion scripts, and completes by them") {
  if (bash("command -v fish").rc != 0) return ds::test::skip_test("fish is not installed");
  for (const std::string& tool : kTools)
    CHECK_MESSAGE(bash("fish --no-execute <(" + tool + " --completion fish)").rc == 0, tool);
  const TemporaryFolder folder;
  CHECK(bash("cd '" + folder.path() +
             "'; ds-bench --completion fish > f; fish --no-config -c \"source f; complete -C 'ds-bench "
             "sta'\" | cut -f1")
            .out == "stats\n");
}

TEST_CASE("two runs to one output: the second is refused by name, the first one's file is its own") {
  const TemporaryFolder folder;
  // The first run's command waits, with the file open.
  const ProgramResult r =
      bash("cd '" + folder.path() +
           "'; ds-bench run --cmd 'until [ -e go ]; do sleep 0.02; done' --shell -n 2 -q "
           "--no-overhead -o r.jsonl & "
           "until [ -e r.jsonl.partial ]; do sleep 0.01; done; "
           "ds-bench run --cmd true -n 3 -q --no-overhead -o r.jsonl; echo second $?; "
           "touch go; wait $!; echo first $?; grep -c '\"type\":\"request\"' r.jsonl; ls");
  CHECK(holds(r.err, "r.jsonl.partial"));
  CHECK(holds(r.err, "another run"));
  CHECK(holds(r.out, "second 73"));
  CHECK(holds(r.out, "first 0"));
  CHECK_FALSE(holds(r.out, ".partial"));
}

TEST_CASE("two conversions to one folder: one works, the other is refused and touches nothing") {
  const TemporaryFolder folder;
  const ProgramResult r = bash("cd '" + folder.path() + "'; for i in 1 2 3; do (ds-quantize " + kTinyModel +
                               " -o out -q 2> err$i; echo $? > rc$i) & done; wait; cat rc*; cat err*; "
                               "ds-quantize " +
                               kTinyModel + " --verify out -q; echo verify $?");
  // One is done; the others found it at work, or complete.
  CHECK(holds(r.out, "verify 0"));
  const auto rcs = lines_of(r.out);
  REQUIRE(rcs.size() > 3);
  int n_done = 0;
  for (int i = 0; i < 3; ++i) {
    CHECK((rcs[i] == "0" || rcs[i] == "73"));
    n_done += rcs[i] == "0";
  }
  CHECK(n_done == 1);
}

TEST_CASE("a report that cannot be made is found out before the work") {
  const TemporaryFolder folder;
  const std::string absent = folder.path() + "/absent/x";
  for (const char* flag : {"--report", "--html"}) {
    CHECK(run_program("ds-quantize", {kTinyModel, "-o", folder.path() + "/out", flag, absent}).rc == 73);
    CHECK_FALSE(fs::exists(folder.path() + "/out"));
  }
  // A name that only begins like the output's is no place inside it.
  CHECK(run_program("ds-quantize",
                    {kTinyModel, "-o", folder.path() + "/out", "--report", folder.path() + "/out-absent/x"})
            .rc == 73);
  CHECK_FALSE(fs::exists(folder.path() + "/out"));
  for (const char* flag : {"--bad-lines", "--timings"}) {
    ProgramOptions options;
    options.in = "{\"prompt\":\"hi\"}\n";
    const ProgramResult r = run_program("ds-run", {kTinyModel, "--jsonl", flag, absent}, options);
    CHECK(r.rc == 73);
    CHECK(r.out.empty());
  }
  ProgramOptions texts;
  texts.in = "{\"text\":\"hi\"}\n";
  CHECK(run_program("ds-run", {kTinyModel, "--score", "--logits", absent}, texts).rc == 73);
}

TEST_CASE("SIGINT: work ends with 75 whichever signal it was, an answer with 130") {
  for (const int signal : {SIGINT, SIGTERM}) {
    ProgramOptions options;
    for (int i = 0; i < 2000; ++i) options.in += "{\"prompt\":\"Why is the sky blue?\"}\n";
    options.on_first_line = [signal](int pid) { ::kill(pid, signal); };
    CHECK(run_program("ds-run", {kTinyModel, "--jsonl"}, options).rc == 75);
  }
  // SIGUSR1, too: what a queue sends before it takes the machine away.
  ProgramOptions queue;
  for (int i = 0; i < 2000; ++i) queue.in += "{\"prompt\":\"Why is the sky blue?\"}\n";
  queue.on_first_line = [](int pid) { ::kill(pid, SIGUSR1); };
  CHECK(run_program("ds-run", {kTinyModel, "--jsonl"}, queue).rc == 75);
  // Asked twice, a program ends at once, by the signal.
  CHECK(bash("ds-bench doctor --serve 0 -q & P=$!; sleep 0.3; kill -TERM $P; kill -USR1 $P; wait $P; echo $?")
            .out > "128\n");
  CHECK(bash("ds-bench doctor --serve 0 -q & P=$!; sleep 0.3; kill -TERM $P; wait $P; echo $?").out == "0\n");
  ProgramOptions answer;
  answer.on_first_line = [](int pid) { ::kill(pid, SIGINT); };
  // Text without an end: lines keep coming until somebody stops them.
  const ProgramResult r = run_program(
      "ds-run", {kTinyModel, "--raw", "-p", "1\n2\n3\n4\n", "-n", "100000", "--stop", "\x01"}, answer);
  CHECK((r.rc == 130 || r.rc == 0));
}

TEST_CASE("DS_MODEL is the model of a command that names none; a lone word is then a prompt") {
  const auto with_model = [](const std::string& tool, const Args& args,
                             const std::string& model = kTinyModel) {
    ProgramOptions options;
    options.environment = {"DS_MODEL=" + model};
    return run_program(tool, args, options);
  };
  CHECK(with_model("ds-run", {"What is 62*7?", "-q"}).out == "434\n");
  CHECK(with_model("ds-run", {"-q", "-p", "What is 62*7?"}).out == "434\n");
  CHECK(with_model("ds-run", {"--plan", "--json"}).rc == 0);
  // A model on the command line wins, and a word that is one is no prompt.
  CHECK(with_model("ds-run", {kTinyModel, "What is 62*7?", "-q"}, "/absent").out == "434\n");
  CHECK(with_model("ds-run", {kTinyModel, "-q"}, "/absent").rc == 2);  // nothing is asked
  CHECK(with_model("ds-run", {"What is 62*7?"}, "/absent").rc == 66);
  CHECK(run_program("ds-run", {"What is 62*7?", "hi"}).rc == 66);
  // A mistyped path is no question.
  CHECK(with_model("ds-run", {"models/absent"}).rc == 66);
  CHECK(with_model("ds-run", {"早上/晚上好吗？", "-n", "1"}).rc == 0);

  CHECK(with_model("ds-quantize", {"--dry-run", "-q"}).rc == 0);
  const Args measure = {"run", "-n", "2", "--output-tokens", "2", "--warmup", "0", "--no-overhead", "-q"};
  CHECK(holds(with_model("ds-bench", measure).out, "\"kind\":\"engine\""));
  Args command = measure;
  command.insert(command.end(), {"--cmd", "true"});
  CHECK(holds(with_model("ds-bench", command).out, "\"command\":\"true\""));
  CHECK(run_program("ds-bench", measure).rc == 2);
}
