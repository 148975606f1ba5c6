#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "bench/compare/items.h"
#include "bench/eval/answers.h"
#include "bench/eval/drift.h"
#include "bench/eval/perplexity.h"
#include "bench/eval/questions.h"
#include "bench/eval/tally.h"
#include "bench/records/embedded.h"
#include "bench/render/html_report.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"

using namespace ds::bench;

namespace {

struct EchoTarget : Target {
  std::string answer;
  int max_concurrency() const override { return 4; }
  ds::Json describe() const override { return {}; }
  Outcome send(const Request&, const StopRequest&) override {
    Outcome o;
    o.text = answer;
    return o;
  }
};

RecordSet evaluation(int n, int n_wrong, const std::string& wrong_text = "no") {
  RecordSet set;
  set.headers.push_back(ds::Json{{"type", "header"}, {"target", ds::Json{{"digest", "d"}}}});
  for (int i = 0; i < n; ++i) {
    ItemRecord r;
    r.id = "q" + std::to_string(i), r.set = "math", r.expected = "1";
    r.correct = i >= n_wrong;
    r.text = r.correct ? "1" : wrong_text;
    set.items.push_back(r);
  }
  set.trailers.push_back(ds::Json{{"type", "trailer"}});
  return set;
}

// A model of V equally likely tokens, or one sure of token 0.
struct FlatLogits : LogitsSource {
  int64_t V = 100;
  float tilt = 0;
  int64_t vocab_size() const override { return V; }
  int64_t context_tokens() const override { return 64; }
  std::string digest() const override { return "flat"; }
  std::vector<int32_t> encode(const std::string& text) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(c % 100);
    return ids;
  }
  std::optional<int32_t> begin_id() const override { return 1; }
  std::string token_text(int32_t) const override { return "x"; }
  void logits(std::span<const int32_t> ids, const LogitsSink& sink) override {
    std::vector<float> row(static_cast<size_t>(V), 0.5f);
    row[0] += tilt;
    for (size_t t = 0; t < ids.size(); ++t) sink(static_cast<int64_t>(t), row);
  }
};

}  // namespace

TEST_CASE("GSM8K extraction: strict, flexible, unparsed") {
  const auto gsm = [](const char* text, const char* expected) {
    return judge_answer(text, {expected}, "number");
  };
  AnswerJudgement j = gsm("He has 3 apples, so 3*4 = 12.\n#### 12", "5+7=12\n#### 12");
  CHECK((j.correct && j.strict && j.flexible && !j.unparsed));
  j = gsm("So we get $1,234.50.", "#### 1234.5");
  CHECK((j.correct && !j.strict && j.flexible));
  CHECK(gsm("The answer is 7. Checked against 9.", "#### 7").strict);
  CHECK(!gsm("The answer is 7. Checked against 9.", "#### 7").flexible);
  CHECK(gsm("no idea", "#### 7").unparsed);
  CHECK(gsm("it is -5", "#### -5").correct);
  CHECK(!gsm("it is 15", "#### 5").correct);
  CHECK(gsm("答案是42。", "#### 42").strict);
  CHECK(gsm("<think>maybe 3</think>4", "#### 4").correct);
  CHECK(gsm("<think>4", "#### 4").unparsed);
}

TEST_CASE("repeating decimals, halves and degrees below zero are numbers") {
  const auto same = [](const char* text, const char* expected) {
    CAPTURE(text);
    return judge_answer(text, {expected}, "number").correct;
  };
  CHECK(same("\\boxed{0.\\overline{3}}", "1/3"));
  CHECK(same("The answer is $0.1\\overline{6}$.", "1/6"));
  CHECK(same("\\boxed{-1.\\overline{36}}", "-15/11"));
  CHECK(same("\\boxed{0.\\bar{9}}", "1"));
  CHECK(same("\\boxed{\\frac{1}{3}}", "0.\\overline{3}"));
  CHECK(!same("\\boxed{0.\\overline{3}}", "0.3"));
  CHECK(!same("\\boxed{\\overline{3}}", "1/3"));
  CHECK(same("答案是一半。", "1/2"));
  CHECK(same("半", "0.5"));
  CHECK(same("需要两个半小时", "2.5"));
  CHECK(same("答案是三个半。", "3.5"));
  CHECK(same("图中有两个半圆", "2"));
  CHECK(same("5个，占另一半", "5"));
  CHECK(same("答案是零下五度。", "-5"));
  CHECK(same("零下十二度", "-12"));
  CHECK(same("零下5℃", "-5"));
  CHECK(same("零", "0"));
}

TEST_CASE("exact and contains") {
  CHECK(judge_answer(" 1282. ", {"1282"}, "exact").correct);
  CHECK(judge_answer("1,282", {"1282"}, "exact").correct);
  CHECK(!judge_answer("it is 1282", {"1282"}, "exact").correct);
  CHECK(judge_answer("it is 1282", {"1282"}, "exact").flexible);
  CHECK(judge_answer("**西瓜**。", {"西瓜"}, "exact").correct);
  CHECK(judge_answer("你叫小伟。", {"小伟"}, "contains").correct);
  CHECK(judge_answer("", {"x"}, "exact").unparsed);
}

TEST_CASE("the embedded sets are whole, and the order of items does not depend on concurrency") {
  const std::string data = DS_SOURCE_DIR "/data";
  CHECK(read_questions("math", data).size() == 300);
  CHECK(read_questions("multiturn", data).size() == 60);
  const auto reading = read_questions("reading", data);
  CHECK(reading.size() == 100);
  EchoTarget target;
  target.answer = "unknown";
  std::vector<ItemRecord> items;
  AskOptions o;
  o.clients = 4;
  o.on_item = [&](const ItemRecord& i) { items.push_back(i); };
  CHECK(ask(target, reading, o));
  REQUIRE(items.size() == 100);
  for (size_t i = 0; i < items.size(); ++i) CHECK(items[i].id == reading[i].request.id);
  const auto all = tallies(items);
  CHECK(all[0].n == 100);
  CHECK(all[0].n_correct > 0);
  CHECK(all[0].n_correct < 30);
}

TEST_CASE("questions that make no sense name their line") {
  const auto read = [](const std::string& text) {
    ds::io::AtomicFile file("questions_test.jsonl");
    file.write(text);
    file.commit();
    return read_questions("questions_test.jsonl", "");
  };
  CHECK(read("{\"question\":\"2+2?\",\"answer\":\"#### 4\"}\n")[0].match == "number");
  CHECK(read("{\"prompt\":\"2+2?\",\"answer\":4}\n")[0].expected[0] == "4");
  for (const char* bad :
       {"", "{}", "[1]", "{\"prompt\":\"x\"}", "{\"answer\":\"x\"}",
        "{\"prompt\":\"x\",\"answer\":\"y\",\"match\":\"fuzzy\"}",
        "{\"messages\":[{\"role\":\"user\"}],\"answer\":\"y\"}",
        "{\"id\":\"a\",\"prompt\":\"x\",\"answer\":\"y\"}\n{\"id\":\"a\",\"prompt\":\"x\",\"answer\":\"y\"}"})
    CHECK_THROWS_AS(read(bad), ds::Error);
  std::remove("questions_test.jsonl");
}

TEST_CASE("McNemar on two runs, with the flipped items") {
  const auto a = evaluation(100, 5).items, b = evaluation(100, 20).items;
  ItemComparison c = compare_items(a, b, 0.05);
  CHECK(c.verdict == "WORSE");
  CHECK(c.exit_code == 1);
  CHECK(c.flipped.size() == 15);
  CHECK(c.flipped[0] == "q5: right > wrong (expected \"1\", got \"no\")");
  CHECK(c.p < 0.001);
  CHECK(compare_items(b, a, 0.05).verdict == "BETTER");
  CHECK(compare_items(a, a, 0.05).verdict == "SAME");
  CHECK(compare_items(evaluation(10, 1).items, evaluation(10, 2).items, 0.05).exit_code == 3);
  auto other = a;
  other[0].expected = "2";
  CHECK_THROWS_AS(compare_items(a, other, 0.05), ds::Error);
}

TEST_CASE("answers as a person reads them") {
  struct Sample {
    const char *text, *expected, *match;
    bool right;
  };
  for (const Sample& x :
       std::vector<Sample>{{"\\boxed{\\dfrac{6}{8}}", "3/4", "number", true},
                           {"It is $-\\frac{1}{2}$.", "-0.5", "number", true},
                           {"2\\frac{1}{2}", "2.5", "number", true},
                           {"1 1/2 cups", "1.5", "number", true},
                           {"The answer is 3/5.", "3/4", "number", false},
                           {"Born on 3/4/2024", "2024", "number", false},
                           {"\\boxed{12{,}345{,}678}", "12345678", "number", true},
                           {"\\boxed{12\\,345{,}678}", "12345678", "number", true},
                           {"$12\\;345\\!678$", "12345678", "number", true},
                           {"$1,\\!234,\\! 567$", "1234567", "number", true},
                           {"$12~345{,}678$", "12345678", "number", true},
                           {"$12~345~678$", "12345678", "number", true},
                           {"$1{\\,}234\\, 567.5$", "1234567.5", "number", true},
                           {"$3.141\\,592\\,653$", "3.141592653", "number", true},
                           {"$12\u2009345'678$", "12345678", "number", true},
                           {"12_345,678", "12345678", "number", true},
                           {"12 345,67", "12345.67", "number", true},
                           {"12,345 or 12,34", "12.34", "number", true},
                           {"between 100~200", "200", "number", true},  // a range
                           {"5,000~100,000", "100000", "number", true},
                           {"1, 234", "234", "number", true},  // a list
                           {"$1,\\,234$", "234", "number", true},
                           {"$1\\quad 234$", "234", "number", true},
                           {"1,234,56", "1234", "number", false},
                           {"分别是3，400", "400", "number", true},
                           {"１，２３４", "1234", "number", true},
                           {"a total of (1,234)", "1234", "number", true},
                           {"(1,234)", "(1, 234)", "exact", true},
                           {"1,234", "1, 234", "exact", false},
                           {"1, 234", "1234", "exact", false},
                           {"3, 4", "3,4", "exact", true},
                           {"12\\,345{,}678", "12345678", "exact", true},
                           {"12 345 678 people", "12345678", "number", true},
                           {"12'345.50", "12345.5", "number", true},
                           {"1.234.567", "1234567", "number", true},
                           {"1.234.567,5", "1234567.5", "number", true},
                           {"12,34,567 rupees", "1234567", "number", true},
                           {"0,75", "3/4", "number", true},
                           {"\u22125", "-5", "number", true},
                           {"007", "7", "number", true},
                           {"50\\%", "0.5", "number", true},
                           {"50 %", "50", "number", true},
                           {"1.5 \\times 10^{3}", "1500", "number", true},
                           {"6.02e23", "602000000000000000000000", "number", true},
                           {"答案是一百二十三。", "123", "number", true},
                           {"答案：四分之三", "0.75", "number", true},
                           {"百分之十二点五", "12.5", "number", true},
                           {"共３万２千", "32000", "number", true},
                           {"1万5", "15000", "number", true},
                           {"1万5000", "15000", "number", true},
                           {"3百", "300", "number", true},
                           {"2千米", "2", "number", true},
                           {"1.2万", "12000", "number", true},
                           {"1又1/2", "1.5", "number", true},
                           {"三又二分之一", "3.5", "number", true},
                           {"負五", "-5", "number", true},
                           {"廿三", "23", "number", true},
                           {"百分之百", "100%", "number", true},
                           {"千分之五", "0.005", "number", true},
                           {"The answer is 1.234,56 €.", "1234.56", "number", true},
                           {"1.234,56", "56", "number", false},
                           {"$1.5 million", "1500000", "number", true},
                           {"The answer is 1.5 million.", "1.5", "number", false},
                           {"1500000", "1.5 million", "number", true},
                           {"共3万元", "30000", "number", true},
                           {"两千零五", "2005", "number", true},
                           {"负五", "-5", "number", true},
                           {"一些人说对", "1", "number", false},
                           {"So \\boxed{x = 5}", "5", "number", true},
                           {"The answer is 42 (after 3 tries).", "42", "number", true},
                           {"The answer is 7. No: the answer is 9.", "9", "number", true},
                           {"12345678901234567890123456789012345678901",
                            "12345678901234567890123456789012345678902", "number", false},
                           {"The answer is (B).", "B", "choice", true},
                           {"B) Paris, since A is wrong. Answer: B", "B", "choice", true},
                           {"A or B", "A", "choice", false},
                           {"I think a lot. It must be C.", "C", "choice", true},
                           {"b", "B", "choice", true},
                           {"(a)", "A", "choice", true},
                           {"b) Paris", "B", "choice", true},
                           {"The answer is (b).", "B", "choice", true},
                           {"\\boxed{c}", "C", "choice", true},
                           {"C", "c", "choice", true},
                           {"a lot of them", "A", "choice", false},
                           {"The correct option is D: all of A, B and C", "D", "choice", true},
                           {"Not A. Not B. It is C.", "C", "choice", true},
                           {"The answer is not B.", "B", "choice", false},
                           {"Both A and B", "B", "choice", false},
                           {"Both A and B", "A", "choice", false},
                           {"The answer is A and B.", "A", "choice", false},
                           {"Vitamin C is good", "C", "choice", false},
                           {"Vitamin C is good. I choose B", "B", "choice", true},
                           {"cafe\u0301", "caf\u00e9", "exact", true},
                           {"the caf\u00e9", "cafe\u0301", "contains", true},
                           {"cafe", "caf\u00e9", "exact", false},
                           {"\\boxed{\\text{Paris}}", "Paris", "exact", true},
                           {"ＰＡＲＩＳ", "PARIS", "exact", true},
                           {"\\frac{1}{2}", "0.5", "exact", true},
                           // No numbers, whatever digits they have.
                           {"5/0", "5", "number", false},
                           {"5/0", "0", "number", false},
                           {"It is 5 / 00.", "5", "number", false},
                           {"3/0.5", "6", "number", true},
                           {"At 7:30.", "30", "number", false},
                           {"At 7:30:15", "15", "number", false},
                           {"At 7:30.", "7:30", "number", false},  // the whole text, or a marked one
                           {"The answer is 7:30.", "7:30", "number", true},
                           {"The answer is 7:45.", "7:30", "number", false},
                           {"Answer:42", "42", "number", true},
                           {"\u00bd", "0.5", "number", true},
                           {"3\u00bd", "3.5", "number", true},
                           {"3 \u00bd cups", "7/2", "number", true},
                           {"-3\u00be", "-3.75", "number", true},
                           {"\u2154 of it", "2/3", "number", true},
                           {"\u00bd", "1/2", "exact", true},
                           {"叁", "3", "number", true},
                           {"答案是拾伍。", "15", "number", true},
                           {"共计壹仟贰佰叁拾肆元整", "1234", "number", true},
                           {"三萬五", "35000", "number", true},
                           {"3萬", "30000", "number", true},
                           {"五个，队伍陆续到了", "5", "number", true},
                           {"七个人在收拾", "7", "number", true},
                           {"10^6", "1000000", "number", true},
                           {"$10^{6}$", "1000000", "number", true},
                           {"2^10", "1024", "number", true},
                           {"10^{-3}", "0.001", "number", true},
                           {"10\u2076", "1000000", "number", true},
                           {"10\u207b\u00b3", "0.001", "number", true},
                           {"25 cm\u00b2", "25", "number", true},
                           {"10^9999", "10", "number", false},
                           {"0^-1", "0", "number", false},
                           {"five", "5", "number", false},  // words are words
                           {"(1, 2)", "(1,2)", "exact", true},
                           {"( 1 , 2 )", "(1,2)", "exact", true},
                           {"[1;  2]", "[1; 2]", "exact", true},
                           {"x = 5", "x=5", "exact", true},
                           {"a + b", "a+b", "exact", true},
                           {"5 -3", "5-3", "exact", false},  // two numbers
                           {"New York", "NewYork", "exact", false},
                           {"(1, 3)", "(1,2)", "exact", false},
                           {"", "0", "number", false}}) {
    INFO(std::string(x.text), " for ", std::string(x.expected));
    CHECK(judge_answer(x.text, {x.expected}, x.match).correct == x.right);
  }
  // A marked expression is no number, whatever digit it ends in; it is right where it is what is expected.
  for (const char* expression : {"\\sqrt{16}",
                                 "\\sqrt{2}",
                                 "2\\pi",
                                 "\\frac{\\sqrt2}{2}",
                                 "5x",
                                 "5x+3",
                                 "x^2",
                                 "42!",
                                 "\\log 10",
                                 "3i",
                                 "1+2i",
                                 "\\frac{x}{2}",
                                 "\\frac{2}{x}",
                                 "x>2",
                                 "\\le 2",
                                 "\\pm 2",
                                 "100_{2}",
                                 "[1,2)",
                                 "(1, 2)",
                                 "(1,2)",
                                 "2, 3",
                                 "2\\sqrt{3}",
                                 "x^2+2",
                                 "2^{x}",
                                 "2x+3y=2",
                                 "a/2",
                                 "1/2 + 1/3",
                                 "\\binom{5}{2}",
                                 "2\\text{ hours }30\\text{ min}",
                                 "\\infty",
                                 "\\text{none}"}) {
    INFO(std::string(expression));
    const std::string boxed = "2 ways: \\boxed{" + std::string(expression) + "} of 2";
    for (const char* digit : {"2", "3", "10", "16", "100", "5", "42"})
      CHECK(!judge_answer(boxed, {digit}, "number").correct);
    CHECK(judge_answer(boxed, {expression}, "number").correct);
    CHECK(!judge_answer(boxed, {std::string(expression) + "+7"}, "number").correct);
    CHECK(!judge_answer(boxed, {"2"}, "number").unparsed);
    CHECK(!judge_answer("\\boxed{2}", {expression}, "number").correct);
  }
  for (const auto& [text, expected] : {std::pair("\\boxed{2\\sqrt 3}", "2\\sqrt{3}"),
                                       {"\\boxed{x = 2\\sqrt{3}}", "2\\sqrt{3}"},
                                       {"\\boxed{( 1, 2 )}", "(1,2)"},
                                       {"The answer is $x^{2} + 1$.", "x^2+1"},
                                       {"\\boxed{5 m^2}", "5"},
                                       {"It is 5 m^2.", "5"},
                                       {"5 cm3", "5"},
                                       {"\\boxed{42\\ \\text{square units}}", "42"},
                                       {"\\boxed{{42}}", "42"},
                                       {"\\boxed{(42)}", "42"},
                                       {"\\boxed{\\text{(C) }5}", "5"},
                                       {"\\boxed{a_{1}=5}", "5"},
                                       {"\\boxed{40 + 2 = 42}", "42"},
                                       {"\\boxed{5}", "x=5"},
                                       {"\\boxed{2^7}", "128"},
                                       {"**42**", "42"},
                                       {"CO2 weighs 5", "5"},
                                       {"x = 12, checked in x^2", "12"}}) {
    const std::string given = text;
    INFO(given);
    CHECK(judge_answer(given, {expected}, "number").correct);
  }
  CHECK(judge_answer("NYC", {"New York", "NYC"}, "exact").correct);
  CHECK(!judge_answer("LA", {"New York", "NYC"}, "exact").correct);
}

TEST_CASE("drift: questions that vary by chance raise no alarm for years, a fall does within days" *
          doctest::test_suite("simulation")) {
  // 40 of 200 questions are a coin's toss each day, at a temperature above 0.
  std::mt19937_64 rng(3);
  const auto day = [&](double fallen) {
    std::map<std::string, bool> out;
    for (int i = 0; i < 200; ++i)
      out["q" + std::to_string(i)] =
          i < 40 ? rng() & 1 : std::uniform_real_distribution<double>(0, 1)(rng) >= fallen;
    return out;
  };
  const auto days_until_alarm = [&](double fallen, int most) {
    PastAnswers past;
    double sum = 0;
    for (int n = 0; n < most; ++n) {
      const auto today = day(n >= 3 ? fallen : 0);
      if (n) sum = std::max(0.0, sum + drift_evidence(past, today));
      if (sum >= std::log(730.0)) return n;
      ++past.n_days;
      for (const auto& [id, right] : today) past.n_right[id] += right;
    }
    return most;
  };
  int alarms = 0, found = 0;
  for (int trial = 0; trial < 60; ++trial) {
    alarms += days_until_alarm(0, 73) < 73;  // a tenth of the stated time
    found += days_until_alarm(0.1, 20) < 20;
  }
  MESSAGE(alarms, " of 60 ledgers of 73 quiet days raised an alarm; ", found,
          " of 60 falls of ten points were found");
  CHECK(alarms <= 12);  // 10 % of 60, and what a binomial adds once in a hundred
  CHECK(found >= 51);   // 85 % within seventeen days
  // The same answers say nothing, in whatever order their questions stand.
  PastAnswers past;
  past.n_days = 5;
  std::map<std::string, bool> today;
  for (int i = 0; i < 100; ++i)
    today["q" + std::to_string(i)] = i % 2, past.n_right["q" + std::to_string(i)] = i % 2 * 5;
  CHECK(drift_evidence(past, today) == 0);
}

TEST_CASE("ledger: a busy server, another set and half an entry") {
  const std::string path = "drift_kinds_test.jsonl";
  std::remove(path.c_str());
  DriftOptions o;
  o.ledger = path;
  add_to_ledger(evaluation(20, 2), o);
  RecordSet busy = evaluation(20, 2);
  for (int i = 0; i < 10; ++i)
    busy.items[i].error = "http_503", busy.items[i].error_detail = "overloaded",
    busy.items[i].correct = false;
  try {
    add_to_ledger(busy, o);
    FAIL("not refused");
  } catch (const ds::Error& e) {
    CHECK(e.message().find("10 http_503 (overloaded)") != std::string::npos);
  }
  CHECK(read_ledger(path).size() == 1);
  RecordSet other = evaluation(20, 2);
  other.items[3].expected = "2";  // the same name, the same ids, another question
  CHECK_THROWS_AS(add_to_ledger(other, o), ds::Error);
  RecordSet shuffled = evaluation(20, 2);
  std::reverse(shuffled.items.begin(), shuffled.items.end());
  CHECK(add_to_ledger(shuffled, o).sum == 0);
  RecordSet renamed = evaluation(20, 2);
  for (ItemRecord& i : renamed.items) i.set = "math-copy";
  CHECK(compare_items(renamed.items, evaluation(20, 2).items, 0.05).n_common == 20);
  // Killed in the middle of a write.
  {
    const ds::io::FileHandle file(::open(path.c_str(), O_WRONLY | O_APPEND));
    ds::io::write_all(file.get(), "{\"type\":\"drift\",\"seq", path);
  }
  CHECK(read_ledger(path).size() == 2);
  const DriftResult third = add_to_ledger(renamed, o);
  CHECK(third.n_entries == 3);
  CHECK(third.warning.find("its last line ends in the middle (20 bytes)") != std::string::npos);
  CHECK(read_ledger(path).size() == 3);
  CHECK(add_to_ledger(evaluation(20, 2), o).warning.empty());
  {
    ds::io::AtomicFile file(path);
    file.write("{\"type\":\"drift\",\"seq");
    file.commit();
  }
  CHECK(add_to_ledger(evaluation(20, 2), o).warning.find("a new baseline begins here") != std::string::npos);
  std::remove(path.c_str());
}

TEST_CASE("ledger: entries of another model are told apart by digest, else by name") {
  const std::string path = "drift_models_test.jsonl";
  std::remove(path.c_str());
  DriftOptions o;
  o.ledger = path;
  const auto add = [&](const char* model, const std::string& digest) {
    RecordSet set = evaluation(20, 2);
    ds::Json target{{"kind", "engine"}, {"model", model}};
    if (!digest.empty()) target["digest"] = digest;
    set.headers.assign(1, ds::Json{{"type", "header"}, {"target", target}});
    return add_to_ledger(set, o).warning;
  };
  const std::string a = "sha256:aaaaaaaaaaaaaaaaaaaa", b = "sha256:bbbbbbbbbbbbbbbbbbbb";
  CHECK(add("base", a).empty());
  CHECK(add("renamed", a).empty());
  CHECK(add("tuned", b) ==
        "2 of the ledger's 2 earlier entries are of another model, the last of them of renamed "
        "(sha256:aaaaaaaaaaaa); this one is of tuned (sha256:bbbbbbbbbbbb): a change of answers may be the "
        "model's. One ledger a model tells them apart");
  CHECK(add("tuned", b).find("2 of the ledger's 3") != std::string::npos);
  CHECK(add("served", "").find("this one is of served:") != std::string::npos);
  std::remove(path.c_str());
  CHECK(add("served", "").empty());
  CHECK(add("served", "").empty());
  CHECK(add("other", "").find("of served; this one is of other") != std::string::npos);
  std::remove(path.c_str());
}

TEST_CASE("ledger: chained, append-only, alarm after a fall") {
  const std::string path = "drift_test.jsonl";
  std::remove(path.c_str());
  DriftOptions o;
  o.ledger = path;
  o.time_utc = "2030-01-01T00:00:00Z";
  const auto add = [&](const RecordSet& set) {
    const DriftResult r = add_to_ledger(set, o);
    return r;
  };
  CHECK(!add(evaluation(100, 10)).alarm);
  for (int i = 0; i < 5; ++i) CHECK(!add(evaluation(100, 10)).alarm);
  CHECK(!add(evaluation(100, 10)).outputs_changed);
  const DriftResult changed = add(evaluation(100, 10, "other words"));
  CHECK(changed.outputs_changed);
  CHECK(changed.first_changed == "q0");
  bool alarm = false;
  int n_days = 0;
  for (; n_days < 10 && !alarm; ++n_days) alarm = add(evaluation(100, 30)).alarm;
  CHECK(alarm);
  CHECK(n_days <= 3);
  CHECK(read_ledger(path).size() == static_cast<size_t>(8 + n_days));

  CHECK_THROWS_AS(add_to_ledger(evaluation(50, 1), o), ds::Error);  // another set
  RecordSet partial = evaluation(100, 1);
  partial.interrupted = true;
  CHECK_THROWS_AS(add_to_ledger(partial, o), ds::Error);

  std::string text = ds::io::read_file(path);
  text.replace(text.find("\"n_correct\":90"), 14, "\"n_correct\":91");
  {
    ds::io::AtomicFile file(path);
    file.write(text);
    file.commit();
  }
  CHECK_THROWS_AS(read_ledger(path), ds::Error);
  std::remove(path.c_str());
}

TEST_CASE("ledger: the chart is the sum of the evidence, never below 0, and begins anew after an alarm") {
  const std::string path = "drift_chart_test.jsonl";
  std::remove(path.c_str());
  std::mt19937_64 rng(11);
  DriftOptions o;
  o.ledger = path;
  o.false_alarm_days = 30;
  // The definition, written down once more: of k right answers on m days today's is the odd one.
  double chart = 0, highest = 0;
  bool ended = false;
  int n_days = 0, n_alarms = 0, n_floors = 0;
  std::map<std::string, int> n_right;
  for (int day = 0; day < 60; ++day) {
    const double fallen = day % 20 > 14 ? 0.35 : 0.1;
    RecordSet set = evaluation(80, 0);
    double evidence = 0;
    for (ItemRecord& i : set.items) {
      i.correct = std::uniform_real_distribution<double>(0, 1)(rng) >= fallen;
      const double m = n_days + 1, k = n_right[i.id] + i.correct, odd = k / (k + 3 * (m - k));
      if (k > 0 && k < m) evidence += i.correct ? std::log(odd / (k / m)) : std::log((1 - odd) / (1 - k / m));
    }
    if (day > 0) {
      n_floors += (ended ? 0 : chart) + evidence < 0;
      chart = std::max(0.0, (ended ? 0 : chart) + evidence);
    }
    highest = std::max(highest, chart);
    const DriftResult r = add_to_ledger(set, o);
    INFO("day ", day);
    CHECK(r.limit == doctest::Approx(std::log(30.0)));
    CHECK(r.sum == doctest::Approx(chart));
    CHECK(r.alarm == (chart >= r.limit));
    ended = r.alarm;
    n_alarms += r.alarm;
    if (r.alarm) continue;  // no part of what is usual
    ++n_days;
    for (const ItemRecord& i : set.items) n_right[i.id] += i.correct;
  }
  CHECK(n_alarms > 1);
  CHECK(n_floors > 1);
  CHECK(highest > std::log(30.0));
  std::remove(path.c_str());
}

TEST_CASE("ledger: other answers are a change of the same model on the same machine, and of no other") {
  const std::string path = "drift_machine_test.jsonl";
  const auto changed = [&](const std::string& digest, const std::string& cpu, const std::string& isa) {
    std::remove(path.c_str());
    DriftOptions o;
    o.ledger = path;
    for (const bool second : {false, true}) {
      RecordSet set = evaluation(20, 2, second ? "other words" : "no");
      const ds::Json machine =
          second ? ds::Json{{"cpu_model", cpu}, {"isa", isa}} : ds::Json{{"cpu_model", "X"}, {"isa", "avx2"}};
      set.headers = {ds::Json{
          {"type", "header"}, {"target", ds::Json{{"digest", second ? digest : "d"}}}, {"env", machine}}};
      const DriftResult r = add_to_ledger(set, o);
      if (second) return r.outputs_changed;
    }
    return false;
  };
  CHECK(changed("d", "X", "avx2"));
  CHECK_FALSE(changed("e", "X", "avx2"));
  CHECK_FALSE(changed("d", "Y", "avx2"));
  CHECK_FALSE(changed("d", "X", "scalar"));
  CHECK_FALSE(changed("", "X", "avx2"));
  std::remove(path.c_str());
}

TEST_CASE(
    "perplexity of a uniform model is its vocabulary; KL to itself is 0, to a tilted one the closed form") {
  FlatLogits source;
  const std::string text(200, 'a');
  PerplexityOptions o;
  double nll = 0, n = 0, kld = -1;
  o.on_item = [&](const ItemRecord& i) { nll += i.nll, n += double(i.n_out), kld = i.kld; };
  CHECK(run_perplexity(source, text, o));
  CHECK(n == 200);
  CHECK(std::exp(nll / n) == doctest::Approx(100));
  // Of a vocabulary within the stored top, the divergence is exact.
  source.V = 40;
  const std::string small(200, char(100 + 7));
  o.write_baseline = "kld_test.bin";
  CHECK(run_perplexity(source, small, o));
  o.write_baseline.clear();
  o.baseline = "kld_test.bin";
  CHECK(run_perplexity(source, small, o));
  CHECK(kld == doctest::Approx(0).epsilon(1e-6));
  source.tilt = 2;
  CHECK(run_perplexity(source, small, o));
  const double z = 39 + std::exp(2.0);
  CHECK(kld == doctest::Approx(std::log(1.0 / 40) - (std::log(1 / z) + 2.0 / 40)).epsilon(1e-5));
  CHECK_THROWS_AS(run_perplexity(source, small + "more", o), ds::Error);
  // Of a larger vocabulary all beyond the top 64 is one token on both sides.
  source.V = 100, source.tilt = 0;
  o.write_baseline = "kld_test.bin", o.baseline.clear();
  CHECK(run_perplexity(source, small, o));
  o.write_baseline.clear(), o.baseline = "kld_test.bin";
  source.tilt = 2;
  CHECK(run_perplexity(source, small, o));
  const double zz = 99 + std::exp(2.0);
  CHECK(kld == doctest::Approx(0.01 * std::log(0.01 * zz / std::exp(2.0)) + 0.63 * std::log(0.01 * zz) +
                               0.36 * std::log(0.36 * zz / 36))
                   .epsilon(1e-4));
  source.V = 40, source.tilt = 0;
  o.write_baseline = "kld_test.bin", o.baseline.clear();
  CHECK(run_perplexity(source, small, o));
  o.write_baseline.clear(), o.baseline = "kld_test.bin";
  std::string broken = ds::io::read_file("kld_test.bin");
  broken.resize(broken.size() - 1);
  {
    ds::io::AtomicFile file("kld_test.bin");
    file.write(broken);
    file.commit();
  }
  CHECK_THROWS_AS(run_perplexity(source, small, o), ds::Error);
  std::remove("kld_test.bin");
}

TEST_CASE("perplexities compared: the ratio's interval is Student's of paired windows") {
  const std::vector<double> difference = {0.1, 0.3, 0.2, 0.4, 0.25, 0.35};
  std::vector<ItemRecord> a(6), b(6);
  double mean = 0, square = 0;
  for (size_t i = 0; i < 6; ++i) {
    a[i].id = b[i].id = std::to_string(i), a[i].n_out = b[i].n_out = 10;
    a[i].nll = 20 + static_cast<double>(i), b[i].nll = a[i].nll + 10 * difference[i];
    mean += difference[i] / 6;
  }
  for (const double d : difference) square += (d - mean) * (d - mean);
  const double half = 2.570582 * std::sqrt(square / 5 / 6);  // five degrees of freedom
  const PerplexityComparison c = compare_perplexity(a, b, 0.05);
  CHECK(c.b / c.a == doctest::Approx(std::exp(mean)));
  CHECK(c.ratio.lo == doctest::Approx(std::exp(mean - half)));
  CHECK(c.ratio.hi == doctest::Approx(std::exp(mean + half)));
  CHECK(c.verdict == "WORSE");
  CHECK(compare_perplexity(b, a, 0.05).verdict == "BETTER");
  a.resize(4), b.resize(4);
  CHECK(compare_perplexity(a, b, 0.05).exit_code == 3);
}

TEST_CASE("a report is self-contained and reads back the same") {
  RecordSet set = evaluation(40, 4);
  for (int i = 0; i < 60; ++i) {
    RequestRecord r;
    r.id = "r<&\"" + std::to_string(i);
    r.t_plan_ns = r.t_send_ns = i * 1000000, r.t_first_ns = r.t_send_ns + 500000 + i * 1000;
    r.t_last_ns = r.t_done_ns = r.t_first_ns + 100000;
    r.gaps_ns = {100000}, r.n_in = 10 + i, r.n_out = 2;
    set.requests.push_back(r);
  }
  const std::string page = report_html(set, {}, "a < b");
  for (const char* forbidden :
       {"<script", "http://", "https://", "@import", "url(", "<link", "<img", "<iframe", "onload"})
    CHECK(page.find(forbidden) == std::string::npos);
  CHECK(page.find("prefers-color-scheme:dark") != std::string::npos);
  CHECK(embedded_records(page, "page") == records_text(set));
  RecordSet empty;
  CHECK(report_html(empty, {}, "nothing").find("</html>") != std::string::npos);
}
