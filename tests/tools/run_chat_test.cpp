// ds-run on a terminal without a prompt.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/json_value.h"
#include "io/json.h"
#include "pseudo_terminal.h"
#include "run_program.h"
#include "skip.h"

namespace {

const std::string kPrompt = "\x1b[?2004h> ", kMore = "\x1b[?2004h... ";
const std::string kQuestion = "What is the capital of France?";  // "Paris", says the embedded model

struct ChatFolder : TemporaryFolder {
  std::vector<std::string> environment() const { return {"XDG_STATE_HOME=" + path(), "HOME=" + path()}; }
  std::string history() const { return path() + "/dstools/ds-run_history"; }
};

struct Chat : PseudoTerminal {
  explicit Chat(const ChatFolder& folder, std::vector<std::string> options = {})
      : PseudoTerminal("ds-run", with_model(std::move(options)), folder.environment()) {
    REQUIRE(sees(kPrompt));
  }
  static std::vector<std::string> with_model(std::vector<std::string> options) {
    options.insert(options.begin(), {kTinyModel, "--temperature", "0"});
    return options;
  }
  // Types a message and waits for the next prompt; what was seen between.
  std::string say(const std::string& text, const std::string& next = kPrompt) {
    const size_t begin = seen().size();
    type(text + "\r");
    CHECK(sees(next));
    return seen().substr(begin);
  }
  void end() {
    type("/bye\r");
    CHECK(wait() == 0);
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<ds::Json> timings_of(const std::string& path) {
  std::vector<ds::Json> all;
  for (const std::string& line : lines_of(file_bytes(path))) all.push_back(ds::io::parse_json(line, path));
  return all;
}
int64_t count(const ds::Json& record, const char* name) { return ds::find(record, name)->get<int64_t>(); }

}  // namespace

TEST_CASE("chat: answers, commands, and a slash that is no command is no prompt") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  const std::string saved = folder.path() + "/chat.jsonl";
  Chat chat(folder);
  CHECK(has(chat.say(kQuestion), "Paris"));
  CHECK(has(chat.say("/help"), "/regen"));
  const std::string unknown = chat.say("/frobnicate the model");
  CHECK(has(unknown, "/frobnicate: no command"));
  CHECK(has(chat.say("/system You are terse."), kPrompt));
  CHECK(has(chat.say("/system"), "You are terse."));
  CHECK(has(chat.say("/system \"\""), kPrompt));
  CHECK(has(chat.say("/regen"), "Paris"));
  CHECK(has(chat.say("/set top_p 7"), "top_p"));  // refused by name
  CHECK(has(chat.say("/set max-tokens 1"), kPrompt));
  CHECK(has(chat.say("/set"), "max_tokens 1"));
  CHECK(has(chat.say("/regen"), "cut after 1 tokens"));
  CHECK(has(chat.say("/set max_tokens 256"), kPrompt));
  CHECK(has(chat.say("/save " + saved), "turns: 1"));
  CHECK(has(chat.say("/reset"), kPrompt));
  CHECK(has(chat.say("/regen"), "there is no turn yet"));
  CHECK(has(chat.say("/edit"), "there is no turn yet"));
  CHECK(has(chat.say("/load " + folder.path() + "/none"), "none"));
  CHECK(has(chat.say("/load -"), "needs a file"));  // stdin is what is typed
  CHECK(has(chat.say("/load " + saved), "turns: 1"));
  CHECK(has(chat.say("/regen"), "Paris"));
  chat.end();
  const ds::Json record = ds::io::parse_json(file_bytes(saved), saved);
  CHECK(ds::find(record, "messages")->size() == 2);
  // What was saved is a record.
  CHECK(run_program("ds-run", {kTinyModel, "--render", "-f", saved, "-q"}).rc == 0);
}

TEST_CASE("chat: a paste, a block and an edited message are one message each, of any length and script") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  const std::string saved = folder.path() + "/chat.jsonl";
  const std::string wide = "\xE4\xB8\xAD\xE6\x96\x87 \xC3\xA9 \xF0\x9F\x98\x80";
  Chat chat(folder, {"-n", "4"});
  chat.say("\x1b[200~first " + wide + "\r\r\"second\"\tline\x1b[201~");
  chat.say("\"\"\"", kMore);
  chat.say("  /bye is no command here", kMore);
  chat.say("end\"\"\"");
  const std::string edit = chat.say("/edit");
  CHECK(has(edit, kPrompt));
  CHECK(chat.sees("/bye is no command here"));
  chat.say(" and more");
  const std::string longest(9000, 'x');
  CHECK(has(chat.say("/system " + longest), kPrompt));
  chat.say("/save " + saved);
  chat.end();
  const ds::Json record = ds::io::parse_json(file_bytes(saved), saved);
  const ds::Json& messages = *ds::find(record, "messages");
  REQUIRE(messages.size() == 5);
  CHECK(ds::as_string(*ds::find(messages[0], "content")) == longest);
  CHECK(ds::as_string(*ds::find(messages[1], "content")) == "first " + wide + "\n\n\"second\"\tline");
  CHECK(ds::as_string(*ds::find(messages[3], "content")) == "  /bye is no command here\nend and more");
}

TEST_CASE("chat: what was typed is there the next time, for its owner alone") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  {
    Chat chat(folder);
    chat.say(kQuestion);
    chat.end();
  }
  struct stat st {};
  REQUIRE(::stat(folder.history().c_str(), &st) == 0);
  CHECK((st.st_mode & 077) == 0);
  Chat chat(folder);
  CHECK(has(chat.say("\x1b[A\x1b[A"), "Paris"));  // two lines up: before /bye
  chat.type("\x04");
  CHECK(chat.wait() == 0);
}

TEST_CASE(
    "chat: Ctrl-C stops an answer or clears a line, and the session goes on; twice on an empty line ends") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  Chat chat(folder);
  chat.say("/set temperature 1000");  // every token alike: an end is not soon chosen
  chat.say("/set max_tokens 0");
  const size_t begin = chat.seen().size();
  chat.type("go on\r");
  while (chat.seen().size() < begin + 60) REQUIRE(chat.read_more());
  chat.type("\x03");
  CHECK(chat.sees("stopped"));
  CHECK(chat.sees(kPrompt));
  chat.say("/reset");
  chat.say("/set temperature 0");
  chat.type("half a line");
  CHECK(chat.sees("half a line"));
  chat.type("\x03");
  CHECK(chat.sees(kPrompt));
  CHECK(has(chat.say(kQuestion), "Paris"));
  chat.type("\x03");
  CHECK(chat.sees(kPrompt));
  chat.type("\x03");
  CHECK(chat.wait() == 130);
}

TEST_CASE(
    "chat: suspended and resumed, the shell has its terminal meanwhile; a narrower window is drawn anew") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  PseudoTerminal shell("/bin/bash", {"--norc", "--noprofile", "-i"}, folder.environment());
  shell.type("PS1='sh''ell> '\r");
  REQUIRE(shell.sees("shell> "));
  shell.type(DS_BIN_DIR "/ds-run " + kTinyModel + " --temperature 0\r");
  REQUIRE(shell.sees(kPrompt));
  for (int i = 0; i < 2; ++i) {
    shell.type("What is the");
    REQUIRE(shell.sees("What is the"));
    CHECK_FALSE(shell.is_cooked());
    shell.type("\x1a");
    REQUIRE(shell.sees("Stopped"));
    REQUIRE(shell.sees("shell> "));
    shell.type("fg\r");
    REQUIRE(shell.sees("What is the"));  // the line is shown again
    shell.resize(i ? 80 : 20);
    shell.type(" capital of France?\r");
    CHECK(shell.sees("Paris"));
    CHECK(shell.sees(kPrompt));
  }
  shell.type("/bye\r");
  REQUIRE(shell.sees("shell> "));
  shell.type("exit\r");
  shell.wait();
}

TEST_CASE("chat: of twenty turns and more none is read twice") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  const std::string timings = folder.path() + "/timings";
  {
    Chat chat(folder, {"--timings", timings});
    for (int i = 0; i < 22; ++i) chat.say(kQuestion);  // answered without reasoning, which templates drop
    chat.end();
  }
  const auto turns = timings_of(timings);
  REQUIRE(turns.size() == 22);
  for (size_t i = 1; i < turns.size(); ++i) {
    // All that was read or answered before, but for the last token, whose row nothing asked for.
    CHECK(count(turns[i], "cached_tokens") >=
          count(turns[i - 1], "prompt_tokens") + count(turns[i - 1], "completion_tokens") - 1);
  }
}

TEST_CASE("chat: a context that fills is told, then the oldest turns go and the system prompt stays") {
  if (!PseudoTerminal::is_possible()) return ds::test::skip_test("no pseudo-terminal here");
  const ChatFolder folder;
  const std::string saved = folder.path() + "/chat.jsonl";
  Chat chat(folder, {"--ctx", "160", "-s", "Be brief."});
  std::string all;
  for (int i = 0; i < 20; ++i) all += chat.say("What is " + std::to_string(i) + " plus 3?");
  const size_t told = all.find("of 160 tokens; when it is full"), gone = all.find("oldest turns forgotten: ");
  CHECK(told != std::string::npos);
  CHECK(gone != std::string::npos);
  CHECK(told < gone);
  std::string much;
  for (int i = 0; i < 300; ++i) much += " word" + std::to_string(i);
  CHECK(has(chat.say(much), "do not fit the context of 160"));  // it alone; the chat goes on
  CHECK(has(chat.say("/save " + saved), "saved"));
  chat.end();
  const ds::Json record = ds::io::parse_json(file_bytes(saved), saved);
  const ds::Json& messages = *ds::find(record, "messages");
  CHECK(ds::as_string(*ds::find(messages[0], "content")) == "Be brief.");
  CHECK(ds::as_string(*ds::find(messages[messages.size() - 2], "content")) == "What is 19 plus 3?");
}
