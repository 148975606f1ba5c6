#include "infer/scheduler.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <thread>

#include "infer/conversation.h"
#include "infer/engine.h"
#include "infer/model_change.h"
#include "infer/score.h"
#include "infer/shared_scheduler.h"
#include "io/files.h"

using namespace ds;
using namespace ds::infer;

namespace {

// A model without a tokenizer, small enough for long prompts under sanitizers.
const std::string kSmall = DS_SOURCE_DIR "/tests/golden/arch/deepseek_v3";
constexpr int64_t kSmallVocab = 320;

const Engine& small() {
  static const std::unique_ptr<const Engine> engine = [] {
    EngineOptions options;
    options.ctx = 4096;  // its config says 163,840
    return Engine::load(kSmall, options);
  }();
  return *engine;
}

const Engine& tiny() {
  static const std::unique_ptr<const Engine> engine = Engine::load(DS_SOURCE_DIR "/data/dsv3-tiny", {});
  return *engine;
}

std::vector<int32_t> some_tokens(int64_t n) {
  std::vector<int32_t> ids(n);
  for (int64_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>((i * 37 + 11) % 300);
  return ids;
}

GenerateRequest request_of(std::vector<int32_t> prompt, int64_t max_tokens = 8, double temperature = 0) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.settings.max_tokens = max_tokens;
  request.settings.sampling.temperature = temperature;
  request.exact_length = true;
  return request;
}

// Logits [T, V] after every token of a prompt.
std::vector<float> logits_of(Scheduler& scheduler, const std::vector<int32_t>& ids,
                             int64_t vocab_size = kSmallVocab) {
  std::vector<float> all;
  read_with_logits(scheduler, ids, "", {}, [&](int64_t first, std::span<const float> logits) {
    CHECK(first * vocab_size == static_cast<int64_t>(all.size()));
    all.insert(all.end(), logits.begin(), logits.end());
  });
  return all;
}

// Keeps all logits in `all`.
LogitsSink into(std::vector<float>& all) {
  return [&all](int64_t, std::span<const float> rows) { all.insert(all.end(), rows.begin(), rows.end()); };
}

// Waits for several answers.
struct Answers {
  std::vector<Generation> of;
  explicit Answers(size_t n) : of(n) {}
  GenerateSink sink(size_t i) {
    GenerateSink sink;
    sink.done = [this, i](Generation answer) { of[i] = std::move(answer); };
    return sink;
  }
};

std::string refusal(Scheduler& scheduler, GenerateRequest request) {
  try {
    scheduler.submit(std::move(request), {});
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadData);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a prompt of several chunks, and one that keeps its beginning, are answered alike") {
  Scheduler fresh(small());
  const std::vector<int32_t> ids = some_tokens(600);  // more than one chunk
  const Generation expected = fresh.run(request_of(ids), {}, {});
  CHECK(expected.ids.size() == 8);
  CHECK(expected.n_prompt_tokens == 600);
  CHECK(expected.n_cached_tokens == 0);

  Scheduler reused(small());
  std::vector<int32_t> other(ids.begin(), ids.begin() + 400);
  other.push_back(5);
  reused.run(request_of(other), {}, {});
  GenerateRequest again = request_of(ids);
  again.reuse = PrefixReuse::kToRounding;
  Generation answer = reused.run(again, {}, {});
  CHECK(answer.n_cached_tokens == 400);
  CHECK(answer.ids == expected.ids);
  // The whole prompt is there: one token is read again for its logits.
  answer = reused.run(again, {}, {});
  CHECK(answer.n_cached_tokens == 599);
  CHECK(answer.ids == expected.ids);
  again.reuse = PrefixReuse::kNone;
  answer = reused.run(again, {}, {});
  CHECK(answer.n_cached_tokens == 0);
  CHECK(answer.ids == expected.ids);
}

TEST_CASE(
    "whole chunks that another prompt begins with are not read again, and every bit is as if they were") {
  const int64_t chunk = small().plan().scheduler.chunk_tokens;
  const std::vector<int32_t> ids = some_tokens(2 * chunk + 100);
  std::vector<int32_t> other = ids;
  other[2 * chunk + 50] = 7;
  std::vector<int32_t> early = ids;
  early[chunk + 50] = 7;
  const auto logits = [](Scheduler& scheduler, const std::vector<int32_t>& prompt, int64_t n_cached) {
    std::vector<float> all;
    GenerateSink sink;
    sink.logits = into(all);
    CHECK(scheduler.run(request_of(prompt, 5), sink, {}).n_cached_tokens == n_cached);
    CHECK(all.size() == 5 * kSmallVocab);
    return all;
  };
  Scheduler fresh(small()), reused(small());
  const std::vector<float> want = logits(fresh, ids, 0);
  logits(reused, other, 0);
  CHECK(logits(reused, ids, 2 * chunk) == want);
  logits(reused, early, chunk);
  CHECK(logits(reused, ids, chunk) == want);
  CHECK(logits(reused, ids, 2 * chunk) == want);
  // What was read in other chunks gives other bits, and is not kept.
  logits(reused, some_tokens(100), 0);
  GenerateRequest uneven = request_of(ids);
  uneven.reuse = PrefixReuse::kToRounding;
  CHECK(reused.run(uneven, {}, {}).n_cached_tokens == 100);
  CHECK(logits(reused, ids, 0) == want);
}

TEST_CASE("a sequence that begins like one under way shares its pages") {
  EngineOptions options;
  options.max_sequences = 3;
  options.ctx = 4096;
  const auto engine = Engine::load(kSmall, options);
  Scheduler scheduler(*engine), alone(small());
  const int64_t chunk = engine->plan().scheduler.chunk_tokens;
  std::vector<int32_t> ids = some_tokens(chunk + 20), other = ids;
  other[chunk + 3] = 9;
  Answers answers(2);
  scheduler.submit(request_of(ids, 30), answers.sink(0));
  scheduler.step(), scheduler.step(), scheduler.step();
  scheduler.submit(request_of(other, 30), answers.sink(1));
  while (!scheduler.is_idle()) scheduler.step();
  CHECK(answers.of[1].n_cached_tokens == chunk);
  CHECK(answers.of[0].ids == alone.run(request_of(ids, 30), {}, {}).ids);
  CHECK(answers.of[1].ids == alone.run(request_of(other, 30), {}, {}).ids);
}

TEST_CASE("of several that begin alike and come at once, one reads the beginning for all") {
  EngineOptions options;
  options.max_sequences = 4;
  options.ctx = 4096;
  const auto engine = Engine::load(kSmall, options);
  Scheduler scheduler(*engine), alone(small());
  const int64_t chunk = engine->plan().scheduler.chunk_tokens;
  Answers answers(5);
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < 5; ++i) {
    std::vector<int32_t> ids = some_tokens(2 * chunk + 30);
    ids.push_back(static_cast<int32_t>(i));
    if (i == 3) ids = some_tokens(5);  // stays behind those before it
    requests.push_back(request_of(ids, 6));
    scheduler.submit(requests[i], answers.sink(i));
  }
  while (!scheduler.is_idle()) scheduler.step();
  for (size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(answers.of[i].n_cached_tokens == (i == 0 || i == 3 ? 0 : 2 * chunk));
    CHECK(answers.of[i].ids == alone.run(requests[i], {}, {}).ids);
  }
}

TEST_CASE("where the cache holds fewer tokens than all sequences may, they wait for it") {
  const auto folder = open_model(kSmall);
  const auto model = load_model(folder);
  MemoryPlanOptions wanted;
  wanted.ctx = 2048;
  wanted.max_sequences = 4;
  wanted.available_bytes = int64_t{1} << 30;
  const SchedulerSize whole = make_memory_plan(*folder, *model, wanted).scheduler;
  CHECK(whole.cache_tokens == 4 * 2048);
  wanted.max_sequences = 1;
  const SchedulerSize one = make_memory_plan(*folder, *model, wanted).scheduler;
  CHECK(one.cache_tokens == 2048);
  // Room for one context and a half.
  wanted.max_sequences = 4;
  wanted.available_bytes = (64 << 20) + model->weight_bytes() + whole.bytes() - whole.cache_bytes +
                           one.cache_bytes + one.cache_bytes / 2;
  const SchedulerSize half = make_memory_plan(*folder, *model, wanted).scheduler;
  CHECK(half.max_sequences == 4);
  CHECK(half.cache_tokens == 3072);
  CHECK(half.cache_bytes == one.cache_bytes + one.cache_bytes / 2);
  // Where it may choose, it leaves half of what is free, and takes no more sequences than there are requests.
  wanted.max_sequences = 0;
  wanted.n_requests = 3;
  const SchedulerSize chosen = make_memory_plan(*folder, *model, wanted).scheduler;
  CHECK(chosen.max_sequences == 3);
  CHECK(chosen.cache_tokens < half.cache_tokens);
  wanted.n_requests = 0;
  CHECK(make_memory_plan(*folder, *model, wanted).scheduler.max_sequences == kAutoSequences);

  EngineOptions options;
  options.max_sequences = 4;
  options.ctx = 640;
  options.cache_tokens = 640;
  const auto engine = Engine::load(kSmall, options);
  CHECK(engine->plan().scheduler.cache_tokens == 640);
  Scheduler scheduler(*engine), alone(small());
  Answers answers(12);
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < 12; ++i) {
    // Some would fill the cache alone; all begin alike, so that pages are shared and kept, too.
    GenerateRequest request = request_of(some_tokens(i % 4 == 3 ? 600 : 100 + 7 * i), i % 4 == 3 ? 40 : 30);
    request.reuse = i % 2 ? PrefixReuse::kSameBits : PrefixReuse::kNone;
    scheduler.submit(request, answers.sink(i));
    requests.push_back(request);
  }
  int64_t n_steps = 0;
  for (; !scheduler.is_idle(); ++n_steps) scheduler.step();
  CHECK(n_steps < 12 * 30);
  for (size_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    requests[i].reuse = PrefixReuse::kNone;
    CHECK(answers.of[i].ids == alone.run(requests[i], {}, {}).ids);
  }
}

TEST_CASE("with windows a prefix is kept while its rows are, and every bit is as if it were read anew") {
  EngineOptions options;
  options.ctx = 4096;
  options.max_sequences = 2;
  const auto engine = Engine::load(DS_SOURCE_DIR "/tests/golden/arch/mistral", options);
  const int64_t chunk = engine->plan().scheduler.chunk_tokens;
  REQUIRE(chunk == 512);
  std::vector<int32_t> ids(3 * chunk + 100);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * i % 311);
  std::vector<int32_t> late = ids, early = ids;
  late[3 * chunk + 50] = 7, early[chunk + 50] = 7;
  using Logits = std::vector<float>;
  const auto logits = [&](Scheduler& scheduler, const std::vector<int32_t>& prompt, int64_t n_cached) {
    Logits all;
    CHECK(scheduler.run(request_of(prompt, 5), {.logits = into(all)}, {}).n_cached_tokens == n_cached);
    CHECK(all.size() == 5 * kSmallVocab);
    return all;
  };
  const auto anew = [&](const std::vector<int32_t>& prompt) {
    Scheduler fresh(*engine);
    return logits(fresh, prompt, 0);
  };
  const Logits want = anew(ids), want_late = anew(late);
  Scheduler reused(*engine);
  CHECK(logits(reused, late, 0) == want_late);
  CHECK(logits(reused, ids, 3 * chunk) == want);
  // The rows that token `chunk` sees are long overwritten: all is read again.
  CHECK(logits(reused, early, 0) == anew(early));
  // A sequence under way gives what it still has, and both go on.
  Scheduler scheduler(*engine);
  Answers answers(2);
  Logits both[2];
  for (const int i : {0, 1}) {
    GenerateSink sink = answers.sink(i);
    sink.logits = into(both[i]);
    scheduler.submit(request_of(i == 0 ? ids : late, 5), sink);
    for (int step = 0; i == 0 && step < 5; ++step) scheduler.step();
  }
  while (!scheduler.is_idle()) scheduler.step();
  CHECK(answers.of[1].n_cached_tokens == 3 * chunk);
  CHECK(both[0] == want);
  CHECK(both[1] == want_late);
}

TEST_CASE("the cache of a windowed model costs the same for any context") {
  const auto folder = open_model(DS_SOURCE_DIR "/tests/golden/arch/mistral");
  const auto model = load_model(folder);
  MemoryPlanOptions options;
  options.ctx = 2048;
  const MemoryPlan plan = make_memory_plan(*folder, *model, options);
  options.ctx = 32768;
  CHECK(make_memory_plan(*folder, *model, options).scheduler.cache_bytes == plan.scheduler.cache_bytes);
  // Window, chunk and a row in pages of 64; keys and values of 32 floats in 3 layers.
  CHECK(plan.scheduler.cache_bytes == (24 + 512 + 1 + 63) / 64 * 64 * 3 * 2 * 32 * 4);
  CHECK(plan.text().find("0 B per token beyond the last 24, rows in f32\n") != std::string::npos);
  options.available_bytes = 1 << 20;
  try {
    make_memory_plan(*folder, *model, options);
    FAIL("must be refused");
  } catch (const Error& e) {
    CHECK(e.hint().find("lower --ctx; ") != std::string::npos);
  }
}

TEST_CASE("rows in bfloat16: half the cache, the same bits whoever shares the steps") {
  for (const char* folder : {"/tests/golden/arch/deepseek_v3", "/tests/golden/arch/deepseek_v32"}) {
    CAPTURE(folder);
    EngineOptions options;
    options.ctx = 1024;
    options.max_sequences = 3;
    const auto exact = Engine::load(std::string(DS_SOURCE_DIR) + folder, options);
    options.cache_type = DType::kBF16;
    options.n_threads = 3;
    const auto engine = Engine::load(std::string(DS_SOURCE_DIR) + folder, options);
    options.n_threads = 1;
    const auto single = Engine::load(std::string(DS_SOURCE_DIR) + folder, options);
    CHECK(engine->plan().scheduler.cache_bytes * 2 == exact->plan().scheduler.cache_bytes);
    CHECK(engine->plan().cache_bytes_per_token * 2 == exact->plan().cache_bytes_per_token);
    CHECK(engine->plan().text().find("rows in bf16\n") != std::string::npos);
    const int64_t V = engine->model().config().vocab_size, lengths[] = {600, 3, 90};
    const auto request = [&](int i) {
      std::vector<int32_t> ids = some_tokens(lengths[i]);
      for (int32_t& id : ids) id %= static_cast<int32_t>(V);
      return request_of(ids, 6);
    };
    Scheduler together(*engine);
    std::vector<float> logits[3];
    for (const int i : {0, 1, 2}) together.submit(request(i), {.logits = into(logits[i])});
    while (!together.is_idle()) together.step();
    for (const int i : {0, 1, 2}) {
      std::vector<float> alone, in_f32;
      Scheduler(*single).run(request(i), {.logits = into(alone)}, {});
      CHECK(logits[i] == alone);
      Scheduler(*exact).run(request(i), {.logits = into(in_f32)}, {});
      CHECK(logits[i] != in_f32);
    }
  }
}

TEST_CASE("a prompt's logits come whole and in order, the same bits whatever was read before") {
  Scheduler scheduler(small());
  const std::vector<int32_t> ids = some_tokens(600);
  const std::vector<float> first = logits_of(scheduler, ids);
  CHECK(first.size() == 600 * kSmallVocab);
  logits_of(scheduler, some_tokens(33));
  CHECK(logits_of(scheduler, ids) == first);
  CHECK(logits_of(scheduler, {}).empty());
}

TEST_CASE("what cannot be read is refused when it is submitted") {
  EngineOptions options;
  options.ctx = 32;
  const auto engine = Engine::load(kSmall, options);
  Scheduler scheduler(*engine);
  CHECK(refusal(scheduler, request_of({})).find("empty") != std::string::npos);
  CHECK(refusal(scheduler, request_of({0, kSmallVocab})).find("320") != std::string::npos);
  CHECK(refusal(scheduler, request_of({-1})).find("-1") != std::string::npos);
  CHECK(refusal(scheduler, request_of(some_tokens(25))).find("context of 32") != std::string::npos);
  CHECK(refusal(scheduler, request_of(some_tokens(24))) == "");
  GenerateRequest open_end = request_of(some_tokens(32));
  open_end.exact_length = false;
  CHECK(refusal(scheduler, open_end).find("and an answer") != std::string::npos);
  GenerateRequest read = request_of(some_tokens(32));
  read.prompt_logits = true;
  CHECK(refusal(scheduler, read) == "");
  CHECK(engine->plan().scheduler.bytes() >= 32 * 4 * 80 * 4);
}

TEST_CASE("what a sequence yields does not depend, to the bit, on those that share its steps") {
  EngineOptions options;
  options.max_sequences = 3;
  options.ctx = 4096;
  const auto engine = Engine::load(kSmall, options);
  Scheduler together(*engine), alone(small());
  // Long and short prompts, one that is only read, greedy and sampled.
  const int64_t lengths[] = {600, 3, 40, 1, 200, 7}, counts[] = {4, 9, 1, 12, 3, 2};
  const auto request_number = [&](size_t i) {
    GenerateRequest request = request_of(some_tokens(lengths[i]), counts[i], i % 2 ? 1 : 0);
    request.stream = i;
    request.prompt_logits = i == 4;
    return request;
  };
  Answers answers(6);
  std::vector<std::vector<float>> logits(6);
  for (size_t i = 0; i < 6; ++i) {
    CHECK(together.has_room() == (i < 3));
    GenerateSink sink = answers.sink(i);
    sink.logits = into(logits[i]);
    together.submit(request_number(i), sink);
  }
  int64_t n_steps = 0;
  for (; !together.is_idle(); ++n_steps) together.step();
  CHECK(n_steps < 4 + 9 + 1 + 12 + 2);
  for (size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    std::vector<float> want;
    GenerateSink sink;
    sink.logits = into(want);
    CHECK(answers.of[i].ids == alone.run(request_number(i), sink, {}).ids);
    CHECK(want.size() == kSmallVocab * static_cast<size_t>(i == 4 ? lengths[i] : counts[i]));
    CHECK(logits[i] == want);
  }
}

TEST_CASE("a cancelled request ends with what there is of it, the others go on") {
  EngineOptions options;
  options.max_sequences = 2;
  options.ctx = 4096;
  const auto engine = Engine::load(kSmall, options);
  Scheduler scheduler(*engine);
  Answers answers(3);
  std::vector<RequestId> ids;
  for (size_t i = 0; i < 3; ++i)
    ids.push_back(scheduler.submit(request_of(some_tokens(5 + i), 20), answers.sink(i)));
  for (int i = 0; i < 4; ++i) scheduler.step();
  scheduler.cancel(ids[0]);
  scheduler.cancel(ids[2]);  // not begun
  while (!scheduler.is_idle()) scheduler.step();
  scheduler.cancel(ids[1]);  // over
  CHECK(answers.of[0].finish_reason == FinishReason::kInterrupted);
  CHECK(answers.of[0].ids.size() == 4);
  CHECK(answers.of[1].finish_reason == FinishReason::kLength);
  CHECK(answers.of[1].ids.size() == 20);
  CHECK(answers.of[2].finish_reason == FinishReason::kInterrupted);
  CHECK(answers.of[2].ids.empty());
}

TEST_CASE("an error of one sequence ends that one alone") {
  EngineOptions options;
  options.max_sequences = 2;
  const auto engine = Engine::load(DS_SOURCE_DIR "/data/dsv3-tiny", options);
  Scheduler scheduler(*engine);
  Answers answers(2);
  GenerateSink failing = answers.sink(0);
  failing.text = [](Channel, std::string_view) { throw Error(ErrorKind::kIo, "full", "somewhere"); };
  GenerateRequest talking = request_of(tiny().text().encode_plain("Question: Why is the sky blue?\nAnswer:"));
  scheduler.submit(talking, failing);
  scheduler.submit(talking, answers.sink(1));
  while (!scheduler.is_idle()) scheduler.step();
  REQUIRE(answers.of[0].error);
  CHECK(answers.of[0].error->kind() == ErrorKind::kIo);
  CHECK_FALSE(answers.of[1].error);
  CHECK(answers.of[1].ids.size() == 8);
  failing = {};
  failing.text = [](Channel, std::string_view) { throw Error(ErrorKind::kIo, "full", "somewhere"); };
  CHECK_THROWS_AS(scheduler.run(talking, failing, {}), Error);
  CHECK(scheduler.run(talking, {}, {}).ids == answers.of[1].ids);
}

TEST_CASE("several threads share a scheduler, and each gets what it would alone") {
  EngineOptions options;
  options.max_sequences = 3;
  options.ctx = 512;
  const auto engine = Engine::load(kSmall, options);
  SharedScheduler shared(*engine);
  Scheduler alone(small());
  constexpr size_t kThreads = 5, kEach = 4;
  Generation answers[kThreads][kEach];
  const auto request = [](size_t thread, size_t i) {
    return request_of(some_tokens(static_cast<int64_t>(3 + 40 * i + thread)),
                      5 + static_cast<int64_t>(thread));
  };
  std::atomic<int> n_refused = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < kEach; ++i) answers[t][i] = shared.run(request(t, i), {}, {});
        try {
          shared.run(request_of({-1}), {}, {});
        } catch (const Error&) {
          ++n_refused;
        }
      });
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) {
        std::atomic<bool> stop = false;
        GenerateSink sink;
        sink.logits = [&](int64_t, std::span<const float>) { stop = true; };
        const Generation g = shared.run(request_of(some_tokens(9), 400), sink, [&] { return stop.load(); });
        CHECK(g.finish_reason == FinishReason::kInterrupted);
      }
    });
  }
  CHECK(n_refused == kThreads);
  for (size_t t = 0; t < kThreads; ++t)
    for (size_t i = 0; i < kEach; ++i) CHECK(answers[t][i].ids == alone.run(request(t, i), {}, {}).ids);
}

TEST_CASE("the plan refuses what cannot fit and shrinks the default context to what does") {
  const auto folder = open_model(DS_SOURCE_DIR "/data/dsv3-tiny");
  MemoryPlanOptions options;
  options.available_bytes = int64_t{1} << 30;
  CHECK(make_memory_plan(*folder, tiny().model(), options).scheduler.ctx == 4096);
  options.available_bytes = 96 << 20;
  const MemoryPlan small = make_memory_plan(*folder, tiny().model(), options);
  CHECK(small.ctx_reduced);
  CHECK(small.scheduler.ctx >= 16);
  CHECK(small.scheduler.bytes() < options.available_bytes);
  options.ctx = 4096;
  try {
    make_memory_plan(*folder, tiny().model(), options);
    FAIL("must be refused");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kOs);
    CHECK(std::string(e.what()).find("4096 tokens") != std::string::npos);
  }
  options.ctx = 0;
  // Room for the scheduler alone: weights that come and go must be asked for.
  options.available_bytes = 74 << 20;
  CHECK_THROWS_AS(make_memory_plan(*folder, tiny().model(), options), Error);
  options.weights = WeightPlacement::kMapped;
  CHECK_FALSE(make_memory_plan(*folder, tiny().model(), options).weights_fit());
  options.available_bytes = 1 << 20;
  CHECK_THROWS_AS(make_memory_plan(*folder, tiny().model(), options), Error);
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(1500) == "1.50 kB");
  CHECK(bytes_text(671000000000) == "671 GB");
}

TEST_CASE("an answer that is stopped between tokens says so") {
  Scheduler scheduler(tiny());
  GenerateRequest request;
  request.settings = tiny().defaults();
  request.prompt = tiny().text().encode_plain("Question: Why is the sky blue?\nAnswer:");
  int n = 0;
  const Generation stopped = scheduler.run(request, {}, [&] { return ++n > 3; });
  CHECK(stopped.finish_reason == FinishReason::kInterrupted);
  CHECK(stopped.ids.size() == 3);
  CHECK_FALSE(stopped.text.empty());
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

TEST_CASE("every window of a text begins as the tokenizer begins a text") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("ds-begin-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  for (const auto& entry : fs::directory_iterator(DS_SOURCE_DIR "/data/dsv3-tiny"))
    fs::create_symlink(entry.path(), folder / entry.path().filename());
  std::string config = io::read_file(DS_SOURCE_DIR "/data/dsv3-tiny/tokenizer_config.json");
  const std::string off = "\"add_bos_token\": false";
  REQUIRE(config.find(off) != std::string::npos);
  config.replace(config.find(off), off.size(), "\"add_bos_token\": true");
  fs::remove(folder / "tokenizer_config.json");
  io::AtomicFile file((folder / "tokenizer_config.json").string());
  file.write(config);
  file.commit();
  const auto begins = Engine::load(folder.string(), {});
  fs::remove_all(folder);
  CHECK_FALSE(begin_id(tiny().text()));
  REQUIRE(begin_id(begins->text()));
  CHECK(*begin_id(begins->text()) == begins->text().tokenizer().token_id("<｜begin▁of▁sentence｜>"));

  std::string text;
  for (int i = 0; i < 12; ++i) text += "The sky is blue, since air scatters blue light the most. ";
  const std::vector<int32_t> ids = begins->text().tokenizer().encode(text);
  Scheduler scheduler(*begins);
  for (const Engine* engine : {&tiny(), begins.get()}) {
    const auto begin = begin_id(engine->text());
    double sum = 0;
    int64_t n = 0;
    for (size_t at = 0; at < ids.size(); at += begin ? 31 : 32) {
      std::vector<int32_t> window;
      if (begin) window.push_back(*begin);
      for (size_t i = at; i < ids.size() && window.size() < 32; ++i) window.push_back(ids[i]);
      const std::vector<float> logits = logits_of(scheduler, window, 2048);
      for (size_t t = 1; t < window.size(); ++t, ++n)
        sum += log_probability(std::span(logits).subspan((t - 1) * 2048, 2048), window[t]);
    }
    const ModelChange change = compare_models(*engine, *engine, text, 32, "text");
    CHECK(change.n_tokens == n);
    CHECK(change.perplexity_before == doctest::Approx(std::exp(-sum / static_cast<double>(n))).epsilon(1e-9));
    CHECK(change.top1_agreement == 1);
  }
}
