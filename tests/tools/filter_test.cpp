// ds-filter from the outside.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include "skip.h"

namespace fs = std::filesystem;

namespace {

const std::string kTool = DS_BIN_DIR "/ds-filter";

struct Folder {
  fs::path path = fs::temp_directory_path() /
                  ("ds-filter-tool-" + std::to_string(::getpid()) + "-" + std::to_string(counter()++));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  static int& counter() {
    static int n = 0;
    return n;
  }
};

int shell(const std::string& command) {
  const int rc = std::system(command.c_str());
  return WIFEXITED(rc) ? WEXITSTATUS(rc) : 128 + WTERMSIG(rc);
}
// The tool without progress or summary.
int tool(const std::string& arguments) { return shell(kTool + " -q " + arguments + " 2>/dev/null"); }
std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}
void put(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
size_t count_lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Prose enough to pass every rule; `seed` makes it different.
std::string prose(uint64_t seed) {
  static const char* const words[] = {
      "program",  "package",  "kernel",   "option",    "server",    "user",          "process",    "manual",
      "system",   "device",   "database", "partition", "installer", "documentation", "repository", "release",
      "network",  "address",  "library",  "message",   "file",      "directory",     "script",     "command",
      "terminal", "password", "account",  "service",   "memory",    "thread",        "module",     "driver",
      "version",  "archive",  "mirror",   "function",  "argument",  "variable",      "string",     "value",
      "error",    "signal",   "buffer",   "socket",    "window",    "button",        "menu",       "format"};
  static const char* const glue[] = {"of the",    "and",     "with a",   "that have",  "to be",
                                     "for every", "in this", "from its", "by another", "or the"};
  std::mt19937_64 rng(seed);
  std::string out;
  for (int i = 0; i < 12; ++i) {
    out += i ? " The" : "The";
    for (int k = 0; k < 6; ++k)
      out += std::string(" ") + (k ? std::string(glue[rng() % 10]) + " " : "") + words[rng() % 48];
    out += ".";
  }
  return out;
}
std::string record(const std::string& id, const std::string& text) {
  return "{\"id\": \"" + id + "\",  \"text\": \"" + text + "\", \"n\": 1.50}";
}

std::string corpus(int n, uint64_t seed) {
  std::string out;
  for (int i = 0; i < n; ++i) {
    const uint64_t s = i % 7 == 3 ? seed + static_cast<uint64_t>(i) / 20
                                  : seed + 1000 + static_cast<uint64_t>(i);  // some repeat
    out += record("r" + std::to_string(i), i % 11 == 5 ? "too short" : prose(s)) + "\n";
  }
  return out;
}

std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 1000, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

}  // namespace

TEST_CASE("ds-filter in a pipe: kept lines are the input's bytes, stdout holds nothing else") {
  Folder d;
  const std::string good = record("a", prose(1)), other = record("b", prose(2));
  put(d / "in.jsonl", good + "\n" + record("c", "short") + "\n{broken\n\n" + other);
  CHECK(shell("cat " + (d / "in.jsonl") + " | " + kTool + " --rejects " + (d / "rej.jsonl") +
              " --bad-lines " + (d / "bad.jsonl") + " > " + (d / "out") + " 2> " + (d / "err")) == 0);
  CHECK(contents(d / "out") == good + "\n" + other + "\n");
  const std::string rejects = contents(d / "rej.jsonl"), bad = contents(d / "bad.jsonl");
  CHECK(count_lines(rejects) == 1);
  CHECK(rejects.find("\"rule\":\"s1.min_chars\",\"value\":5.0,") != std::string::npos);
  CHECK(rejects.find("\"n\": 1.50,\"ds_filter\":{") !=
        std::string::npos);  // the record's own bytes come first
  CHECK(bad.find("\"line\":3") != std::string::npos);
  CHECK(bad.find("\"text\":\"{broken\"") != std::string::npos);
  CHECK(contents(d / "err").find("read = kept + dropped + quarantined holds") != std::string::npos);
}

TEST_CASE("ds-filter's report counts lines and bytes as they are, and what was masked") {
  Folder d;
  const std::string lines = record("a", prose(1)) + "\n\n" + record("b", prose(2) + " a@b.org and c@d.org") +
                            "\n{broken\n" + record("c", "short") + "\n";
  put(d / "in", lines);
  REQUIRE(tool("--stages integrity,entities " + (d / "in") + " -o " + (d / "out") + " --report " +
               (d / "report")) == 0);
  const std::string report = contents(d / "report");
  for (const std::string& fact :
       {"\"input_bytes\":" + std::to_string(lines.size()), std::string("\"masked\":1"),
        std::string("\"email\":2"), std::string("\"read\":4"), std::string("\"kept\":2"),
        std::string("\"dropped\":1"), std::string("\"quarantined\":1")})
    CHECK_MESSAGE(report.find(fact) != std::string::npos, fact);
  // A record that is only rid of an earlier member was not masked.
  put(d / "in", "{\"text\": \"first\", \"text\": \"second\"}\n");
  REQUIRE(tool("--stages entities " + (d / "in") + " -o " + (d / "out") + " --report " + (d / "report")) ==
          0);
  CHECK(contents(d / "report").find("\"masked\":0") != std::string::npos);
  CHECK(contents(d / "report").find("\"duplicate_keys\":1") != std::string::npos);
}

TEST_CASE("ds-filter's report and records do not share stdout; a step without records has it alone") {
  Folder d;
  put(d / "in.jsonl", record("a", prose(1)));
  CHECK(shell(kTool + " " + (d / "in.jsonl") + " --report - > " + (d / "out") + " 2> " + (d / "err")) == 2);
  CHECK(contents(d / "err").find("two outputs go to this place") != std::string::npos);
  CHECK(shell(kTool + " sig " + (d / "in.jsonl") + " --work " + (d / "work") + " --report - -q > " +
              (d / "out")) == 0);
  CHECK(contents(d / "out").find("{\"") == 0);
}

TEST_CASE("ds-filter masking changes the text and nothing else") {
  Folder d;
  put(d / "in.jsonl",
      "{\"id\":1 , \"text\": \"Mail \\u0061nna@example.org \\\"now\\\" 中\", "
      "\"meta\":{\"text\":\"x@y.org\"}}\n");
  CHECK(tool("--stages entities " + (d / "in.jsonl") + " > " + (d / "out")) == 0);
  CHECK(contents(d / "out") ==
        "{\"id\":1 , \"text\": \"Mail <EMAIL> \\\"now\\\" 中\", \"meta\":{\"text\":\"x@y.org\"}}\n");
}

TEST_CASE("ds-filter reads several gzip members, writes by name; a cut stream is said and never silent") {
  Folder d;
  const std::string a = corpus(40, 5), b = corpus(40, 5000);
  put(d / "in.jsonl.gz", gzip(a) + gzip(b));
  put(d / "plain.jsonl", a + b);
  CHECK(tool((d / "in.jsonl.gz") + " -o " + (d / "out.jsonl.zst")) == 0);
  CHECK(tool((d / "plain.jsonl") + " -o " + (d / "plain.out")) == 0);
  CHECK(tool("--stages integrity " + (d / "out.jsonl.zst") + " -o " + (d / "again.out")) == 0);
  CHECK(contents(d / "again.out") == contents(d / "plain.out"));
  CHECK(count_lines(contents(d / "plain.out")) > 20);
  const std::string whole = gzip(a);
  put(d / "cut.jsonl.gz", whole.substr(0, whole.size() / 2));
  CHECK(shell(kTool + " " + (d / "cut.jsonl.gz") + " -o " + (d / "cut.out") + " --bad-lines " +
              (d / "cut.bad") + " 2> " + (d / "err")) == 65);
  CHECK(count_lines(contents(d / "cut.out")) > 3);
  CHECK(contents(d / "err").find("the gzip stream ends early") != std::string::npos);
  CHECK(contents(d / "cut.bad").find("the file ends inside this line") != std::string::npos);
}

TEST_CASE("ds-filter writes the same bytes for any number of threads, any shards, and after kill -9") {
  Folder d;
  for (int f = 0; f < 3; ++f)
    put(d / ("in" + std::to_string(f) + ".jsonl"), corpus(700, 10000 * static_cast<uint64_t>(f) + 1));
  const std::string inputs = (d / "in0.jsonl") + " " + (d / "in1.jsonl") + " " + (d / "in2.jsonl");
  REQUIRE(tool("--threads 1 " + inputs + " -o " + (d / "one/") + " --rejects " + (d / "rej1/")) == 0);
  REQUIRE(tool("--threads 3 " + inputs + " -o " + (d / "three/") + " --rejects " + (d / "rej3/")) == 0);
  CHECK(shell("diff -r " + (d / "one") + " " + (d / "three") + " && diff -r " + (d / "rej1") + " " +
              (d / "rej3")) == 0);
  CHECK(count_lines(contents(d / "rej1/duplicates.jsonl")) > 50);
  CHECK(count_lines(contents(d / "one/in0.jsonl")) > 250);

  // Shards: four work folders, one of them without a file; five parts of the keys, one cluster file.
  std::string works;
  for (int i = 0; i < 4; ++i) {
    const std::string work = d / ("work" + std::to_string(i));
    REQUIRE(tool("sig --shard " + std::to_string(i) + "/4 --work " + work + " " + inputs) == 0);
    works += " " + work;
  }
  std::string edges;
  for (int i = 0; i < 5; ++i) {
    edges += " " + (d / ("e" + std::to_string(i)));
    REQUIRE(tool("edges --part " + std::to_string(i) + "/5" + works + " -o " +
                 (d / ("e" + std::to_string(i)))) == 0);
  }
  CHECK(tool("cluster" + works + " --edges " + (d / "e0") + " " + (d / "e3") + " -o " + (d / "few")) == 65);
  CHECK_FALSE(fs::exists(d / "few"));
  REQUIRE(tool("cluster" + works + " --edges" + edges + " -o " + (d / "clusters")) == 0);
  for (int i = 0; i < 4; ++i)
    REQUIRE(tool("apply --shard " + std::to_string(i) + "/4 --work " + (d / ("work" + std::to_string(i))) +
                 " --clusters " + (d / "clusters") + " " + inputs + " -o " + (d / "sharded/")) == 0);
  CHECK(shell("diff -r " + (d / "one") + " " + (d / "sharded")) == 0);
  CHECK(tool("apply --work " + (d / "work0") + " --clusters " + (d / "e0") + " --shard 0/4 " + inputs +
             " -o " + (d / "x/")) == 65);

  // One file in byte ranges: together they hold each line once.
  std::string joined;
  for (int i = 0; i < 4; ++i) {
    REQUIRE(tool("--stages integrity --shard " + std::to_string(i) + "/4 " + (d / "in0.jsonl") + " -o " +
                 (d / "part")) == 0);
    joined += contents(d / "part");
  }
  REQUIRE(tool("--stages integrity " + (d / "in0.jsonl") + " -o " + (d / "whole")) == 0);
  CHECK(joined == contents(d / "whole"));

  // Killed at several moments, resumed to the same bytes.
  for (const char* after : {"0.02", "0.05", "0.1", "0.2"}) {
    fs::remove_all(d / "killed");
    fs::remove_all(d / "killed.work");
    // Waited for: a dying run still holds its lock, and `timeout -s KILL` does not wait.
    shell(kTool + " -q --threads 1 " + inputs + " -o " + (d / "killed/") + " 2>/dev/null & sleep " + after +
          "; kill -9 $!; wait $!");
    REQUIRE(tool("--resume " + inputs + " -o " + (d / "killed/")) == 0);
    CHECK(shell("diff -r " + (d / "one") + " " + (d / "killed")) == 0);
  }
  // Another configuration must not continue a run.
  REQUIRE(tool("sig --work " + (d / "w") + " " + inputs) == 0);
  CHECK(tool("--resume --stages integrity --work " + (d / "w") + " " + inputs + " -o " + (d / "other/")) ==
        2);
}

TEST_CASE("ds-filter on SIGTERM leaves a run that --resume finishes") {
  Folder d;
  std::string big;
  for (int i = 0; i < 4; ++i) big += corpus(3000, 1000000 * static_cast<uint64_t>(i + 1));
  put(d / "in.jsonl", big);
  REQUIRE(tool((d / "in.jsonl") + " -o " + (d / "whole.jsonl")) == 0);
  // The signal comes while it waits for more input.
  const int rc = shell("cd " + d.path.string() +
                       " && (head -c 6000000 in.jsonl; touch fed; until [ -e ended ]; do sleep 0.02; done) | "
                       "(exec 3<&0; " +
                       kTool +
                       " --work w --threads 1 - -o out.jsonl 2> err <&3 & pid=$!; until [ -e fed ]; do sleep "
                       "0.02; done; sleep 0.2; kill -TERM $pid; wait $pid; rc=$?; touch ended; exit $rc)");
  CHECK(rc == 75);
  CHECK(!fs::exists(d / "out.jsonl"));
  CHECK(contents(d / "err").find("--resume") != std::string::npos);
  CHECK(tool("edges " + (d / "w") + " -o " + (d / "edges")) == 66);  // signatures are missing
  // The part of a checkpoint is done again: packed outputs have their frames where they always are.
  const std::string packed = "cat " + (d / "in.jsonl") + " | " + kTool + " -q --threads 1 ";
  REQUIRE(shell(packed + "- -o " + (d / "whole.zst")) == 0);
  REQUIRE(shell(packed + "--resume --work " + (d / "w") + " - -o " + (d / "resumed.zst")) == 0);
  CHECK(contents(d / "resumed.zst") == contents(d / "whole.zst"));
  shell("timeout -s TERM 0.1 " + kTool + " -q --threads 1 " + (d / "in.jsonl") + " -o " + (d / "out.jsonl") +
        " 2>/dev/null");
  REQUIRE(tool("--resume " + (d / "in.jsonl") + " -o " + (d / "out.jsonl")) == 0);
  CHECK(contents(d / "out.jsonl") == contents(d / "whole.jsonl"));
  CHECK(!fs::exists(d / "out.jsonl.work"));
}

TEST_CASE("ds-filter counts, names and keeps bad input; nothing crashes") {
  Folder d;
  const std::string deep = "{\"text\":" + std::string(2000, '[') + std::string(2000, ']') + "}";
  const std::string lines = record("good", prose(1)) + "\n" + deep +
                            "\n{\"text\":\"\\ud800 lone\"}\n{\"text\":\"raw \x01 control\"}\n[1,2]\n" +
                            std::string("{\"text\":\"nul ") + '\0' + "\"}\n" + std::string(100000, ' ') +
                            "\n{\"text\":\"\xff\xfe bytes\"}\n{\"text\":1}\n{\"other\":\"x\"}\n" +
                            "{\"text\":\"\xd6\xd0\xce\xc4\xce\xc4\xb1\xbe\xb2\xe2\xca\xd4\"}\n{\"text\":\"" +
                            std::string(200000, 'x') + "\"}\n" + "{\"text\":\"one\",\"text\":\"two\"}\n";
  put(d / "in.jsonl", lines);
  CHECK(tool("--max-line-mb 0.15 " + (d / "in.jsonl") + " -o " + (d / "out") + " --bad-lines " + (d / "bad") +
             " --rejects " + (d / "rej") + " --report " + (d / "rep")) == 0);
  const std::string bad = contents(d / "bad"), report = contents(d / "rep");
  for (const char* why : {"nested deeper", "lone surrogate", "control character inside", "not a JSON object",
                          "not valid UTF-8", "GB18030", "line too long"})
    CHECK_MESSAGE(bad.find(why) != std::string::npos, why);
  CHECK(bad.find("\"base64\":\"") != std::string::npos);
  CHECK(report.find("\"conserved\":true") != std::string::npos);
  CHECK(report.find("\"blank_lines\":1") != std::string::npos);
  CHECK(report.find("\"duplicate_keys\":1") != std::string::npos);
  CHECK(count_lines(contents(d / "out")) == 1);
  CHECK(bad.find("no text in 'text'") != std::string::npos);
  CHECK(count_lines(contents(d / "rej")) == 1);  // the last of the duplicate keys is too short
  CHECK(tool("--max-bad 0.001 " + (d / "in.jsonl") + " -o " + (d / "out")) == 65);

  CHECK(tool("--transcode --stages integrity --profile " + (d / "p") + " " + (d / "in.jsonl") + " -o " +
             (d / "o2")) == 66);
  put(d / "p", "{\"rules\":{\"s1.min_chars\":1}}");
  CHECK(tool("--transcode --stages integrity --profile " + (d / "p") + " " + (d / "in.jsonl") + " -o " +
             (d / "o2")) == 0);
  CHECK(contents(d / "o2").find("{\"text\":\"中文文本测试\"}\n") != std::string::npos);

  // UTF-16: said, or read.
  const std::string ascii = "{\"text\":\"hello wide world, this is long enough\"}\n";
  std::string utf16 = "\xff\xfe";
  for (const char c : ascii) {
    utf16 += c;
    utf16 += '\0';
  }
  put(d / "wide.jsonl", utf16);
  CHECK(shell(kTool + " " + (d / "wide.jsonl") + " -o " + (d / "o3") + " 2> " + (d / "e3")) == 65);
  CHECK(contents(d / "e3").find("this is UTF-16 text") != std::string::npos);
  CHECK(contents(d / "e3").find("--transcode") != std::string::npos);
  CHECK(!fs::exists(d / "o3"));
  CHECK(tool("--transcode --stages integrity " + (d / "wide.jsonl") + " -o " + (d / "o3")) == 0);
  CHECK(contents(d / "o3") == ascii);
  put(d / "empty.jsonl", "");
  CHECK(tool((d / "empty.jsonl") + " -o " + (d / "o4")) == 0);
  CHECK(contents(d / "o4").empty());
}

TEST_CASE("ds-filter: a JSON array is refused before work, as a file, as a stream and beside other files") {
  Folder d;
  const std::string record = "{\"text\":\"some text that is long enough\"}";
  put(d / "good.jsonl", record + "\n");
  put(d / "bad.json", "[\n" + record + ",\n" + record + "\n]\n");
  for (const std::string& input : {d / "good.jsonl" + " " + (d / "bad.json"), "- < " + (d / "bad.json")}) {
    CHECK(shell(kTool + " -q -o " + (d / "out") + " " + input + " 2> " + (d / "err")) == 65);
    CHECK(contents(d / "err").find("jq -c '.[]'") != std::string::npos);
    CHECK(!fs::exists(d / "out"));
  }
  CHECK(tool("--text-lines --stages integrity -o " + (d / "out") + " " + (d / "bad.json")) == 0);
}

TEST_CASE("ds-filter: a stdout that is an input is refused, emptied by the shell or not") {
  Folder d;
  const std::string in = d / "in.jsonl", text = "{\"text\":\"some text\"}\n";
  for (const std::string& command : {in + " >> " + in, "- < " + in + " >> " + in,
                                     d.path.string() + " >> " + in, "tune " + in + " >> " + in}) {
    put(in, text);
    CHECK(shell(kTool + " -q " + command + " 2> /dev/null") == 2);
    CHECK(contents(in) == text);
  }
  CHECK(shell(kTool + " -q " + in + " 2>&1 > " + in + " | grep -q 'the shell has emptied it'") == 0);
  put(in, text);
  CHECK(tool("--stages integrity - < " + in + " > /dev/null") == 0);
}

TEST_CASE("ds-filter: a file longer than ulimit -f allows is a failed write, not a death") {
  Folder d;
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "{\"text\":\"" + prose(static_cast<uint64_t>(i)) + "\"}\n";
  put(d / "in", text);
  CHECK(shell("cd " + d.path.string() + "; (ulimit -f 8; " + kTool +
              " -q --stages integrity in -o out 2> err; exit $?)") == 74);
  CHECK(contents(d / "err").find("File too large") != std::string::npos);
  CHECK(!fs::exists(d / "out"));
}

TEST_CASE("ds-filter: a text under another name, in parts, in a conversation") {
  Folder d;
  const std::string mail = "write to jo.doe@example.org about it";
  put(d / "other",
      "{\"id\":1,\"content\":\"some text\"}\n{\"id\":2,\"content\":\"x\",\"meta\":{\"body\":\"y\"}}\n");
  CHECK(shell(kTool + " -q " + (d / "other") + " -o " + (d / "o") + " 2> " + (d / "err")) == 65);
  CHECK(contents(d / "err").find("content (2), meta.body (1)") != std::string::npos);
  const auto masked = [&](const std::string& option, const std::string& line) {
    put(d / "in", line + "\n");
    CHECK(tool("--stages entities " + option + " " + (d / "in") + " -o " + (d / "o")) == 0);
    return contents(d / "o");
  };
  CHECK(masked("--text-field meta.text", "{\"text\": \"a@b.org\", \"meta\": {\"text\": \"" + mail + "\"}}") ==
        "{\"text\": \"a@b.org\", \"meta\": {\"text\": \"write to <EMAIL> about it\"}}\n");
  CHECK(masked("--text-field title,body",
               "{\"body\": \"" + mail + "\", \"n\": 1e400, \"title\": \"c\\u0040d.org\"}") ==
        "{\"body\": \"write to <EMAIL> about it\", \"n\": 1e400, \"title\": \"<EMAIL>\"}\n");
  const std::string chat =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"" + mail +
      "\"}, {\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"no\"}]}]}";
  CHECK(masked("", chat).find(
            "\"content\": \"write to <EMAIL> about it\"}, {\"role\": \"assistant\", \"content\": [") !=
        std::string::npos);
  // Places are code points of the text and bytes of the line; an edit that goes over a part's end ends there.
  CHECK(masked(
            "",
            "{\"meta\": {\"text\": \"x@y.org\"}, \"text\": \"中文 é 😀 a@b.org, 中 c@d.org 文\", \"n\": 1}") ==
        "{\"meta\": {\"text\": \"x@y.org\"}, \"text\": \"中文 é 😀 <EMAIL>, 中 <EMAIL> 文\", \"n\": 1}\n");
  const std::string half(40, 'k');
  CHECK(masked("", "{\"messages\": [{\"content\": \"为 -----BEGIN PRIVATE KEY-----" + half +
                       "\"}, {\"content\": \"" + half +
                       "-----END PRIVATE KEY-----\"}, {\"content\": \"behind it\"}]}") ==
        "{\"messages\": [{\"content\": \"为 <SECRET>\"}, {\"content\": \"<SECRET>\"}, {\"content\": \"behind "
        "it\"}]}\n");
  // Of members of one name the last is judged; what the others say is not kept, masked or not.
  CHECK(masked("", "{\"text\": \"first a@b.org\", \"text\": \"" + mail + "\"}") ==
        "{\"text\": \"\", \"text\": \"write to <EMAIL> about it\"}\n");
  CHECK(masked("", "{\"te\\u0078t\": [\"a@b.org\"], \"text\": \"nothing to hide\"}") ==
        "{\"te\\u0078t\": \"\", \"text\": \"nothing to hide\"}\n");
  CHECK(masked("--text-field meta.text",
               "{\"meta\": {\"text\": \"a@b.org\"}, \"meta\": {\"text\": \"" + mail + "\"}}") ==
        "{\"meta\": {\"text\": \"\"}, \"meta\": {\"text\": \"write to <EMAIL> about it\"}}\n");
}

TEST_CASE("ds-filter: valid JSON is read whatever its numbers; what is none is named") {
  Folder d;
  const std::string good =
      "{\"text\": \"a text\", \"n\": 18446744073709551616, \"x\": [-1e400, 0.1e-999, "
      "12345678901234567890.5]}\n"
      "{\"id\": 123456789012345678901234567890, \"text\": \"\\\"99999999999999999999\\\" in a text\"}\n";
  put(d / "in", "\xEF\xBB\xBF\xEF\xBB\xBF" + good + "\xEF\xBB\xBF{\"text\": \"behind a second mark\"}\n");
  CHECK(tool("--stages entities " + (d / "in") + " -o " + (d / "o")) == 0);
  CHECK(contents(d / "o") == good + "{\"text\": \"behind a second mark\"}\n");
  CHECK(shell(kTool + " explain -q --stages entities --id 123456789012345678901234567890 " + (d / "in") +
              " > " + (d / "x")) == 0);
  put(d / "in",
      "{\"text\":\"a\"}{\"text\":\"b\"}\n{\"text\":\"a\",\"n\":NaN}\n{\"text\":\"a\",\"n\":01}\n{\"text\":"
      "\"a\"}\n");
  CHECK(tool("--stages entities " + (d / "in") + " -o " + (d / "o") + " --bad-lines " + (d / "bad")) == 0);
  CHECK(contents(d / "o") == "{\"text\":\"a\"}\n");
  const std::string bad = contents(d / "bad");
  CHECK(bad.find("more than one JSON object on the line") != std::string::npos);
  CHECK(bad.find("NaN or Infinity") != std::string::npos);
  CHECK(bad.find("\"line\":3,") != std::string::npos);
}

TEST_CASE("ds-filter: data of a folder that was not fetched is named, what macOS leaves is no data") {
  Folder d;
  fs::create_directories(d / "in");
  fs::create_symlink("../.git/annex/objects/x", d / "in/annex.jsonl");
  put(d / "in/far.jsonl.dvc", "outs:\n");
  const std::string command =
      kTool + " --stages integrity " + (d / "in") + " -o " + (d / "out") + " 2> " + (d / "err");
  CHECK(shell(command) == 66);
  CHECK(contents(d / "err").find("git annex get or dvc pull") != std::string::npos);
  for (const char* name : {"in/a.jsonlines", "in/b.ldjson", "in/part-r-00000", "in/here.jsonl"})
    put(d / name, record("a", prose(3)) + "\n");
  for (const char* name : {"in/._here.jsonl", "in/old.jsonl.1", "in/here.jsonl.dvc"})
    put(d / name, "no data");
  REQUIRE(shell(command) == 0);
  std::string said = contents(d / "err");
  std::replace(said.begin(), said.end(), '\n', ' ');
  CHECK(said.find("4 files from folders, 2 files without content") != std::string::npos);
  CHECK(said.find("3 files left out") != std::string::npos);
  CHECK(count_lines(contents(d / "out")) == 4);
}

TEST_CASE("ds-filter: lists without an entry are said, languages and stages that are none are refused") {
  Folder d;
  put(d / "in", record("a", prose(3)) + "\n");
  put(d / "none.txt", "# nothing\n");
  put(d / "empty.txt", "");
  REQUIRE(shell(kTool + " " + (d / "in") + " --stages integrity,duplicates --url-list " + (d / "none.txt") +
                " --decontaminate " + (d / "empty.txt") + " --report " + (d / "r") + " -o " + (d / "out") +
                " 2> " + (d / "err")) == 0);
  CHECK(contents(d / "r").find("\"integrity\":[") == std::string::npos);
  std::string said = contents(d / "err");  // folded at the width of a terminal
  std::erase_if(said, [](char c) { return c == ' ' || c == '\n'; });
  CHECK(said.find("hasnoentry") != std::string::npos);
  CHECK(said.find("hasnotext") != std::string::npos);
  for (const std::string wrong : {"zn", "Chinese", "cn", "zh-CN", "ZH"}) {
    put(d / "p", "{\"languages\":[\"en\",\"" + wrong + "\"]}");
    CHECK(shell(kTool + " -q --profile " + (d / "p") + " --show-config 2> " + (d / "err")) == 78);
    CHECK_MESSAGE(contents(d / "err").find("did you mean zh?") != std::string::npos, wrong);
  }
  CHECK(tool("--stages '' " + (d / "in")) == 2);
}

TEST_CASE("ds-filter: a listed host is found with a root's dot, without a scheme, in its own letters") {
  Folder d;
  put(d / "list", "bad.example\nbücher.example\nxn--fsq.example\n");
  const std::string text = ",\"text\":\"" + prose(3) + "\"}\n";
  std::string in;
  for (const char* url :
       {"http://bad.example./x", "//bad.example/x", "https://www.BÜCHER.example/", "bad.example",
        "http://xn--bcher-kva.example/a", "http://例.example", "http://good.example/bad.example"})
    in += "{\"url\":\"" + std::string(url) + "\"" + text;
  put(d / "in", in);
  REQUIRE(tool("--stages integrity --url-list " + (d / "list") + " " + (d / "in") + " -o " + (d / "out")) ==
          0);
  CHECK(contents(d / "out") == "{\"url\":\"http://good.example/bad.example\"" + text);
}

TEST_CASE("ds-filter: folders with other endings, pipes by name, and what comes out when packed again") {
  Folder d;
  fs::create_directories(d / "in/sub");
  const std::string line = record("a", prose(3)) + "\n";
  for (const char* name : {"in/a.JSONL", "in/b.jl", "in/part-00000", "in/sub/part-00001"})
    put(d / name, line);
  put(d / "in/c.ndjson.GZ", gzip(line));
  for (const char* name : {"in/_SUCCESS", "in/notes.md"}) put(d / name, "no data");
  REQUIRE(shell(kTool + " --stages integrity " + (d / "in") + " -o " + (d / "out") + " 2> " + (d / "err")) ==
          0);
  CHECK(count_lines(contents(d / "out")) == 5);
  CHECK(contents(d / "err").find("5 files from folders, 2 files left out") != std::string::npos);
  for (const char* end : {".xz", ".bz2", ".gz", ".zst"}) {
    const std::string packed = d / ("packed" + std::string(end));
    REQUIRE(tool("--stages integrity " + (d / "in") + " -o " + packed) == 0);
    REQUIRE(tool("--stages integrity " + packed + " -o " + (d / "again")) == 0);
    CHECK(contents(d / "again") == contents(d / "out"));
    // A damaged checksum at the end costs no record, a cut none of those before.
    std::string bytes = contents(packed);
    put(packed, bytes.substr(0, bytes.size() - 3));
    CHECK(tool("--stages integrity " + packed + " -o " + (d / "again")) == 65);
    CHECK(count_lines(contents(d / "again")) == 5);
  }
  const std::string bash = "bash -c '" + kTool + " -q --stages integrity ";
  CHECK(shell(bash + "<(cat " + (d / "in/b.jl") + ") -o " + (d / "o1") + "'") == 0);
  CHECK(shell("cat " + (d / "in/b.jl") + " | " + kTool + " -q --stages integrity /dev/stdin -o " +
              (d / "o2")) == 0);
  CHECK(contents(d / "o1") == line);
  CHECK(contents(d / "o2") == line);
}

TEST_CASE("ds-filter: a quiet run says why it failed, reports are opened first, tune reads a pipe") {
  Folder d;
  put(d / "in", record("a", prose(3)) + "\nbroken\n");
  CHECK(shell(kTool + " -q --max-bad 0.1 " + (d / "in") + " -o " + (d / "o") + " 2> " + (d / "err")) == 65);
  CHECK(contents(d / "err").find("--max-bad") != std::string::npos);
  CHECK(tool((d / "in") + " -o " + (d / "never") + " --report /proc/nowhere/r") == 73);
  CHECK(!fs::exists(d / "never"));
  CHECK(shell("cat " + (d / "in") + " | " + kTool + " tune -q 2>/dev/null | grep -q s2.gopher.alpha_words") ==
        0);
  // Checkpoints are not thrown away without a word.
  REQUIRE(tool("sig --work " + (d / "w") + " " + (d / "in")) == 0);
  CHECK(shell(kTool + " --work " + (d / "w") + " " + (d / "in") + " -o " + (d / "o") + " 2> " +
              (d / "err")) == 0);
  CHECK(contents(d / "err").find("thrown away") != std::string::npos);
}

TEST_CASE("ds-filter says what happened to a file while it was read, and goes on with the others") {
  Folder d;
  put(d / "other.jsonl", corpus(50, 9));
  // The first input is a pipe: while it is open, the run has begun and the second file has not been opened.
  const auto during = [&](const std::string& change) {
    put(d / "f.jsonl", corpus(300, 4));
    return shell("cd " + d.path.string() + " && (sleep 0.5; " + change + "; cat other.jsonl) | " + kTool +
                 " --threads 2 - f.jsonl other.jsonl -o out/ 2> err");
  };
  CHECK(during("rm f.jsonl") == 65);
  CHECK(contents(d / "err").find("cannot open") != std::string::npos);
  CHECK(count_lines(contents(d / "out/other.jsonl")) + count_lines(contents(d / "out/stdin.jsonl")) > 20);
  // A file that changes under the reader: a pipe of one's own cannot shrink, so a large one is changed at
  // once.
  std::string big;
  for (int i = 0; i < 8; ++i) big += corpus(3000, 500000 * static_cast<uint64_t>(i + 1));
  put(d / "big.jsonl", big);
  const std::string size = std::to_string(big.size());
  const auto reading = [&](const std::string& change) {
    put(d / "big.jsonl", big);
    return shell("cd " + d.path.string() + " && (" + kTool +
                 " --threads 1 --stages integrity,quality,entities big.jsonl -o b.out 2> err & " +
                 "pid=$!; sleep 0.15; " + change + "; wait $pid)");
  };
  const int shrunk = reading("truncate -s " + std::to_string(big.size() - 1000000) + " big.jsonl");
  const std::string said = contents(d / "err");
  CHECK((shrunk == 65) == (said.find("became shorter while it was read: " + size) != std::string::npos));
  CHECK(reading("echo '{\"text\":\"more\"}' >> big.jsonl") == 0);
}

TEST_CASE("ds-filter packs .gz and .zst outputs on any number of threads to the same readable bytes") {
  Folder d;
  std::string big;
  for (int i = 0; i < 4; ++i) big += corpus(3000, 700000 * static_cast<uint64_t>(i + 1));
  put(d / "in.jsonl", big);
  REQUIRE(tool("--stages integrity " + (d / "in.jsonl") + " -o " + (d / "plain") + " --rejects " +
               (d / "rej")) == 0);
  for (const char* end : {".gz", ".zst"}) {
    for (const char* threads : {"1", "2", "7"})
      REQUIRE(tool("--stages integrity --threads " + std::string(threads) + " " + (d / "in.jsonl") + " -o " +
                   (d / (std::string("o") + threads + end)) + " --rejects " +
                   (d / (std::string("r") + threads + end))) == 0);
    for (const char* what : {"o", "r"})
      for (const char* threads : {"2", "7"})
        CHECK(contents(d / (std::string(what) + threads + end)) ==
              contents(d / (std::string(what) + "1" + end)));
    const std::string unpack = std::string(end) == ".gz" ? "gzip -dc " : "zstd -qdc ";
    if (shell("command -v " + unpack.substr(0, 4) + " > /dev/null") != 0) {
      ds::test::skip_test("no " + unpack.substr(0, 4) + " to read what was packed");
      continue;
    }
    CHECK(shell(unpack + (d / ("o1" + std::string(end))) + " | cmp - " + (d / "plain")) == 0);
    CHECK(shell(unpack + (d / ("r1" + std::string(end))) + " | cmp - " + (d / "rej")) == 0);
  }
  put(d / "none.jsonl", "");
  REQUIRE(tool((d / "none.jsonl") + " -o " + (d / "none.gz")) == 0);
  CHECK(shell("gzip -t " + (d / "none.gz")) == 0);
}

TEST_CASE("ds-filter overwrites no input and lets no two inputs share an output") {
  Folder d;
  fs::create_directories(d / "raw/a");
  fs::create_directories(d / "raw/b");
  const std::string one = record("a", prose(1)) + "\n", two = record("b", prose(2)) + "\n";
  put(d / "raw/a/x.jsonl", one);
  put(d / "raw/b/x.jsonl", two);
  CHECK(tool((d / "raw") + " -o " + (d / "out/")) == 0);
  CHECK(contents(d / "out/a/x.jsonl") == one);
  CHECK(contents(d / "out/b/x.jsonl") == two);
  CHECK(tool((d / "raw/a/x.jsonl") + " -o " + (d / "raw/a/")) == 2);
  CHECK(tool((d / "raw/a/x.jsonl") + " -o " + (d / "raw/a/x.jsonl")) == 2);
  CHECK(tool((d / "raw/a/x.jsonl") + " -o " + (d / "o") + " --rejects " + (d / "o")) == 2);
  // What goes with the work folder, and what else is read.
  CHECK(tool((d / "raw/a/x.jsonl") + " -o " + (d / "o/") + " --work " + (d / "o")) == 2);
  CHECK(tool((d / "raw/a/x.jsonl") + " -o " + (d / "w/o.jsonl") + " --work " + (d / "w")) == 2);
  CHECK(tool((d / "raw/a/x.jsonl") + " -o " + (d / "raw/b/x.jsonl") + " --references " +
             (d / "raw/b/x.jsonl")) == 2);
  CHECK(contents(d / "raw/b/x.jsonl") == two);
  CHECK(tool("edges -o " + (d / "none")) == 2);
  CHECK(contents(d / "raw/a/x.jsonl") == one);
}

TEST_CASE("ds-filter: a folder with another run's records is refused; the same run may be made again") {
  Folder d;
  put(d / "a.jsonl", corpus(20, 1));
  put(d / "b.jsonl", corpus(20, 2));
  const std::string to = " -o " + (d / "out/") + " --report " + (d / "out/report.json");
  REQUIRE(tool((d / "a.jsonl") + to) == 0);
  const std::string kept = contents(d / "out/a.jsonl");
  CHECK(tool((d / "b.jsonl") + to) == 73);
  CHECK(shell(kTool + " " + (d / "b.jsonl") + to +
              " 2>&1 | grep -q 'a.jsonl there is no output of this run'") == 0);
  CHECK(!fs::exists(d / "out/b.jsonl"));
  put(d / "out/README", "not data");
  CHECK(tool((d / "a.jsonl") + to) == 0);
  CHECK(tool("--resume " + (d / "a.jsonl") + to) == 0);
  CHECK(contents(d / "out/a.jsonl") == kept);
  // Of one file cut into shards each writes its own.
  const auto shard = [&](const char* part) {
    return tool((d / "a.jsonl") + " --shard " + part + " -o " + (d / "parts/") + " --work " + (d / "w"));
  };
  CHECK(shard("0/2") == 0);
  CHECK(shard("1/2") == 0);
  CHECK(shard("0/3") == 73);
}

TEST_CASE("ds-filter: shards of one file that write to one folder do not meet there") {
  Folder d;
  std::string lines;
  for (int i = 0; i < 40; ++i)
    lines += record("r" + std::to_string(i), i % 4 ? prose(i) : std::string("short")) + "\n";
  put(d / "in.jsonl", lines);
  REQUIRE(tool("--stages integrity " + (d / "in.jsonl") + " -o " + (d / "whole") + " --rejects " +
               (d / "gone")) == 0);
  for (int i = 0; i < 3; ++i)
    REQUIRE(tool("--stages integrity --shard " + std::to_string(i) + "/3 " + (d / "in.jsonl") + " -o " +
                 (d / "parts/") + " --rejects " + (d / "rejects/")) == 0);
  CHECK(contents(d / "parts/in-00001-of-00003.jsonl") != "");
  CHECK(shell("cat " + (d / "parts") + "/in-*.jsonl | cmp - " + (d / "whole")) == 0);
  CHECK(shell("cat " + (d / "rejects") + "/integrity-*.jsonl | cmp - " + (d / "gone")) == 0);
}

TEST_CASE("ds-filter: shards of one file name the lines of the whole file; damaged signatures are refused") {
  Folder d;
  put(d / "in.jsonl", corpus(300, 77));
  REQUIRE(tool("--stages integrity " + (d / "in.jsonl") + " -o " + (d / "o") + " --rejects " + (d / "all")) ==
          0);
  std::string joined;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(tool("--stages integrity --shard " + std::to_string(i) + "/3 " + (d / "in.jsonl") + " -o " +
                 (d / "o") + " --rejects " + (d / "part")) == 0);
    joined += contents(d / "part");
  }
  CHECK(count_lines(joined) > 20);
  CHECK(joined == contents(d / "all"));
  REQUIRE(tool("sig --work " + (d / "w") + " " + (d / "in.jsonl")) == 0);
  const std::string sig = contents(d / "w/s-000000-000000.sig");
  put(d / "w/s-000000-000000.sig", sig.substr(0, 376 * 5) + sig.substr(376 * 6));
  CHECK(tool("edges " + (d / "w") + " -o " + (d / "e")) == 65);
}

TEST_CASE("ds-filter: what a half-deleted work folder holds does not come twice") {
  Folder d;
  put(d / "in.jsonl", corpus(200, 5));
  REQUIRE(tool((d / "in.jsonl") + " -o " + (d / "whole")) == 0);
  REQUIRE(tool("sig --work " + (d / "w") + " " + (d / "in.jsonl")) == 0);
  for (const char* end : {".seg", ".sig"})
    fs::copy(d / ("w/s-000000-000000" + std::string(end)), d / ("w/s-000000-000001" + std::string(end)));
  REQUIRE(tool("--resume --work " + (d / "w") + " " + (d / "in.jsonl") + " -o " + (d / "out")) == 0);
  CHECK(contents(d / "out") == contents(d / "whole"));
}

TEST_CASE(
    "ds-filter: a segment or signature file with one flipped byte is made again, and read by no other step") {
  Folder d;
  put(d / "in.jsonl", corpus(200, 5));
  REQUIRE(tool((d / "in.jsonl") + " -o " + (d / "whole")) == 0);
  for (const std::string end : {".seg", ".sig"})
    for (const size_t part : {1, 2, 3}) {  // the body's first, middle and last quarter
      REQUIRE(tool("sig --work " + (d / "w") + " " + (d / "in.jsonl")) == 0);
      const std::string path = d / ("w/s-000000-000000" + end);
      std::string bytes = contents(path);
      bytes[bytes.size() * part / 4] ^= 0x20;
      put(path, bytes);
      if (end == ".sig") CHECK(tool("edges " + (d / "w") + " -o " + (d / "e")) == 65);
      CHECK(tool("--resume --work " + (d / "w") + " " + (d / "in.jsonl") + " -o " + (d / "out") +
                 " --report " + (d / "report")) == 0);
      CHECK(contents(d / "out") == contents(d / "whole"));
      CHECK(contents(d / "report").find("resumed") == std::string::npos);
    }
}

TEST_CASE("ds-filter --resume goes on only with the same inputs, as they were, and the same shard") {
  Folder d;
  put(d / "in.jsonl", corpus(60, 5));
  const auto resume = [&](const std::string& more) {
    return tool("--resume --stages integrity --work " + (d / "w") + " " + (d / "in.jsonl") + " -o " +
                (d / "out") + more);
  };
  REQUIRE(tool("sig --stages integrity --work " + (d / "w") + " " + (d / "in.jsonl")) == 0);
  for (const char* other : {" --shard 0/2", " --transcode", " --text-field body", " --max-line-mb 3"})
    CHECK(resume(other) == 2);
  std::string same_size = contents(d / "in.jsonl");
  same_size[same_size.find("The")] = 't';
  put(d / "in.jsonl", same_size);
  fs::last_write_time(d / "in.jsonl", fs::last_write_time(d / "in.jsonl") + std::chrono::seconds(2));
  CHECK(resume("") == 2);
  CHECK(!fs::exists(d / "out"));
  // A step goes on without --resume: the way out is another.
  put(d / "clusters", "");
  CHECK(shell(kTool + " apply -q --stages quality --clusters " + (d / "clusters") + " --work " + (d / "w") +
              " " + (d / "in.jsonl") + " -o " + (d / "out") + " 2>&1 | grep -q 'or delete " + (d / "w") +
              "'") == 0);
}

TEST_CASE(
    "ds-filter: a shard of one file that was stopped between its segments goes on with lines and places") {
  Folder d;
  // A checkpoint is made every 32 MB of content; blank lines are the cheapest.
  std::string text;
  for (int i = 0; i < 84; ++i)
    text += record("r" + std::to_string(i), i % 3 ? prose(i) : "short") + "\n" + std::string(1'000'000, ' ') +
            "\n";
  put(d / "in.jsonl", text);
  const std::string shard = " --stages integrity --shard 1/2 --work " + (d / "w") + " " + (d / "in.jsonl");
  REQUIRE(tool("sig" + shard) == 0);
  REQUIRE(tool("--resume" + shard + " -o " + (d / "want") + " --rejects " + (d / "want-gone")) == 0);
  CHECK(contents(d / "want-gone").find("\"line\":163,") != std::string::npos);
  REQUIRE(tool("sig" + shard) == 0);
  for (const char* end : {".seg", ".sig"}) REQUIRE(fs::remove(d / ("w/s-000000-000001" + std::string(end))));
  fs::remove(d / "w/complete");
  REQUIRE(tool("--resume" + shard + " -o " + (d / "got") + " --rejects " + (d / "got-gone")) == 0);
  CHECK(count_lines(contents(d / "got")) == 28);
  CHECK(contents(d / "got") == contents(d / "want"));
  CHECK(contents(d / "got-gone") == contents(d / "want-gone"));
}

TEST_CASE("ds-filter: a shard's border exactly at the start of a line, and one byte to either side") {
  Folder d;
  // Lines of one length: of n shards each border is one of lines, moved by what stands before them.
  for (const size_t before : {0, 1, 7, 8}) {
    std::string text = before ? std::string(before - 1, ' ') + "\n" : "";
    for (int i = 0; i < 8; ++i)
      text += "{\"text\":\"line " + std::to_string(i) + " is as long as the others\"}\n";
    put(d / "in.jsonl", text);
    std::string joined;
    for (int i = 0; i < 4; ++i) {
      REQUIRE(tool("--stages entities --shard " + std::to_string(i) + "/4 " + (d / "in.jsonl") + " -o " +
                   (d / "part")) == 0);
      const std::string part = contents(d / "part");
      if (before == 0) CHECK(count_lines(part) == 2);
      joined += part;
    }
    CHECK(joined == text.substr(before));
  }
  // More shards than bytes: the line belongs to the one that holds its first byte, not to an empty one.
  const std::string line = "{\"text\":\"the only line of its file\"}\n";
  put(d / "in.jsonl", line);
  std::string joined;
  for (const char* shard : {"0/100", "1/100", "2/100", "3/100", "98/100", "99/100"}) {
    REQUIRE(tool(std::string("--stages entities --shard ") + shard + " " + (d / "in.jsonl") + " -o " +
                 (d / "part")) == 0);
    joined += contents(d / "part");
  }
  CHECK(joined == line);
}

TEST_CASE("ds-filter in a pipe per partition, as Spark runs it, keeps what one run keeps") {
  Folder d;
  const std::string stages = " -q --threads 1 --stages integrity,quality,entities,semantic ";
  std::string parts[3], all;
  std::istringstream lines(corpus(90, 3));
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n) parts[n / 30] += line + "\n";
  for (const auto& part : parts) all += part;
  put(d / "all", all);
  put(d / "none", "");
  REQUIRE(shell(kTool + stages + "- < " + (d / "all") + " > " + (d / "whole")) == 0);
  std::string joined;
  for (const auto& part : parts) {
    put(d / "part", part);
    REQUIRE(shell(kTool + stages + "- < " + (d / "part") + " > " + (d / "out")) == 0);
    joined += contents(d / "out");
  }
  CHECK(joined == contents(d / "whole"));
  CHECK(count_lines(joined) > 30);
  CHECK(shell(kTool + stages + "- < " + (d / "none") + " > " + (d / "out")) == 0);  // an empty partition
  CHECK(contents(d / "out").empty());
}

TEST_CASE("ds-filter: the profile's order decides which failed rule is the reason") {
  Folder d;
  put(d / "in.jsonl", record("a", "A few short words {in} a line that is too short for the rules.") + "\n");
  const std::string run =
      "--stages quality " + (d / "in.jsonl") + " -o " + (d / "o") + " --rejects " + (d / "r");
  REQUIRE(tool(run) == 0);
  CHECK(contents(d / "r").find("\"rule\":\"s2.gopher.min_words\"") != std::string::npos);
  put(d / "p", "{\"order\":[\"s2.c4.curly_bracket\"]}");
  REQUIRE(tool(run + " --profile " + (d / "p")) == 0);
  CHECK(contents(d / "r").find("\"rule\":\"s2.c4.curly_bracket\"") != std::string::npos);
  put(d / "p", "{\"categories\":{\"gamblng\":true}}");
  CHECK(tool((d / "in.jsonl") + " -o " + (d / "o") + " --profile " + (d / "p")) == 78);
}

TEST_CASE("ds-filter exit codes of the contract") {
  Folder d;
  put(d / "in.jsonl", record("a", prose(1)) + "\n");
  CHECK(tool(d / "absent") == 66);
  CHECK(tool("--no-such-flag") == 2);
  CHECK(tool("--stages quality,nonsense " + (d / "in.jsonl")) == 2);
  put(d / "p.json", "{\"rules\":{\"s2.gopher.min_wrods\":3}}");
  CHECK(tool("--profile " + (d / "p.json") + " " + (d / "in.jsonl")) == 78);
  CHECK(tool((d / "in.jsonl") + " -o /proc/nowhere/out") == 73);
  CHECK(tool("--shard 3/3 " + (d / "in.jsonl")) == 2);
  CHECK(tool((d / "in.jsonl") + " > /dev/full") == 74);
  CHECK(shell("bash -c '" + kTool + " -q " + (d / "in.jsonl") +
              " | true; rc=${PIPESTATUS[0]}; exit $((rc == 0 || rc == 141 ? 0 : rc))'") == 0);
  CHECK(shell("DS_STAGES=integrity DS_QUIET=1 " + kTool +
              " --show-config | grep -q '\"stages\":\\[\"integrity\"\\]'") == 0);
}

TEST_CASE("ds-filter --show-config reads back; explain, tune and calibrate answer") {
  Folder d;
  put(d / "in.jsonl", corpus(30, 1));
  CHECK(shell(kTool + " --show-config > " + (d / "p.json") + " && " + kTool + " --profile " + (d / "p.json") +
              " --show-config | cmp - " + (d / "p.json")) == 0);
  CHECK(shell(kTool + " explain -q --id r5 " + (d / "in.jsonl") + " | grep -q 'dropped by s1.min_chars'") ==
        0);
  CHECK(shell(kTool + " explain -q --id " + (d / "in.jsonl") + ":2 " + (d / "in.jsonl") +
              " | grep -q 's5.similarity'") == 0);
  CHECK(shell(kTool + " tune -q --sample 10 " + (d / "in.jsonl") + " | grep -q 's2.gopher.alpha_words'") ==
        0);
  CHECK(shell(kTool + " calibrate -q " + (d / "in.jsonl") + " --out-of-domain " + (d / "in.jsonl") + " -o " +
              (d / "c.json") + " 2> " + (d / "err")) == 0);
  CHECK(contents(d / "err").find("this cut separates nothing") != std::string::npos);
  CHECK(tool("--profile " + (d / "c.json") + " " + (d / "in.jsonl") + " -o " + (d / "out")) == 0);
  put(d / "wrong.json", "{\"semantic\":{\"cut\":{\"en\":0.5},\"embedder_digest\":\"0000\"}}");
  CHECK(tool("--profile " + (d / "wrong.json") + " " + (d / "in.jsonl") + " -o " + (d / "out")) == 78);
}

TEST_CASE("ds-filter: two runs to one output, one of them through a link: the second is refused") {
  const Folder d;
  for (const char* made : {"out.jsonl", "absent.jsonl"}) {
    // The first run waits for its input.
    const std::string script = "cd " + (d / "") + "; rm -rf *; touch out.jsonl; mkfifo in; ln -s " + made +
                               " link; " + kTool + " in -q -o " + made + " & exec 3> in; until [ -e " + made +
                               ".work/manifest.json ]; do sleep 0.01; done; " + "echo '{\"text\":\"x\"}' | " +
                               kTool + " -q -o link; echo second $?; echo '{\"text\":\"y\"}' >&3; " +
                               "exec 3>&-; wait $!; echo first $?; ls";
    const Folder said;
    shell("{ " + script + "; } > " + (said / "out") + " 2> " + (said / "err"));
    const std::string out = contents(said / "out");
    CHECK(contents(said / "err").find("is being written by another run") != std::string::npos);
    CAPTURE(out);
    CHECK(out.find("second 73") != std::string::npos);
    CHECK(out.find("first 0") != std::string::npos);
    CHECK(out.find(".work") == std::string::npos);
  }
}

TEST_CASE("ds-filter: each step of a distributed run tells what it did itself") {
  const Folder d;
  put(d / "in.jsonl", corpus(60, 5));
  const auto step = [&](const std::string& words) {
    REQUIRE(shell(kTool + " " + words + " 2> " + (d / "err")) == 0);
    return contents(d / "err");
  };
  const std::string in = d / "in.jsonl", work = " --work " + (d / "w");
  const std::string judged = step("sig " + in + work + " --html " + (d / "sig.html"));
  CAPTURE(judged);
  CHECK(judged.find("go on to the next step") != std::string::npos);
  CHECK(judged.find("  kept ") == std::string::npos);
  CHECK(judged.find("thread seconds") != std::string::npos);
  CHECK(contents(d / "sig.html").find("kept, ") == std::string::npos);
  step("edges " + (d / "w") + " -o " + (d / "e"));
  step("cluster " + (d / "w") + " --edges " + (d / "e") + " -o " + (d / "c"));
  const std::string written = step("apply " + in + work + " --clusters " + (d / "c") + " -o " + (d / "out"));
  CAPTURE(written);
  CHECK(written.find("  kept ") != std::string::npos);
  CHECK(written.find("thread seconds") == std::string::npos);
}

TEST_CASE("ds-filter: the page begins with the command line and the date") {
  const Folder d;
  put(d / "in.jsonl", corpus(10, 5));
  REQUIRE(tool((d / "in.jsonl") + " -o " + (d / "o") + " --html " + (d / "p.html")) == 0);
  const std::string page = contents(d / "p.html");
  const std::string head = page.substr(page.find("<h1>"), 400);
  CAPTURE(head);
  CHECK(head.find("<code>ds-filter -q ") != std::string::npos);
  CHECK(head.find(" UTC</p>") != std::string::npos);
}

TEST_CASE("ds-filter: explain and tune are as wide as the terminal, and a line a rule in a pipe") {
  const Folder d;
  put(d / "in.jsonl", corpus(10, 5) + record("one", prose(3)) + "\n");
  const auto lines_of = [&](const std::string& environment, const std::string& words) {
    REQUIRE(shell(environment + kTool + " " + words + " > " + (d / "out") + " 2> /dev/null") == 0);
    std::istringstream text(contents(d / "out"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  };
  for (const std::string& words : {"tune " + (d / "in.jsonl"), "explain " + (d / "in.jsonl") + " --id one"}) {
    const auto piped = lines_of("env -u COLUMNS ", words);
    for (const int columns : {60, 80, 120}) {
      const auto narrow = lines_of("COLUMNS=" + std::to_string(columns) + " ", words);
      CHECK(narrow.size() >= piped.size() + (columns < 100));
      for (const std::string& line : narrow) {
        CAPTURE(line);
        CHECK((line.size() <= static_cast<size_t>(columns) || line.find("found:") != std::string::npos ||
               line.find(d / "") != std::string::npos));
      }
    }
    CHECK(std::count_if(piped.begin(), piped.end(), [](const auto& line) {
            return line.find("s2.gopher.min_words") != std::string::npos;
          }) >= 1);
  }
}
