// ds-bench from the outside.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"
#include "io/lines.h"
#include "run_program.h"
#include "skip.h"

using namespace ds;

namespace {

const std::string kTool = DS_BIN_DIR "/ds-bench";
const std::string kModel = DS_SOURCE_DIR "/data/dsv3-tiny";

struct Ran {
  int code = -1;
  std::string out;
};

// Where the files of these tests lie: no other run of them sees the folder.
const std::string& here() {
  static const TemporaryFolder folder;
  return folder.path();
}

Ran shell(const std::string& line) {
  Ran r;
  FILE* pipe = ::popen(("cd " + here() + " && B=" + kTool + "; " + line).c_str(), "r");
  REQUIRE(pipe);
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) r.out.append(buffer, n);
  const int status = ::pclose(pipe);
  r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return r;
}

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

}  // namespace

TEST_CASE("run, stats, compare, report over a command") {
  Ran r = shell("$B run --cmd 'echo hi' -n 40 --no-overhead -q > bt_a.jsonl");
  CHECK(r.code == 0);
  const std::string text = ds::io::read_file(here() + "/bt_a.jsonl");
  CHECK(text.starts_with("{\"type\":\"header\""));
  CHECK(count(text, "\"phase\":\"measure\"") == 40);
  CHECK(count(text, "\"type\":\"trailer\"") == 1);
  r = shell("$B stats bt_a.jsonl --json");
  CHECK(r.code == 0);
  const ds::Json stats = ds::io::parse_json(r.out, "stats");
  CHECK(as_int(*find((*find(stats, "groups"))[0], "n")) == 40);
  r = shell("$B stats - < bt_a.jsonl");
  CHECK(r.code == 0);
  CHECK(r.out.find("e2e") != std::string::npos);
  // The same records on both sides are the same, whatever the machine did.
  r = shell("$B compare bt_a.jsonl bt_a.jsonl --gate p50_e2e:+5%");
  CHECK((r.code == 0 || r.code == 3));
  r = shell(
      "$B run --cmd 'sleep 0.05' -n 40 --no-overhead -q > bt_b.jsonl; $B compare bt_a.jsonl bt_b.jsonl "
      "--gate p50_e2e:+5%");
  CHECK(r.code == 1);
  CHECK(r.out.find("SLOWER") != std::string::npos);
  r = shell("$B compare bt_b.jsonl bt_a.jsonl --force --gate p50_e2e:+5%");
  CHECK(r.code == 0);
  r = shell("$B report bt_a.jsonl -o bt.html && $B stats bt.html --json");
  CHECK(r.code == 0);
  CHECK(as_int(*find((*find(ds::io::parse_json(r.out, "stats"), "groups"))[0], "n")) == 40);
  r = shell("$B run --cmd true -n 41 --no-overhead -q > bt_c.jsonl; $B compare bt_a.jsonl bt_c.jsonl 2>&1");
  CHECK(r.code == 65);
  CHECK(r.out.find("plan.n_requests: 40 against 41") != std::string::npos);
  shell("rm -f bt_*.jsonl bt.html");
}

TEST_CASE("exit codes of the table") {
  CHECK(shell("$B 2>/dev/null").code == 2);
  CHECK(shell("$B run 2>/dev/null").code == 2);
  CHECK(shell("$B run --cmd true --url http://x 2>/dev/null").code == 2);
  CHECK(shell("$B run --cmd true -n 5 --rate -1 2>/dev/null").code == 2);
  for (const char* bad :
       {"--output-tokens 0", "--input-tokens -3", "--timeout -1", "--timeout nan", "--warmup -2",
        "--temperature -1", "-c 0", "--requests x", "--shard 3/3", "--rate inf"})
    CHECK(shell(std::string("$B run --cmd true -n 5 ") + bad + " > /dev/null 2>&1").code == 2);
  CHECK(shell("$B compare a b --gate nonsense 2>/dev/null").code == 66);
  CHECK(shell("$B stats /no/such/file 2>/dev/null").code == 66);
  CHECK(shell("$B run --cmd /no/such/program -n 1 2>/dev/null").code == 66);
  CHECK(shell("echo nonsense | $B stats 2>/dev/null").code == 65);
  CHECK(shell("printf '' | $B stats 2>/dev/null").code == 65);
  CHECK(shell("$B run --cmd false -n 3 -q 2>/dev/null >/dev/null").code == 74);
  CHECK(shell("$B run --cmd true -n 3 -q -o /no/such/folder/x 2>/dev/null").code == 73);
  CHECK(shell("$B run --cmd true -n 3 -q --no-overhead > /dev/full 2>/dev/null").code == 74);
  CHECK(shell("$B run /no/such/model -n 1 -q 2>/dev/null >/dev/null").code == 66);
  CHECK(shell("$B --help > /dev/null").code == 0);
  CHECK(shell("$B run --help | grep -q 'find-goodput'").code == 0);
}

TEST_CASE("a GGUF file is measured as a folder is") {
  const std::string file = DS_SOURCE_DIR "/tests/golden/gguf/llama_spm_bf16/model.gguf";
  const ProgramResult r = run_program(
      "ds-bench", {"run", file, "-n", "2", "--output-tokens", "2", "--warmup", "0", "--no-overhead", "-q"});
  CAPTURE(r.err);
  CHECK(r.rc == 0);
  CHECK(r.out.find("\"digest\":\"sha256:") != std::string::npos);
}

TEST_CASE("a slip of the hand is named as what it is") {
  Ran r = shell("$B run --cmd cat --arrivals poison 2>&1");
  CHECK(r.code == 66);
  CHECK(r.out.find("did you mean poisson?") != std::string::npos);
  r = shell("$B run --cmd cat -n 3 -n 4 2>&1");
  CHECK(r.code == 2);
  CHECK(r.out.find("--requests takes one value and was given 2") != std::string::npos);
  r = shell("echo '{\"e2e_ms\":5,\"ttft_ms\":-1}' | $B stats - 2>&1");
  CHECK(r.code == 65);
  CHECK(r.out.find("\"ttft_ms\" is negative") != std::string::npos);
  r = shell(
      "for i in 1 2; do echo '{\"e2e_ms\":5}'; done > 'bt_a|b'; cp 'bt_a|b' bt_c; $B stats --markdown bt_a* "
      "bt_c; rm -f bt_*");
  CHECK(r.out.find("a\\|b") != std::string::npos);
}

TEST_CASE("malformed lines are counted, reported with their place, and do not stop the rest") {
  const Ran r = shell(R"(printf '{"e2e_ms":5}\nbroken\n{"e2e_ms":6}\n' | $B stats - 2>&1)");
  CHECK(r.code == 65);
  CHECK(r.out.find("<stdin>:2") != std::string::npos);
  CHECK(r.out.find("2 requests") != std::string::npos);
}

TEST_CASE(
    "a page of what is usable among the files is a page, with a word on what is not; of nothing there is "
    "none") {
  Ran r = shell(
      "printf '{\"text\":\"of a corpus\"}\\n' > bt_f.jsonl; printf '{\"e2e_ms\":5}\\n{\"e2e_ms\":6}\\n' > "
      "bt_o.jsonl; "
      "$B report bt_o.jsonl bt_f.jsonl -o bt_of.html 2>&1; echo $?; grep -c '1 malformed lines were left "
      "out' bt_of.html; "
      "$B stats bt_of.html | head -1 | grep -c '2 requests'; rm -f bt_of.html");
  CHECK(r.out.find("bt_f.jsonl:1") != std::string::npos);
  CHECK(r.out.ends_with("\n0\n1\n1\n"));
  r = shell(
      "$B report bt_f.jsonl -o bt_of.html 2>&1; echo $?; ls bt_of.html 2> /dev/null; rm -f bt_f.jsonl "
      "bt_o.jsonl");
  CHECK(r.out.ends_with("\n65\n"));
}

TEST_CASE("a reader that leaves is met quietly") {
  const Ran r = shell("($B run --cmd true -n 200 --no-overhead -q | head -1 > /dev/null) 2>&1");
  CHECK(r.out.empty());
}

TEST_CASE("SIGTERM: exit 75 with a trailer, and --resume equals an uninterrupted run") {
  Ran r = shell(
      "$B run --cmd 'sleep 0.02' -n 30 --no-overhead -q > bt_i.jsonl & P=$!; "
      "until [ $(wc -l < bt_i.jsonl) -ge 5 ]; do sleep 0.01; done; kill -TERM $P; wait $P");
  CHECK(r.code == 75);
  const std::string cut = ds::io::read_file(here() + "/bt_i.jsonl");
  CHECK(cut.find("\"interrupted\":true") != std::string::npos);
  CHECK(count(cut, "\"phase\":\"measure\"") < 30);
  r = shell("$B run --cmd 'sleep 0.02' -n 30 --no-overhead -q --resume bt_i.jsonl -o bt_i.jsonl");
  CHECK(r.code == 0);
  const std::string whole = ds::io::read_file(here() + "/bt_i.jsonl");
  CHECK(count(whole, "\"phase\":\"measure\"") == 30);
  for (int i = 0; i < 30; ++i) {
    char id[32];
    std::snprintf(id, sizeof id, "\"id\":\"r%05d\"", i);
    CHECK(count(whole, id) == 1);
  }
  CHECK(shell("$B run --cmd 'sleep 0.02' -n 31 --no-overhead -q --resume bt_i.jsonl 2>/dev/null >/dev/null")
            .code == 65);
  shell("rm -f bt_i.jsonl");
}

TEST_CASE("--resume refuses what is not the same run") {
  shell("$B run --cmd true -n 5 --no-overhead -q -o bt_i.jsonl");
  const auto resume = [](const std::string& file, const std::string& options) {
    return shell("$B run --no-overhead -q --resume " + file + " " + options + " 2>&1 > /dev/null");
  };
  CHECK(resume("bt_i.jsonl", "--cmd true -n 5").code == 0);
  Ran r = resume("bt_i.jsonl", "--cmd true -n 6");
  CHECK(r.code == 65);
  CHECK(r.out.find("another plan") != std::string::npos);
  r = resume("bt_i.jsonl", "--cmd 'echo x' -n 5");
  CHECK(r.code == 65);
  CHECK(r.out.find("\"command\":\"true\"") != std::string::npos);
  r = resume("bt_i.jsonl", "--cmd true --ab true -n 5");
  CHECK(r.code == 65);
  shell("sed 's/\"cpu_model\":\"[^\"]*\"/\"cpu_model\":\"another\"/' bt_i.jsonl > bt_j.jsonl");
  r = resume("bt_j.jsonl", "--cmd true -n 5");
  CHECK(r.code == 65);
  CHECK(r.out.find("env.cpu_model: \"another\" against") != std::string::npos);
  shell("echo '{\"e2e_ms\":5}' > bt_j.jsonl");
  CHECK(resume("bt_j.jsonl", "--cmd true -n 5").code == 65);
  CHECK(resume("bt_none.jsonl", "--cmd true -n 5").code == 66);
  CHECK(resume("bt_i.jsonl", "--cmd true --find-goodput e2e=1s@p50").code == 2);

  shell("$B eval --cmd cat --set math --limit 3 -q -o bt_e.jsonl");
  CHECK(shell("$B eval --cmd cat --set math --limit 3 -q --resume bt_e.jsonl > /dev/null").code == 0);
  for (const char* other :
       {"--cmd 'cat -' --set math", "--cmd cat --set reading", "--cmd cat --set math --max-tokens 7"}) {
    r = shell(std::string("$B eval ") + other + " --limit 3 -q --resume bt_e.jsonl 2>&1 > /dev/null");
    CHECK(r.code == 65);
    CHECK(r.out.find("these answers come from another") != std::string::npos);
  }
  CHECK(shell("$B eval " + kModel + " --set ppl -q --resume bt_e.jsonl > /dev/null 2>&1").code == 2);
  shell("rm -f bt_i.jsonl bt_j.jsonl bt_e.jsonl");
}

TEST_CASE("a frozen plan takes no other plan options") {
  shell("$B plan -n 5 --output-tokens 7 -q -o bt_p.jsonl");
  CHECK(shell("$B run --cmd true --plan bt_p.jsonl --no-overhead -q > bt_i.jsonl").code == 0);
  CHECK(count(ds::io::read_file(here() + "/bt_i.jsonl"), "\"want_out\":7") >= 5);
  for (const char* option :
       {"--seed 2", "-n 6", "--rate 5", "--ignore-eos", "--prompts x", "-c 2", "--warmup 0"}) {
    const Ran r =
        shell(std::string("$B run --cmd true --plan bt_p.jsonl -q ") + option + " 2>&1 > /dev/null");
    CHECK(r.code == 2);
    CHECK(r.out.find("--plan and --") != std::string::npos);
  }
  CHECK(shell("DS_SEED=2 $B run --cmd true --plan bt_p.jsonl -q > /dev/null 2>&1").code == 2);
  CHECK(shell("$B run --cmd true --plan bt_p.jsonl --find-goodput e2e=1s -q > /dev/null 2>&1").code == 2);
  shell("rm -f bt_p.jsonl bt_i.jsonl");
}

TEST_CASE("prompts of a file are asked with their own max_tokens") {
  const Ran r = shell(
      "printf '{\"prompt\":\"a\",\"max_tokens\":3}\\n{\"prompt\":\"b\"}\\n' > bt_p.jsonl; "
      "$B run --cmd 'echo {max_tokens}' --prompts bt_p.jsonl --output-tokens 9 -n 4 --warmup 0 --no-overhead "
      "-q; "
      "rm -f bt_p.jsonl");
  CHECK(count(r.out, "\"want_out\":3") == 2);
  CHECK(count(r.out, "\"want_out\":9") == 2);
}

TEST_CASE("secrets of a command line are not written down") {
  const std::string line = "env API_KEY=sk-12345 true -H \"Authorization: Bearer abcdef\" http://u:pw@h/";
  const Ran r = shell("$B run --cmd '" + line + "' -n 2 --warmup 0 --no-overhead -q; $B eval --cmd '" + line +
                      "' --set math --limit 1 -q");
  CHECK(r.code == 0);
  for (const char* secret : {"sk-12345", "abcdef", "u:pw"}) CHECK(r.out.find(secret) == std::string::npos);
  CHECK(count(r.out, "API_KEY=***") == 4);
}

TEST_CASE("progress: one line on a terminal, nothing in a pipe or with --quiet") {
  const std::string run = "$B run --warmup 0 --no-overhead --cmd ";
  CHECK(shell(run + "true -n 4 2>&1 > /dev/null").out.find('\x1b') == std::string::npos);
  if (std::system("script -qec true /dev/null > /dev/null 2>&1") != 0) {
    ds::test::skip_test("no pseudo-terminal here: the line itself is not looked at");
    return;
  }
  const auto on_terminal = [&](const std::string& options) {
    return shell("export B TERM=xterm; script -qec \"" + run + options + " > /dev/null\" /dev/null").out;
  };
  const std::string seen = on_terminal("'sleep 0.3' -n 4");
  CHECK(seen.find("\r\x1b[K2/4 requests") != std::string::npos);
  CHECK(seen.find("s left") != std::string::npos);
  CHECK(on_terminal("true -n 4 -q").empty());
  CHECK(shell("export B TERM=dumb; script -qec \"" + run + "'sleep 0.3' -n 2 > /dev/null\" /dev/null")
            .out.find('\x1b') == std::string::npos);
}

TEST_CASE("shards of a plan meet in stats") {
  const Ran r = shell(
      "for i in 0 1 2; do $B run --cmd true -n 30 --shard $i/3 --no-overhead -q > bt_s$i.jsonl; done; "
      "$B stats bt_s*.jsonl --json; rm -f bt_s*.jsonl");
  CHECK(as_int(*find((*find(ds::io::parse_json(r.out, "stats"), "groups"))[0], "n")) == 30);
}

TEST_CASE("a server, open loop, sweep and goodput search") {
  Ran r = shell(
      "$B doctor --serve 0 --script ttft=2ms,tokens=3 2> bt_url & P=$!; "
      "until U=$(grep -o 'http://[0-9.:]*' bt_url); do sleep 0.01; done; "
      "$B run --url $U --rate 50,100 -n 40 -q --no-overhead > bt_u.jsonl; A=$?; "
      "$B run --url $U --find-goodput ttft=5s@p90 --rate 20 --duration 100ms -q --no-overhead > bt_g.jsonl & "
      "G=$!; "
      "until grep -q '\"type\":\"request\"' bt_g.jsonl; do sleep 0.01; done; "
      "kill -TERM $G; wait $G; kill $P; wait $P 2>/dev/null; exit $A");
  CHECK(r.code == 0);
  const Ran s = shell("$B stats bt_u.jsonl --slo ttft=5s --json");
  const ds::Json stats = ds::io::parse_json(s.out, "stats");
  REQUIRE(find(stats, "groups")->size() == 2);
  for (const ds::Json& g : *find(stats, "groups")) {
    CHECK(as_int(*find(g, "n_ok")) == 40);
    CHECK(find(*find(g, "good_share"), "share")->get<double>() == 1);
    CHECK(as_int((*find(g, "n_out"))[1]) == 3);
  }
  shell("rm -f bt_u.jsonl bt_g.jsonl");
}

TEST_CASE("the embedded model: eval, drift, comparison of two evaluations") {
  if (!ds::io::file_exists(kModel + "/model.safetensors")) return ds::test::skip_test("no embedded model");
  Ran r = shell("$B eval " + kModel +
                " --set math --limit 12 -q -o bt_e.jsonl && $B compare bt_e.jsonl bt_e.jsonl --margin 0.5");
  CHECK(r.code == 0);
  CHECK(r.out.find("verdict: SAME") != std::string::npos);
  CHECK(shell("rm -f bt_l.jsonl; $B drift --ledger bt_l.jsonl bt_e.jsonl && $B drift --ledger bt_l.jsonl - < "
              "bt_e.jsonl")
            .code == 0);
  // Every answer wrong: drift.
  CHECK(shell("sed 's/\"correct\":true/\"correct\":false/' bt_e.jsonl > bt_w.jsonl; $B drift -q --ledger "
              "bt_l.jsonl bt_w.jsonl")
            .code == 1);
  CHECK(shell("sed -i 's/\"n_correct\":0/\"n_correct\":12/' bt_l.jsonl; $B drift -q --ledger bt_l.jsonl "
              "bt_e.jsonl 2>/dev/null")
            .code == 65);
  r = shell("$B run " + kModel +
            " -n 40 --output-tokens 4 --ignore-eos -q --no-overhead | $B stats - --json");
  CHECK(r.code == 0);
  const ds::Json stats = ds::io::parse_json(r.out, "stats");
  CHECK(as_int((*find((*find(stats, "groups"))[0], "n_out"))[0]) == 4);
  shell("rm -f bt_e.jsonl bt_l.jsonl bt_w.jsonl");
}

TEST_CASE("drift --integrity: other words of the same model on the same machine are exit code 1") {
  const Ran r = shell(
      "h='{\"type\":\"header\",\"target\":{\"digest\":\"d\"},\"env\":{\"cpu_model\":\"X\",\"isa\":\"avx2\"}}'"
      "; "
      "for t in one two; do (echo \"$h\"; for i in 1 2 3; do printf "
      "'{\"type\":\"item\",\"id\":\"q%d\",\"set\":\"s\",\"expected\":\"1\",\"correct\":true,\"text\":\"1 "
      "%s\"}\\n' $i $t; "
      "done; echo '{\"type\":\"trailer\"}') > bt_$t.jsonl; done; "
      "for f in one one two one; do $B drift -q --ledger bt_g.jsonl bt_$f.jsonl > bt_out; echo $? $(wc -c < "
      "bt_out); done; "
      "for f in one two; do $B drift --integrity -q --ledger bt_h.jsonl bt_$f.jsonl > bt_out; "
      "echo $? $(grep -c 'answers differently' bt_out); done; rm -f bt_*");
  CHECK(r.out == "0 0\n0 0\n0 0\n0 0\n0 0\n1 1\n");
}

TEST_CASE("compare without usable values is exit code 3") {
  const Ran r = shell(
      "$B run --cmd true -n 10 --warmup 0 --no-overhead -q > bt_v.jsonl; $B compare bt_v.jsonl bt_v.jsonl "
      "--gate "
      "p50_ttft:+5% --gate p50_tpot; echo rc=$?; rm -f bt_v.jsonl");
  CHECK(count(r.out, "no values") == 2);
  CHECK(r.out.ends_with("verdict: INCONCLUSIVE; gates: 0 of 2 passed, 2 open (exit 3)\nrc=3\n"));
}

TEST_CASE(
    "a gate that is met, beside a difference that nobody knows: the last line says what the code is for") {
  // Two runs that differ by less than their noise; the bound is far away.
  const Ran r = shell(
      "for f in a b; do for i in $(seq 1 40); do printf "
      "'{\"e2e_ms\":%d,\"ttft_ms\":%d,\"n_out\":4}\\n' $((100+(i*37%23)*8)) "
      "$((10+(i*($([ $f = a ] && echo 29 || echo 31))%19)*3)); done > bt_g$f.jsonl; done; "
      "$B compare bt_ga.jsonl bt_gb.jsonl --gate p50_ttft:+900%; echo rc=$?; "
      "$B compare bt_ga.jsonl bt_gb.jsonl --gate p50_ttft:1ms; echo rc=$?; "
      "$B compare bt_ga.jsonl bt_gb.jsonl --gate p50_ttft | tail -n 1; rm -f bt_g?.jsonl");
  CAPTURE(r.out);
  CHECK(r.out.find("verdict: INCONCLUSIVE; gates: 1 of 1 passed (exit 0)\nrc=0\n") != std::string::npos);
  CHECK(r.out.find("verdict: INCONCLUSIVE; gates: 0 of 1 passed, 1 FAILED (exit 1)\nrc=1\n") !=
        std::string::npos);
  CHECK(r.out.ends_with("verdict: INCONCLUSIVE (exit 3)\n"));
}

TEST_CASE("tables fit into 60 columns, and say what their terms mean") {
  const Ran r = shell(
      "for i in $(seq 1 200); do printf '{\"e2e_ms\":%d,\"ttft_ms\":%d,\"n_out\":4}\\n' $((1000+i*37%230)) "
      "$((100+i*29%190)); done > bt_n.jsonl; "
      "COLUMNS=60 $B stats --ascii bt_n.jsonl | awk 'length > 60'; "
      "COLUMNS=60 $B stats --ascii bt_n.jsonl | grep -c -e P95 -e 'times: ttft to the first token'; "
      "COLUMNS=80 $B stats --ascii bt_n.jsonl | awk 'length > 80'; "
      "COLUMNS=80 $B stats --ascii bt_n.jsonl | grep -c -e P95 -e 'times: ttft to the first token'; rm "
      "bt_n.jsonl");
  CHECK(r.out == "1\n2\n");
  CHECK(shell("COLUMNS=60 $B matrix -q --cmd cat --questions 2 -n 2 | awk 'length > 60'").out.empty());
}

TEST_CASE("failed requests are said although asked to be quiet") {
  const Ran r = shell(
      "printf '#!/bin/sh\\ntouch bt_m/$$; [ $(ls bt_m | wc -l) -gt 3 ]\\n' > bt_tool; chmod +x bt_tool; "
      "mkdir bt_m; "
      "$B run --cmd ./bt_tool -n 6 --warmup 0 --no-overhead -q 2>&1 >/dev/null; echo rc=$?; rm -rf bt_*");
  CAPTURE(r.out);
  CHECK(r.out.find("3 failed\n  3 exit_1\n") != std::string::npos);
  CHECK(r.out.ends_with("rc=0\n"));
}

TEST_CASE("eval --resume knows a set by its questions, not by its file's name") {
  const Ran r = shell(
      "for i in 1 2 3; do printf '{\"id\":\"q%d\",\"prompt\":\"say %d\",\"answer\":\"say %d\"}\\n' $i $i $i; "
      "done > "
      "bt_one.jsonl; cp bt_one.jsonl bt_two.jsonl; sed 's/say 3/say 4/g' bt_one.jsonl > bt_three.jsonl; "
      "$B eval --cmd cat --set bt_one.jsonl --limit 2 -q -o bt_e.jsonl; "
      "$B eval --cmd cat --set bt_two.jsonl -q --resume bt_e.jsonl -o bt_f.jsonl; echo rc=$?; "
      "grep -c '\"set\":\"bt_two.jsonl\".*\"correct\":true' bt_f.jsonl; "
      "$B eval --cmd cat --set bt_three.jsonl -q --resume bt_e.jsonl -o bt_g.jsonl 2>&1; echo rc=$?; rm -f "
      "bt_*");
  CAPTURE(r.out);
  CHECK(r.out.starts_with("rc=0\n3\n"));
  CHECK(r.out.find("another set_digest") != std::string::npos);
  CHECK(r.out.ends_with("rc=65\n"));
}

TEST_CASE("a failed request is asked again by --resume; all failed is exit code 74, some is 0") {
  const Ran r = shell(
      "printf '#!/bin/sh\\ntouch bt_m/$$; [ -e bt_ok ] || [ $(ls bt_m | wc -l) -gt 3 ]\\n' > bt_tool; chmod "
      "+x bt_tool; "
      "mkdir bt_m; $B run --cmd ./bt_tool -n 6 --warmup 0 --no-overhead -q -o bt_k.jsonl; echo $?; "
      "grep -c exit_1 bt_k.jsonl; touch bt_ok; "
      "$B run --cmd ./bt_tool -n 6 --warmup 0 --no-overhead -q --resume bt_k.jsonl -o bt_k.jsonl; echo $?; "
      "grep -c exit_1 bt_k.jsonl; grep -c '\"type\":\"request\"' bt_k.jsonl; ls bt_m | wc -l; rm -rf bt_*");
  CHECK(r.out == "0\n3\n0\n0\n6\n9\n");
}

TEST_CASE("ds-run --timings | ds-bench stats -") {
  if (!ds::io::file_exists(DS_BIN_DIR "/ds-run") || !ds::io::file_exists(kModel + "/model.safetensors"))
    return ds::test::skip_test("no embedded model or no ds-run");
  const Ran r = shell("printf '{\"prompt\":\"2+3=?\"}\\n{\"prompt\":\"4+5=?\"}\\n' | " DS_BIN_DIR "/ds-run " +
                      kModel + " --jsonl --timings - 2>/dev/null | $B stats - --json");
  CHECK(r.code == 0);
  CHECK(as_int(*find((*find(ds::io::parse_json(r.out, "stats"), "groups"))[0], "n_ok")) == 2);
}

TEST_CASE("files given together are runs side by side, and stay so in a report") {
  const Ran r = shell(
      "$B run --cmd true -n 20 --no-overhead -q > bt_x.jsonl; $B run --cmd true -n 30 --no-overhead -q > "
      "bt_y.jsonl; "
      "$B report bt_x.jsonl bt_y.jsonl -o bt_xy.html && $B stats bt_xy.html --json; rm -f bt_x.jsonl "
      "bt_y.jsonl "
      "bt_xy.html");
  CHECK(r.code == 0);
  const ds::Json stats = ds::io::parse_json(r.out, "stats");
  REQUIRE(find(stats, "groups")->size() == 2);
  CHECK(as_string(*find((*find(stats, "groups"))[1], "run")) == "bt_y");
  CHECK(as_int(*find((*find(stats, "groups"))[1], "n")) == 30);
}

TEST_CASE(
    "perplexities are compared as perplexities; malformed lines end in 65; another set has no place in a "
    "ledger") {
  const Ran r = shell(
      "for f in a b; do for i in 0 1 2 3 4 5; do printf "
      "'{\"type\":\"item\",\"id\":\"window-%d\",\"set\":\"ppl\","
      "\"n_out\":100,\"nll\":2%d%d.5}\\n' $i $i $([ $f = a ] && echo 0 || echo 9); done > bt_p$f.jsonl; "
      "done; "
      "$B compare bt_pa.jsonl bt_pb.jsonl; echo rc=$?; $B compare bt_pa.jsonl bt_pa.jsonl; echo rc=$?; "
      "$B drift --ledger bt_pl.jsonl bt_pa.jsonl 2>/dev/null; echo rc=$?; echo broken >> bt_pb.jsonl; "
      "$B compare bt_pa.jsonl bt_pb.jsonl 2>&1 > /dev/null; echo rc=$?; rm -f bt_pa.jsonl bt_pb.jsonl "
      "bt_pl.jsonl");
  CHECK(r.out.find("verdict: WORSE (exit 1)\nrc=1") != std::string::npos);
  CHECK(r.out.find("verdict: SAME (exit 0)\nrc=0\nrc=65") != std::string::npos);
  CHECK(r.out.find("bt_pb.jsonl:7") != std::string::npos);
  CHECK(r.out.ends_with("rc=65\n"));
}

TEST_CASE("on a terminal a run ends with its table; CSV and Markdown of the same records") {
  shell("$B run --cmd true -n 40 --no-overhead -q > bt_t.jsonl");
  Ran r = shell("$B stats bt_t.jsonl --csv");
  CHECK(r.out.starts_with("group,metric,n,mean_ms,p50_ms,p50_lo_ms,p50_hi_ms,"));
  CHECK(r.out.find("\n,e2e,40,") != std::string::npos);
  r = shell("$B stats bt_t.jsonl --markdown");
  CHECK(r.out.starts_with("| ms | n | P50 |"));
  CHECK(r.out.find("\n| e2e | 40 | ") != std::string::npos);
  CHECK(r.out.find("FAILED") == std::string::npos);
  shell("$B run --cmd false -n 20 --no-overhead -q > bt_t.jsonl");
  CHECK(shell("$B stats bt_t.jsonl --csv").out.find(",errors,20,,") != std::string::npos);
  CHECK(shell("$B stats bt_t.jsonl --markdown").out.find("20 FAILED") != std::string::npos);
  if (std::system("script -qec true /dev/null > /dev/null 2>&1") != 0)
    return ds::test::skip_test("no pseudo-terminal here");
  r = shell("export B; script -qec \"$B run --cmd true -n 40 --no-overhead -q -o bt_o.jsonl\" /dev/null");
  CHECK(r.out.find("40 requests in") != std::string::npos);
  CHECK(r.out.find("\"type\"") == std::string::npos);
  CHECK(count(ds::io::read_file(here() + "/bt_o.jsonl"), "\"phase\":\"measure\"") == 40);
}

TEST_CASE("records that an error ends are kept, and a resume goes on from them") {
  // The command vanishes in the middle: what every request would meet ends the run.
  Ran r = shell(
      "printf '#!/bin/sh\\n[ $(ls bt_n | wc -l) -ge 6 ] && rm -f bt_tool; touch bt_n/$$\\n' > bt_tool; "
      "chmod +x bt_tool; mkdir -p bt_n; "
      "$B run --cmd ./bt_tool -n 40 --warmup 0 --no-overhead -q -o bt_k.jsonl 2>/dev/null");
  CHECK(r.code == 66);
  const std::string kept = ds::io::read_file(here() + "/bt_k.jsonl");
  CHECK(count(kept, "\"phase\":\"measure\"") >= 6);
  CHECK(kept.find("\"interrupted\":true") != std::string::npos);
  r = shell(
      "cp /bin/true bt_tool; $B run --cmd ./bt_tool -n 40 --warmup 0 --no-overhead -q --resume bt_k.jsonl -o "
      "bt_k.jsonl");
  CHECK(r.code == 0);
  CHECK(count(ds::io::read_file(here() + "/bt_k.jsonl"), "\"phase\":\"measure\"") == 40);
}

TEST_CASE("memory is the target's: a small command is small, the engine is without the probe") {
  Ran r = shell("$B run --cmd true -n 3 --warmup 0 --no-overhead -q");
  const size_t at = r.out.find("\"peak_rss_bytes\":");
  REQUIRE(at != std::string::npos);
  CHECK(std::atoll(r.out.c_str() + at + 17) < 5 << 20);
  if (!ds::io::file_exists(kModel + "/model.safetensors")) return ds::test::skip_test("no embedded model");
  const auto peak = [](const std::string& options) {
    const Ran run = shell("$B run " + kModel + " -n 4 --warmup 0 --output-tokens 2 -q " + options);
    const size_t place = run.out.find("\"peak_rss_bytes\":");
    REQUIRE(place != std::string::npos);
    return std::atoll(run.out.c_str() + place + 17);
  };
  CHECK(peak("") < 2 * peak("--no-overhead"));
}

TEST_CASE("why requests failed stands on the screen") {
  const Ran r = shell(
      "$B run --cmd 'sh -c \"echo out of luck >&2; exit 3\"' -n 3 --warmup 0 --no-overhead 2>&1 > /dev/null");
  CHECK(r.out.find("3 exit_3: out of luck") != std::string::npos);
}

TEST_CASE("clients of the engine share its steps: closed, at rates, and questions") {
  if (!ds::io::file_exists(kModel + "/model.safetensors")) return ds::test::skip_test("no embedded model");
  const std::string run =
      "$B run " + kModel + " --warmup 0 --no-overhead --ignore-eos --output-tokens 30 -q ";
  const auto requests = [](const std::string& out) {
    std::vector<ds::Json> all;
    for (size_t begin = 0, end; (end = out.find('\n', begin)) != out.npos; begin = end + 1) {
      ds::Json record = ds::io::parse_json(out.substr(begin, end - begin), "stdout");
      if (ds::as_string(record["type"]) == "request") all.push_back(std::move(record));
    }
    return all;
  };
  const Ran closed = shell(run + "-n 12 --concurrency 4");
  CHECK(closed.code == 0);
  CHECK(closed.out.find("\"max_sequences\":4") != std::string::npos);
  const auto four = requests(closed.out);
  REQUIRE(four.size() == 12);
  int n_overlapping = 0;  // whose first token came while another answer was under way
  for (const ds::Json& r : four) {
    CHECK(ds::as_int(r["n_out"]) == 30);
    n_overlapping += std::any_of(four.begin(), four.end(), [&](const ds::Json& other) {
      const int64_t first = ds::as_int(r["t_first_ns"]);
      return ds::as_int(other["t_first_ns"]) < first && first < ds::as_int(other["t_last_ns"]);
    });
  }
  CHECK(n_overlapping >= 6);
  const Ran open = shell(run + "-n 12 --arrivals poisson --rate 200,400");
  CHECK(open.code == 0);
  CHECK(requests(open.out).size() == 24);
  CHECK(count(open.out, "\"error\"") == 0);
  const Ran eval = shell("$B eval " + kModel + " --set math --limit 8 --max-tokens 40 -q ");
  const Ran eval_four = shell("$B eval " + kModel + " --set math --limit 8 --max-tokens 40 -q -c 4");
  CHECK(eval.code == 0);
  CHECK(count(eval_four.out, "\"correct\":true") == count(eval.out, "\"correct\":true"));
  CHECK(count(eval_four.out, "\"type\":\"item\"") == 8);
}
