// The embedded model reaches the accuracy its README states, through ds-run --jsonl on every third question
// of its evaluation files; ds-bench eval asks all of them.
#include <doctest/doctest.h>

#include <cstdio>

#include "core/json_value.h"
#include "io/json.h"
#include "run_program.h"

using namespace ds;

namespace {

struct Score {
  int n = 0, n_correct = 0;
};

// Math and reading: the answer must be equal; dialogue: it must contain the expected one ("match" says
// which).
Score evaluate(const std::string& set) {
  const std::string path = std::string(DS_SOURCE_DIR "/data/dsv3-tiny-data/eval_") + set + ".jsonl";
  std::vector<std::string> questions;
  ProgramOptions options;
  options.timeout_s = 500;  // seconds when the machine is idle, minutes when it is not
  const auto all = lines_of(file_bytes(path));
  for (size_t i = 0; i < all.size(); i += 3) options.in += all[i] + "\n", questions.push_back(all[i]);
  const ProgramResult r = run_program("ds-run", {kTinyModel, "--jsonl", "--quiet"}, options);
  REQUIRE(r.rc == 0);
  const auto answers = lines_of(r.out);
  REQUIRE(questions.size() == answers.size());
  Score score;
  for (size_t i = 0; i < questions.size(); ++i) {
    const ds::Json question = ds::io::parse_json(questions[i], path),
                   answer = ds::io::parse_json(answers[i], "answers");
    REQUIRE(as_string(*find(question, "id")) == as_string(*find(answer, "id")));
    const std::string &expected = as_string(*find(question, "answer")),
                      &text = as_string(*find(answer, "text"));
    const bool contains = as_string(*find(question, "match")) == "contains";
    ++score.n;
    score.n_correct += contains ? text.find(expected) != std::string::npos : text == expected;
  }
  std::printf("%-10s %d/%d\n", set.c_str(), score.n_correct, score.n);
  return score;
}

}  // namespace

TEST_CASE("accuracy of the embedded model") {
  const Score math = evaluate("math"), multiturn = evaluate("multiturn"), reading = evaluate("reading");
  CHECK(math.n == 100);
  CHECK(math.n_correct == 100);
  CHECK(multiturn.n == 20);
  CHECK(multiturn.n_correct == 20);
  CHECK(reading.n == 34);
  CHECK(reading.n_correct >= 33);
}
