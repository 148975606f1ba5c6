#include "infer/answer_stream.h"

#include <doctest/doctest.h>

#include <deque>

#include "core/utf8.h"
#include "infer/answer_printer.h"

using namespace ds;
using namespace ds::infer;

namespace {

// A vocabulary made up by the test: id i stands for texts[i]; 0 is <think>, 1 is </think>, 2 is special.
struct FakeTokens {
  std::deque<std::string> texts = {"<think>", "</think>", "<special>"};
  int32_t add(const std::string& text) {
    texts.push_back(text);
    return static_cast<int32_t>(texts.size()) - 1;
  }
  TokenTexts view(bool thinks = true) {
    TokenTexts t;
    t.bytes = [this](int32_t id) { return std::string_view(texts[id]); };
    t.is_special = [](int32_t id) { return id == 2; };
    if (thinks) t.think_open = 0, t.think_close = 1;
    return t;
  }
};

struct Printed {
  std::string answer, reasoning;
  std::vector<std::string> pieces;
  bool stopped = false;
};

Printed print(const TokenTexts& texts, const std::vector<int32_t>& ids, std::vector<std::string> stops = {},
              bool in_reasoning = false) {
  Printed out;
  AnswerStream stream(texts, std::move(stops), in_reasoning, [&](Channel channel, std::string_view text) {
    (channel == Channel::kAnswer ? out.answer : out.reasoning) += text;
    out.pieces.emplace_back(text);
  });
  for (const int32_t id : ids)
    if ((out.stopped = stream.accept(id))) break;
  stream.finish();
  CHECK(stream.answer() == out.answer);
  CHECK(stream.reasoning() == out.reasoning);
  return out;
}

// One token a byte.
std::vector<int32_t> bytes_as_tokens(FakeTokens& tokens, const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(tokens.add(std::string(1, c)));
  return ids;
}

}  // namespace

TEST_CASE("reasoning and answer are told apart, line feeds around the markers dropped") {
  FakeTokens t;
  const int32_t a = t.add("\n\nfirst\n"), b = t.add("\nsecond"), c = t.add("\n"), d = t.add("\n\nanswer\n");
  const Printed p = print(t.view(), {0, a, b, c, 1, c, d});
  CHECK(p.reasoning == "first\n\nsecond");
  CHECK(p.answer == "answer\n");  // line feeds inside and after an answer stay
  CHECK(print(t.view(), {a, b}).answer == "\n\nfirst\n\nsecond");
}

TEST_CASE("generation that begins inside <think>") {
  FakeTokens t;
  const int32_t line = t.add("\n"), word = t.add("word"), user = 2;
  CHECK(ends_in_reasoning(t.view(), std::vector<int32_t>{word, 0}));
  CHECK(ends_in_reasoning(t.view(), std::vector<int32_t>{word, 0, line}));
  CHECK_FALSE(ends_in_reasoning(t.view(), std::vector<int32_t>{0, word}));
  CHECK_FALSE(ends_in_reasoning(t.view(), std::vector<int32_t>{0, 1}));
  CHECK_FALSE(ends_in_reasoning(t.view(), std::vector<int32_t>{0, user}));
  CHECK_FALSE(ends_in_reasoning(t.view(), std::vector<int32_t>{}));
  CHECK_FALSE(ends_in_reasoning(t.view(false), std::vector<int32_t>{0}));
  const Printed p = print(t.view(), {line, word, 1, line, word}, {}, true);
  CHECK(p.reasoning == "word");
  CHECK(p.answer == "word");
}

TEST_CASE("models without the markers have no splitting; special tokens are not printed") {
  FakeTokens t;
  const int32_t a = t.add("a");
  CHECK(print(t.view(false), {a, 0, a, 1, a}).answer == "a<think>a</think>a");
  CHECK(print(t.view(), {a, 2, a}).answer == "aa");
}

TEST_CASE("characters are never cut, broken bytes become U+FFFD") {
  const std::string text = "h\xC3\xA9llo \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80!";
  FakeTokens t;
  const Printed p = print(t.view(), bytes_as_tokens(t, text));
  CHECK(p.answer == text);
  for (const std::string& piece : p.pieces) CHECK(find_invalid_utf8(piece) == std::string::npos);
  const auto repaired = [](const std::string& broken) {
    FakeTokens fresh;
    return print(fresh.view(), bytes_as_tokens(fresh, broken)).answer;
  };
  for (const std::string broken : {"a\xFF z", "a\xE4\xBD", "\xF0\x9F\x98", "a\xE4z", "\xC3\xC3\xA9"})
    CHECK(repaired(broken) == replace_invalid_utf8(broken));
  // A character cut off by the marker is closed there.
  const int32_t half = t.add("\xE4\xBD"), word = t.add("word");
  const Printed cut = print(t.view(), {0, half, 1, word});
  CHECK(cut.reasoning == "\xEF\xBF\xBD");
  CHECK(cut.answer == "word");
}

TEST_CASE("stop strings across token borders are found and not printed") {
  FakeTokens t;
  const auto ids = bytes_as_tokens(t, "one\n\nUser: two");
  const Printed p = print(t.view(), ids, {"\n\nUser:", "zzz"});
  CHECK(p.stopped);
  CHECK(p.answer == "one");
  // What looked like the beginning of a stop string and was none is printed.
  CHECK(print(t.view(), ids, {"\n\nUsers"}).answer == "one\n\nUser: two");
  CHECK(print(t.view(), ids, {": two!"}).answer == "one\n\nUser: two");
  // The first in the text wins, whichever was given first.
  CHECK(print(t.view(), ids, {"two", "U"}).answer == "one\n\n");
  CHECK(print(t.view(), ids, {"", "one"}).answer.empty());
  // Overlapping beginnings.
  FakeTokens u;
  CHECK(print(u.view(), bytes_as_tokens(u, "aabaabaac"), {"aabaac"}).answer == "aab");
}

TEST_CASE("stop strings are looked for in the answer alone") {
  FakeTokens t;
  const int32_t a = t.add("stop"), b = t.add("go");
  const Printed p = print(t.view(), {0, a, 1, b, a, b}, {"stop"});
  CHECK(p.reasoning == "stop");
  CHECK(p.answer == "go");
}

TEST_CASE("the printer wraps reasoning and ends the answer in one line feed") {
  std::string answer, reasoning;
  AnswerPrinterOptions options;
  options.answer = [&](std::string_view text) { answer += text; };
  options.reasoning = [&](std::string_view text) { reasoning += text; };
  options.reasoning_begin = "<";
  options.reasoning_end = ">";
  AnswerPrinter printer(options);
  const PieceSink sink = printer.sink();
  sink(Channel::kReasoning, "a");
  sink(Channel::kReasoning, "b");
  sink(Channel::kAnswer, "c");
  printer.end(true);
  CHECK(reasoning == "<ab>");
  CHECK(answer == "c\n");
  sink(Channel::kAnswer, "d\n");
  printer.end(true);
  sink(Channel::kAnswer, "e");
  printer.end(false);
  CHECK(answer == "c\nd\ne");
}
