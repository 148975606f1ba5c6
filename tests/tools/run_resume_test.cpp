// ds-run --jsonl --resume OUT: what is answered in OUT is not done again.
#include <doctest/doctest.h>

#include <algorithm>

#include "run_program.h"

namespace {

ProgramResult bash(const std::string& folder, const std::string& script) {
  return run_program("/bin/bash", {"-c", "cd '" + folder + "'; PATH=" DS_BIN_DIR ":$PATH; " + script});
}
ProgramResult answer(const std::string& in, const std::string& out, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {kTinyModel, "--jsonl", in, "--temperature", "0", "-q"});
  if (!out.empty()) more.insert(more.end(), {"--resume", out});
  return run_program("ds-run", more);
}

// Some with an id, some without, some ids twice.
std::string records(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) {
    const std::string id = i % 3 == 0 ? "" : "\"id\":" + std::to_string(i % 3 == 1 ? i : i / 6) + ",";
    out += "{" + id + R"("prompt":"What is )" + std::to_string(i) + "+7?\"}\n";
  }
  return out;
}
auto n_lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

}  // namespace

TEST_CASE("kill -9 at any moment, then the same command: all answers, in order, none twice") {
  const TemporaryFolder folder;
  const int n = 60;
  const std::string in = folder.write("in.jsonl", records(n)), out = folder.path() + "/out.jsonl";
  const std::string whole = answer(in, "").out;
  REQUIRE(n_lines(whole) == n);
  const std::string run = "ds-run " + kTinyModel + " --jsonl in.jsonl --resume out.jsonl --temperature 0 -q";
  int n_kills = 0;
  for (const int least : {1, 15, 40}) {
    const ProgramResult killed =
        bash(folder.path(), run + " & P=$!; until [ -e out.jsonl ] && [ $(wc -l < out.jsonl) -ge " +
                                std::to_string(least) + " ]; do sleep 0.01; done; kill -9 $P; wait $P");
    n_kills += killed.rc == 128 + 9;
    CHECK(killed.out.empty());
    const std::string got = file_bytes(out);
    CHECK(whole.starts_with(got.substr(0, got.rfind('\n') + 1)));
  }
  CHECK(n_kills >= 1);
  // What a kill in the middle of a write leaves.
  const auto n_done = n_lines(file_bytes(out));
  bash(folder.path(), R"(printf '{"id":14' >> out.jsonl)");
  const std::string timings = folder.path() + "/timings";
  CHECK(answer(in, out, {"--timings", timings}).rc == 0);
  CHECK(file_bytes(out) == whole);
  CHECK(n_lines(file_bytes(timings)) == n - n_done);
  // Nothing is left to do.
  const ProgramResult again = run_program("ds-run", {kTinyModel, "--jsonl", in, "--resume", out});
  CHECK(again.rc == 0);
  CHECK(again.err.find("60 records read, 0 answered, 60 answered before, 0 failed") != std::string::npos);
  CHECK(file_bytes(out) == whole);
}

TEST_CASE("what a run wrote to stdout is gone on with; records that failed are tried again in their place") {
  const TemporaryFolder folder;
  const std::string good = records(9), in = folder.write("in.jsonl", good), whole = answer(in, "").out;
  // The fourth record was broken, and the run was stopped after the sixth.
  std::vector<std::string> lines = lines_of(good);
  lines[3] = "{\"prompt\":7}";
  std::string spoilt;
  for (int i = 0; i < 6; ++i) spoilt += lines[i] + "\n";
  const std::string first = answer(folder.write("spoilt.jsonl", spoilt), "").out;
  CHECK(first.find("\"error\"") != std::string::npos);
  const std::string out = folder.write("out.jsonl", first), timings = folder.path() + "/timings";
  CHECK(answer(in, out, {"--timings", timings}).rc == 0);
  CHECK(file_bytes(out) == whole);
  CHECK(n_lines(file_bytes(timings)) == 9 - 5);
  // A record that stays broken keeps its place and its error.
  lines[8] = "{\"id\":\"bad\"}";
  std::string still;
  for (const std::string& line : lines) still += line + "\n";
  const std::string bad = folder.write("bad.jsonl", still), bad_whole = answer(bad, "").out;
  const std::string bad_out = folder.path() + "/bad_out.jsonl";
  for (int i = 0; i < 2; ++i) {
    CHECK(answer(bad, bad_out).rc == 65);
    CHECK(file_bytes(bad_out) == bad_whole);
  }
}

TEST_CASE("scores and renderings can be gone on with, too") {
  const TemporaryFolder folder;
  const std::string in = folder.write("in", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n"),
                    out = folder.path() + "/out";
  for (const std::string job : {"--score", "--tokenize"}) {
    const std::string whole = run_program("ds-run", {kTinyModel, job, "--jsonl", in, "-q"}).out;
    folder.write("out", whole.substr(0, whole.find('\n') + 10));
    CHECK(run_program("ds-run", {kTinyModel, job, "--jsonl", in, "-q", "--resume", out}).rc == 0);
    CHECK(file_bytes(out) == whole);
  }
}

TEST_CASE("--resume touches nothing but a result of its own records") {
  const TemporaryFolder folder;
  const std::string in = folder.write("in.jsonl", records(3));
  for (const std::string text : {"a letter\n", "a letter without end", "{\"id\":1,\"text\":\"x\"}\n[]\n",
                                 "{\"id\":1,\"text\":\"of a corpus\"}\n"}) {
    const std::string other = folder.write("other", text);
    const ProgramResult r = answer(in, other);
    CHECK(r.rc == 65);
    CHECK(r.err.find("is no result of ds-run") != std::string::npos);
    CHECK(file_bytes(other) == text);
  }
  const std::string foreign = "{\"id\":\"other\",\"text\":\"x\",\"finish_reason\":\"stop\"}\n",
                    out = folder.write("foreign", foreign);
  const ProgramResult r = answer(in, out);
  CHECK(r.rc == 65);
  CHECK(r.err.find("\"other\"") != std::string::npos);
  CHECK(file_bytes(out).starts_with(foreign));
  CHECK(answer(in, in).rc == 2);
  CHECK(answer(in, "-").rc == 2);
  CHECK(answer(in, "", {"--bad-lines", in}).rc == 2);
  CHECK(answer(in, out, {"--timings", out}).rc == 2);
  CHECK(file_bytes(in) == records(3));
  CHECK(answer(in, "/dev/null").rc == 2);
  CHECK(answer(in, folder.path() + "/absent/out").rc == 73);
  CHECK(run_program("ds-run", {kTinyModel, "hi", "--resume", folder.path() + "/x"}).rc == 2);
  CHECK(answer(in, folder.path() + "/x", {"--timings", "-"}).rc == 2);
}

TEST_CASE("a second run to the same OUT is refused") {
  const TemporaryFolder folder;
  const ProgramResult r = bash(
      folder.path(), "mkfifo in; ds-run " + kTinyModel +
                         " --jsonl in --resume out -q & exec 3> in; until [ -e out ]; do sleep 0.01; done; "
                         "echo '{\"prompt\":\"hi\"}' | ds-run " +
                         kTinyModel + " --jsonl --resume out -q; echo second $?; exec 3>&-; wait; ls");
  CHECK(r.out == "second 73\nin\nout\n");
  CHECK(r.err.find("another run") != std::string::npos);
}
