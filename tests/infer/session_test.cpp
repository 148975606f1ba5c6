#include "infer/session.h"

#include <doctest/doctest.h>

#include <cmath>

#include "infer/conversation.h"
#include "infer/engine.h"
#include "infer/scheduler.h"
#include "infer/score.h"

using namespace ds;
using namespace ds::infer;

namespace {

const Engine& tiny() {
  static const std::unique_ptr<const Engine> engine = Engine::load(DS_SOURCE_DIR "/data/dsv3-tiny", {});
  return *engine;
}

std::vector<int32_t> some_tokens(int64_t n) {
  std::vector<int32_t> ids(n);
  for (int64_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>((i * 37 + 11) % 2000);
  return ids;
}

std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max<double>(worst, std::fabs(a[i] - b[i]));
  return worst;
}

}  // namespace

TEST_CASE("reading at once, in parts and with a kept prefix gives the same logits to rounding") {
  const std::vector<int32_t> ids = some_tokens(600);  // more than one chunk
  const std::span<const int32_t> all(ids);
  Session whole = tiny().new_session();
  const auto expected = copy(whole.read(all));
  CHECK(whole.length() == 600);

  Session parts = tiny().new_session();
  parts.read(all.first(1));
  parts.read(all.subspan(1, 250));
  CHECK(largest_difference(copy(parts.read(all.subspan(251))), expected) < 1e-3);

  // Another text with the same beginning, then back.
  Session reused = tiny().new_session();
  std::vector<int32_t> other(ids.begin(), ids.begin() + 400);
  other.push_back(5);
  reused.read(other);
  CHECK(reused.keep_common_prefix(ids) == 400);
  CHECK(largest_difference(copy(reused.read(all.subspan(400))), expected) < 1e-3);
  // The whole prompt is there: one token is read again for its logits.
  CHECK(reused.keep_common_prefix(ids) == 599);
  CHECK(largest_difference(copy(reused.read(all.subspan(599))), expected) < 1e-3);
  reused.clear();
  CHECK(reused.length() == 0);
  CHECK(copy(reused.read(all)) == expected);  // bit for bit
}

TEST_CASE("a session checks ids and room, and says its bytes") {
  Session session(tiny().model(), tiny().pool(), tiny().policy(), 32);
  CHECK_THROWS_AS(session.check(some_tokens(33), 0, "x"), Error);
  CHECK_THROWS_AS(session.check(some_tokens(32), 1, "x"), Error);
  CHECK_NOTHROW(session.check(some_tokens(32), 0, "x"));
  CHECK_THROWS_AS(session.check(std::vector<int32_t>{0, 2048}, 0, "x"), Error);
  CHECK_THROWS_AS(session.check(std::vector<int32_t>{-1}, 0, "x"), Error);
  CHECK(session.bytes() >= 32 * 4 * 80 * 4);
}

TEST_CASE("the plan refuses what cannot fit and shrinks the default context to what does") {
  const auto folder = open_model(DS_SOURCE_DIR "/data/dsv3-tiny");
  PlanOptions options;
  options.available_bytes = int64_t{1} << 30;
  CHECK(make_plan(*folder, tiny().model(), options).session.ctx == 4096);
  options.available_bytes = 96 << 20;
  const Plan small = make_plan(*folder, tiny().model(), options);
  CHECK(small.ctx_reduced);
  CHECK(small.session.ctx >= 16);
  CHECK(small.session.bytes() < options.available_bytes);
  options.ctx = 4096;
  try {
    make_plan(*folder, tiny().model(), options);
    FAIL("must be refused");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kOs);
    CHECK(std::string(e.what()).find("4096 tokens") != std::string::npos);
  }
  options.ctx = 0;
  // Room for the session alone: weights that come and go must be asked for.
  options.available_bytes = 74 << 20;
  CHECK_THROWS_AS(make_plan(*folder, tiny().model(), options), Error);
  options.weights = WeightPlacement::kMapped;
  CHECK_FALSE(make_plan(*folder, tiny().model(), options).weights_fit());
  options.available_bytes = 1 << 20;
  CHECK_THROWS_AS(make_plan(*folder, tiny().model(), options), Error);
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(1500) == "1.50 kB");
  CHECK(bytes_text(671000000000) == "671 GB");
}

TEST_CASE("an answer that is stopped between tokens says so") {
  Session session = tiny().new_session();
  Sampler sampler(2048);
  GenerateOptions options;
  options.settings = tiny().defaults();
  int n = 0;
  options.stop_requested = [&] { return ++n > 3; };
  const auto prompt = tiny().text().encode_plain("Question: Why is the sky blue?\nAnswer:");
  const Generation stopped = generate(tiny(), session, sampler, prompt, options, "");
  CHECK(stopped.finish_reason == FinishReason::kInterrupted);
  CHECK(stopped.ids.size() < 5);
  CHECK_THROWS_AS(generate(tiny(), session, sampler, {}, options, "here"), Error);
}

TEST_CASE("a conversation remembers earlier turns and keeps their cache") {
  RequestDefaults defaults;
  defaults.settings = tiny().defaults();
  Conversation conversation(tiny(), defaults);
  conversation.ask("Hello, I am Ben.", {}, {});
  conversation.ask("My pet is a bird.", {}, {});
  const Generation answer = conversation.ask("Who am I?", {}, {});
  CHECK(answer.text.find("Ben") != std::string::npos);
  CHECK(answer.n_cached_tokens > 0);
}

TEST_CASE("log_probability is a stable log-softmax") {
  const std::vector<float> logits = {1000.0f, 999.0f, -1000.0f};
  const double total = 1 + std::exp(-1.0);
  CHECK(log_probability(logits, 0) == doctest::Approx(-std::log(total)));
  CHECK(log_probability(logits, 1) == doctest::Approx(-1 - std::log(total)));
  CHECK(log_probability(logits, 2) == doctest::Approx(-2000 - std::log(total)));
  CHECK_THROWS_AS(log_probability(std::vector<float>{1.0f, NAN}, 0), Error);
}
