#include "bench/load/load.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "bench/load/run.h"
#include "bench/load/threads.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"

using namespace ds;
using namespace ds::bench;

namespace {

// Time that passes only when somebody sleeps or serves.
struct SimulatedClock : LoadClock {
  mutable int64_t t = 0;
  int64_t now() const override { return t; }
  void sleep_until(int64_t t_ns, const StopRequest&) const override { t = std::max(t, t_ns); }
};

// One server: 20 ms each, and one stall of 1 s.
struct StallingTarget : Target {
  SimulatedClock& clock;
  int64_t stall_at_ns;
  bool stalled = false;
  StallingTarget(SimulatedClock& c, int64_t at) : clock(c), stall_at_ns(at) {}
  int max_concurrency() const override { return 1; }
  ds::Json describe() const override { return {}; }
  Outcome send(const Request&, const StopRequest&) override {
    Outcome o;
    o.t_send_ns = clock.t;
    clock.t += 20'000'000;
    if (!stalled && o.t_send_ns >= stall_at_ns) stalled = true, clock.t += 1'000'000'000;
    o.event_ns = {clock.t};
    o.t_done_ns = clock.t;
    o.n_out = 1;
    return o;
  }
};

PlanOptions requests(int64_t n) {
  PlanOptions o;
  o.n_requests = n;
  o.warmup = 0;
  return o;
}

// Counts and answers at once; may fail or stop.
struct CountingTarget : Target {
  std::atomic<int64_t> n{0};
  std::string error;
  int max_concurrency() const override { return 8; }
  ds::Json describe() const override { return {}; }
  Outcome send(const Request&, const StopRequest&) override {
    ++n;
    Outcome o;
    o.t_send_ns = o.t_done_ns = 1;
    o.error = error;
    return o;
  }
};

}  // namespace

TEST_CASE("a known stall of 1 s: from send P99 is 20 ms, from plan 520 ms and P99.9 980 ms") {
  SimulatedClock clock;
  StallingTarget target(clock, 50'000'000'000);
  PlanOptions o = requests(2500);
  o.arrivals = Arrivals::kConstant;
  o.rates = {25};
  RecordSet set;
  LoadOptions load;
  load.clock = &clock;
  load.on_record = [&](const RequestRecord& r) { set.requests.push_back(r); };
  run_load({&target}, make_plan(o), load);
  REQUIRE(set.requests.size() == 2500);
  const auto group = summarize(set, {})[0];
  CHECK(group.find(Metric::kE2e, Clock::kSvc)->p99.value == doctest::Approx(20));
  CHECK(group.find(Metric::kE2e, Clock::kResp)->p99.value == doctest::Approx(520));
  auto values = metric_values(group_records(set, group), Metric::kE2e, Clock::kResp);
  std::sort(values.begin(), values.end());
  CHECK(quantile(values, 0.999) == doctest::Approx(980));
  auto sent = metric_values(group_records(set, group), Metric::kE2e, Clock::kSvc);
  std::sort(sent.begin(), sent.end());
  CHECK(quantile(sent, 0.999) == doctest::Approx(20));
  CHECK(find(*find((*find(stats_json(set, {group}, {}), "groups"))[0], "coordinated_omission_ms"), "p99")
            ->get<double>() == doctest::Approx(500));
}

TEST_CASE("closed loop, shards and resume send every request exactly once") {
  const Plan plan = make_plan(requests(97));
  std::multiset<std::string> seen;
  LoadOptions load;
  load.on_record = [&](const RequestRecord& r) { seen.insert(r.id); };
  CountingTarget target;
  for (int64_t i = 0; i < 3; ++i) {
    load.shard = {i, 3};
    run_load({&target}, plan, load);
  }
  CHECK(seen.size() == 97);
  CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == 97);

  // Stopped after 30, then the rest.
  seen.clear();
  LoadOptions first;
  first.on_record = [&](const RequestRecord& r) {
    seen.insert(r.id);
    first.skip.insert(skip_key(r));
  };
  first.stop = [&] { return seen.size() >= 30; };
  CHECK(run_load({&target}, plan, first).stopped);
  const size_t n_first = seen.size();
  CHECK(n_first < 40);
  LoadOptions rest = first;
  rest.stop = {};
  rest.on_record = [&](const RequestRecord& r) { seen.insert(r.id); };
  run_load({&target}, plan, rest);
  CHECK(seen.size() == 97);
  CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == 97);
}

TEST_CASE("interleaved arms take turns on the same requests, in a drawn order that the seed repeats") {
  CountingTarget a, b;
  const auto order = [&](uint64_t seed) {
    PlanOptions o = requests(400);
    o.seed = seed;
    std::vector<std::string> sent;
    LoadOptions load;
    load.on_record = [&](const RequestRecord& r) { sent.push_back(r.arm + r.id); };
    run_load({&a, &b}, make_plan(o), load);
    return sent;
  };
  const auto sent = order(1);
  REQUIRE(sent.size() == 800);
  int n_a_first = 0, n_switches = 0;
  for (size_t i = 0; i < sent.size(); i += 2) {
    CHECK(sent[i].substr(1) == sent[i + 1].substr(1));
    CHECK(sent[i][0] != sent[i + 1][0]);
    n_a_first += sent[i][0] == 'a';
    n_switches += i > 0 && sent[i][0] != sent[i - 2][0];
  }
  // 400 fair coins: 200 +- 10, and a switch every other time.
  CHECK(n_a_first > 160);
  CHECK(n_a_first < 240);
  CHECK(n_switches > 160);
  CHECK(n_switches < 240);
  CHECK(order(1) == sent);
  CHECK(order(2) != sent);
}

TEST_CASE("a target that only fails ends the run") {
  CountingTarget target;
  target.error = "connect";
  const LoadResult r = run_load({&target}, make_plan(requests(100000)), {});
  CHECK(r.n_errors == 50);
  CHECK(r.gave_up.find("connect") != std::string::npos);
}

TEST_CASE("plans: the hash names all that matters, survives the file, and betrays edits") {
  PlanOptions o = requests(10);
  const Plan plan = make_plan(o);
  CHECK(plan.hash == make_plan(o).hash);
  o.seed = 2;
  CHECK(plan.hash != make_plan(o).hash);
  o.arrivals = Arrivals::kPoisson;
  o.rates = {5};
  const Plan open = make_plan(o);
  const std::string path = "plan_test.jsonl";
  {
    ds::io::AtomicFile file(path);
    file.write(plan_text(open));
    file.commit();
  }
  const Plan back = read_plan(path);
  CHECK(back.hash == open.hash);
  CHECK(back.arrival_s(7, 5) == open.arrival_s(7, 5));
  std::string text = plan_text(open);
  text.replace(text.find("Note"), 4, "Nota");
  {
    ds::io::AtomicFile file(path);
    file.write(text);
    file.commit();
  }
  CHECK_THROWS_AS(read_plan(path), ds::Error);
  std::remove(path.c_str());
}

TEST_CASE("seeds beyond 53 and 63 bits survive the file") {
  for (const uint64_t seed : {uint64_t{1} << 53 | 1, uint64_t{INT64_MAX}, UINT64_MAX}) {
    PlanOptions o = requests(3);
    o.seed = seed;
    const std::string path = "plan_seed_test.jsonl";
    {
      ds::io::AtomicFile file(path);
      file.write(plan_text(make_plan(o)));
      file.commit();
    }
    CHECK(read_plan(path).options.seed == seed);
    std::remove(path.c_str());
  }
}

TEST_CASE("generated lengths are spread about their mean, and prompts share what they are asked to") {
  PlanOptions o = requests(200);
  o.input_tokens = 400, o.output_tokens = 100, o.length_spread = 0.6, o.shared_prefix = 0.5;
  const Plan plan = make_plan(o);
  double mean = 0;
  std::set<int64_t> lengths;
  for (const auto& r : plan.requests) mean += double(r.max_tokens) / 200, lengths.insert(r.max_tokens);
  CHECK(mean == doctest::Approx(100).epsilon(0.15));
  CHECK(lengths.size() > 50);
  o.length_spread = 0;
  const Plan alike = make_plan(o);
  const std::string &a = alike.requests[0].prompt, &b = alike.requests[1].prompt;
  const auto n_same =
      static_cast<double>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  CHECK(n_same / double(a.size()) == doctest::Approx(0.5).epsilon(0.1));
}

TEST_CASE("traces: Mooncake's lengths and shared blocks, ShareGPT's turns and replies") {
  const std::string path = "trace_kinds_test.jsonl";
  const auto write = [&](const std::string& text) {
    ds::io::AtomicFile file(path);
    file.write(text);
    file.commit();
  };
  write(
      "{\"timestamp\":100,\"input_length\":1100,\"output_length\":7,\"hash_ids\":[1,2,3]}\n"
      "{\"timestamp\":600,\"input_length\":600,\"output_length\":9,\"hash_ids\":[1,4]}\n");
  PlanOptions o;
  o.arrivals = Arrivals::kTrace;
  o.trace_path = path;
  const Plan trace = make_plan(o);
  REQUIRE(trace.requests.size() == 2);
  CHECK(trace.arrivals[1] == doctest::Approx(0.5));
  CHECK(trace.requests[0].max_tokens == 7);
  CHECK(trace.requests[1].max_tokens == 9);
  const std::string &x = trace.requests[0].prompt, &y = trace.requests[1].prompt;
  CHECK(double(x.size()) / double(y.size()) == doctest::Approx(1100.0 / 600).epsilon(0.1));
  const auto n_same = std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first - x.begin();
  CHECK(double(n_same) / double(x.size()) == doctest::Approx(512.0 / 1100).epsilon(0.1));
  write(
      "[{\"id\":\"a\",\"conversations\":[{\"from\":\"human\",\"value\":\"hi\"},{\"from\":\"gpt\",\"value\":"
      "\"" +
      std::string(400, 'x') +
      "\"},{\"from\":\"human\",\"value\":\"more\"},{\"from\":\"gpt\",\"value\":\"ok\"}]}]\n");
  o = requests(1);
  o.prompts_path = path;
  const Plan talk = make_plan(o);
  CHECK(talk.requests[0].prompt == "hi");
  CHECK(talk.requests[0].max_tokens == 100);
  REQUIRE(talk.requests[0].next_turns.size() == 1);
  CHECK(talk.requests[0].next_turns[0].first == "more");
  std::remove(path.c_str());
}

TEST_CASE("threads that cannot be had end the load with an error, not the program") {
  std::atomic<int> n{0};
  CHECK_THROWS_AS(in_threads(
                      4,
                      [&] {
                        if (++n == 2) throw ds::Error(ds::ErrorKind::kOs, "x", "y");
                      },
                      [] {}),
                  ds::Error);
  CHECK(n == 4);  // all were joined
}

TEST_CASE("Poisson gaps have the rate's mean and an exponential's spread") {
  PlanOptions o = requests(1);
  o.arrivals = Arrivals::kPoisson;
  o.rates = {10};
  const Plan plan = make_plan(o);
  double sum = 0, square = 0, last = 0;
  const int n = 16000;
  for (int i = 0; i < n; ++i) {
    const double t = plan.arrival_s(i, 10), gap = t - last;
    CHECK(gap >= 0);
    sum += gap, square += gap * gap, last = t;
  }
  CHECK(sum / n == doctest::Approx(0.1).epsilon(0.03));
  CHECK(std::sqrt(square / n - sum / n * (sum / n)) == doctest::Approx(0.1).epsilon(0.04));
}

TEST_CASE("prompts of a file: each has its own max_tokens or the common one, and the hash knows") {
  const std::string path = "plan_prompts_test.jsonl";
  const auto plan_of_file = [&](const std::string& text) {
    ds::io::AtomicFile file(path);
    file.write(text);
    file.commit();
    PlanOptions o = requests(4);
    o.prompts_path = path;
    o.output_tokens = 9;
    const Plan plan = make_plan(o);
    std::remove(path.c_str());
    return plan;
  };
  const Plan plan = plan_of_file("{\"prompt\":\"a\",\"max_tokens\":3}\n{\"prompt\":\"b\"}\n");
  CHECK(plan.request(0).max_tokens == 3);
  CHECK(plan.request(1).max_tokens == 9);
  CHECK(plan.request(2).max_tokens == 3);
  CHECK(plan.hash != plan_of_file("{\"prompt\":\"a\",\"max_tokens\":4}\n{\"prompt\":\"b\"}\n").hash);
  {
    ds::io::AtomicFile file(path);
    file.write(plan_text(plan));
    file.commit();
  }
  const Plan back = read_plan(path);
  CHECK(back.hash == plan.hash);
  CHECK(back.request(0).max_tokens == 3);
  std::remove(path.c_str());
  CHECK(plan_of_file("{\"prompt\":\"a\",\"max_completion_tokens\":4}\n").request(0).max_tokens == 4);
  for (const char* bad : {"0", "-1", "\"7\"", "1e9", "2.5", "true"})
    CHECK_THROWS_AS(plan_of_file(std::string("{\"prompt\":\"a\",\"max_tokens\":") + bad + "}\n"), ds::Error);
  CHECK(plan_of_file("{\"prompt\":\"a\",\"max_tokens\":null}\n").request(0).max_tokens == 9);
  std::remove(path.c_str());
}

TEST_CASE("salted prompts: no two requests of two runs begin alike, and files stay as they are") {
  struct Listener : CountingTarget {
    std::vector<std::string> heard;
    Outcome send(const Request& r, const StopRequest& stop) override {
      heard.push_back(r.prompt);
      Outcome o = CountingTarget::send(r, stop);
      o.t_done_ns += n;  // never two alike: the warm-up goes on
      return o;
    }
  } target;
  PlanOptions o = requests(20);
  o.warmup = 5;
  o.clients = {1, 1};
  const Plan plan = make_plan(o);
  LoadOptions load;
  for (const uint64_t salt : {7, 8}) {
    load.salt = salt;
    run_load({&target}, plan, load);
  }
  REQUIRE(target.heard.size() == 90);
  std::set<std::string> starts;
  for (const auto& prompt : target.heard) {
    starts.insert(prompt.substr(0, 8));
    CHECK(prompt.find(". Note ") == 8);
  }
  CHECK(starts.size() >= 89);  // of 90 million numbers
  target.heard.clear();
  load.salt = 0;
  run_load({&target}, plan, load);
  CHECK(target.heard[5] == plan.request(0).prompt);
  target.heard.clear();
  Plan from_file = plan;
  from_file.options.prompts_path = "file";
  load.salt = 7;
  run_load({&target}, from_file, load);
  CHECK(target.heard[5] == plan.request(0).prompt);
}

TEST_CASE(
    "warm-up: until two in a row are within a tenth of the fastest so far, or as many as asked; of both "
    "arms") {
  // Takes the times of a list, then the last one for ever.
  struct ListedTarget : Target {
    SimulatedClock& clock;
    std::vector<int64_t> ms;
    size_t next = 0;
    int64_t fails_at = -1;
    ListedTarget(SimulatedClock& c, std::vector<int64_t> list) : clock(c), ms(std::move(list)) {}
    int max_concurrency() const override { return 1; }
    ds::Json describe() const override { return {}; }
    Outcome send(const Request&, const StopRequest&) override {
      Outcome o;
      o.t_send_ns = clock.t;
      clock.t += 1'000'000 * ms[std::min(next, ms.size() - 1)];
      if (static_cast<int64_t>(next) == fails_at) o.error = "timeout";
      ++next;
      o.t_done_ns = clock.t;
      return o;
    }
  };
  SimulatedClock clock;
  const auto run = [&](const std::vector<int64_t>& list, int64_t warmup, int n_arms = 1,
                       int64_t fails_at = -1) {
    ListedTarget a(clock, list), b(clock, list);
    a.fails_at = fails_at;
    PlanOptions o = requests(1);
    o.warmup = warmup;
    LoadOptions load;
    load.clock = &clock;
    std::vector<Target*> arms = {&a};
    if (n_arms == 2) arms.push_back(&b);
    return run_load(arms, make_plan(o), load);
  };
  const auto by_rule = [&](const std::vector<int64_t>& list) { return run(list, -1).n_warmup; };
  CHECK(by_rule({50, 20}) == 2);
  CHECK(by_rule({20, 50, 21, 21}) == 4);
  CHECK(by_rule({20, 50, 22, 50, 22, 22}) == 6);
  CHECK(by_rule({20, 50, 23}) == 16);
  CHECK(run({20, 50, 23}, -1).warmup_reason.find("not steady") != std::string::npos);
  CHECK(by_rule({20'000, 50'000}) == 2);     // half a minute and more
  CHECK(run({20}, -1, 1, 1).n_warmup == 4);  // one that failed is none of two in a row
  CHECK(run({20}, 0).n_warmup == 0);
  for (const int64_t n : {1, 3}) {
    CHECK(run({20}, n).n_warmup == n);
    CHECK(run({20}, n, 2).n_warmup == 2 * n);
    CHECK(run({20}, n).warmup_reason == "as asked");
  }
}

TEST_CASE("a target that fails now and then is not given up; fifty in a row are too many") {
  struct SometimesTarget : CountingTarget {
    int64_t every;
    explicit SometimesTarget(int64_t e) : every(e) {}
    Outcome send(const Request& r, const StopRequest& stop) override {
      Outcome o = CountingTarget::send(r, stop);
      if (n % every) o.error = "timeout";
      return o;
    }
  } often(50), too_often(52);
  LoadResult r = run_load({&often}, make_plan(requests(500)), {});
  CHECK(r.n_errors == 490);
  CHECK(r.gave_up.empty());
  r = run_load({&too_often}, make_plan(requests(500)), {});
  CHECK(r.n_errors == 50);
  CHECK(!r.gave_up.empty());
}

TEST_CASE(
    "closed loop: a request was due when its client was free; blocks hold as many as there are clients") {
  SimulatedClock clock;
  StallingTarget target(clock, INT64_MAX);
  LoadOptions load;
  load.clock = &clock;
  load.on_record = [&](const RequestRecord& r) { CHECK(r.t_plan_ns == r.t_send_ns); };
  run_load({&target}, make_plan(requests(20)), load);
  // Seven requests in blocks of three: 3, 3, 1 of each arm.
  CountingTarget a, b;
  std::map<std::pair<std::string, int64_t>, int> n;
  LoadOptions in_turns;
  in_turns.on_record = [&](const RequestRecord& r) { ++n[{r.arm, r.block}]; };
  PlanOptions o = requests(7);
  o.clients = {3};
  run_load({&a, &b}, make_plan(o), in_turns);
  for (const char* arm : {"a", "b"})
    for (const auto& [block, count] : {std::pair(0, 3), {1, 3}, {2, 1}}) CHECK(n[{arm, block}] == count);
  CHECK(n.size() == 6);
}

TEST_CASE("a run that is slow at first is unsteady, one that slows down later is not") {
  const auto unsteady = [](auto slow) {
    RecordSet set;
    for (int64_t i = 0; i < 400; ++i) {
      RequestRecord r;
      r.t_plan_ns = r.t_send_ns = i * 1'000'000'000;
      r.t_done_ns = r.t_send_ns + (slow(i) ? 90'000'000 : 20'000'000) + i % 7 * 3'000'000;
      set.requests.push_back(r);
    }
    return summarize(set, {})[0].unsteady_prefix;
  };
  CHECK(unsteady([](int64_t) { return false; }) == 0);
  CHECK(unsteady([](int64_t i) { return i < 100; }) > 0);
  CHECK(unsteady([](int64_t i) { return i >= 300; }) == 0);
  CHECK(unsteady([](int64_t i) { return i >= 160; }) == 0);
}

TEST_CASE("a higher percentile's interval lies no lower, however requests depend on each other") {
  std::mt19937_64 rng(8);
  std::normal_distribution<double> normal;
  int n_checked = 0;
  for (int seed = 0; seed < 60; ++seed) {
    RecordSet set;
    double x = 0;
    for (int64_t i = 0; i < 500;
         ++i) {  // slow spells: the tail depends on itself more than the middle does, or less
      x = 0.95 * x + normal(rng);
      RequestRecord r;
      r.t_plan_ns = r.t_send_ns = i * 1'000'000'000;
      r.t_done_ns = r.t_send_ns + static_cast<int64_t>(20e6 * std::exp(0.2 * normal(rng) + (x > 4    ? 1
                                                                                            : x < -4 ? -1
                                                                                                     : 0)));
      set.requests.push_back(r);
    }
    const auto groups = summarize(set, {});
    const MetricSummary& m = *groups[0].find(Metric::kE2e, Clock::kSvc);
    const Quantile* const all[] = {&m.p50, &m.p90, &m.p95, &m.p99};
    for (size_t i = 1; i < std::size(all); ++i) {
      if (!all[i]->interval) continue;
      REQUIRE(all[i - 1]->interval);
      ++n_checked;
      CHECK(all[i]->interval->hi >= all[i - 1]->interval->hi);
      CHECK(all[i]->interval->lo >= all[i - 1]->interval->lo);
    }
  }
  CHECK(n_checked > 60);
}

TEST_CASE("the time of a run is that of its segments, without what lay between them") {
  RecordSet set;
  for (const int64_t segment : {0, 1})
    for (int64_t i = 0; i < 5; ++i) {
      RequestRecord r;
      r.segment = segment;
      r.t_plan_ns = r.t_send_ns = segment * 1'000'000'000'000 + i * 1'000'000'000;
      r.t_done_ns = r.t_send_ns + 1'000'000'000;
      r.want_out = r.n_out = i == 4 ? 9 : 10;
      r.want_out = 10;
      set.requests.push_back(r);
    }
  const auto g = summarize(set, {})[0];
  CHECK(g.wall_s == doctest::Approx(10));
  CHECK(g.requests_per_s == doctest::Approx(1));
  CHECK(g.tok_s == doctest::Approx(9.8));
  CHECK(g.short_share == doctest::Approx(0.2));
}

TEST_CASE("an open load without a rate can be planned for a search, but not run") {
  PlanOptions o = requests(4);
  o.arrivals = Arrivals::kPoisson;
  CountingTarget target;
  CHECK_THROWS_AS(run_load({&target}, make_plan(o), {}), ds::Error);
  CHECK(target.n == 0);
}

TEST_CASE("progress counts every measured request and knows when it ends") {
  SimulatedClock clock;
  StallingTarget target(clock, INT64_MAX);
  std::vector<LoadProgress> seen;
  LoadOptions load;
  load.clock = &clock;
  load.on_progress = [&](const LoadProgress& p) { seen.push_back(p); };
  PlanOptions o = requests(10);
  o.warmup = 2;
  run_load({&target}, make_plan(o), load);
  REQUIRE(seen.size() == 10);
  CHECK(seen[4].n_done == 5);
  CHECK(seen[4].n_all == 10);
  CHECK(seen[4].elapsed_s == doctest::Approx(0.1));
  CHECK(seen[4].left_s == doctest::Approx(0.1));
  // Bounded by time: what is left of it.
  seen.clear();
  o = requests(0);
  o.duration_s = 1;
  run_load({&target}, make_plan(o), load);
  REQUIRE(seen.size() == 50);
  CHECK(seen[9].n_all == 0);
  CHECK(seen[9].left_s == doctest::Approx(0.8));
}

TEST_CASE("the goodput search finds the knee of a server and states what it could not show") {
  // Above 40/s every request is late, below none is.
  const auto objectives = parse_objectives("ttft=100ms@p90", "--find-goodput");
  int64_t n = probe_size(objectives);
  const auto probe = [&](double rate) {
    std::vector<RequestRecord> records(static_cast<size_t>(n));
    for (auto& r : records) r.t_first_ns = r.t_done_ns = rate > 40 ? 900'000'000 : 10'000'000;
    return records;
  };
  const GoodputSearch s = find_goodput(objectives, 1, probe, {});
  CHECK(s.met_rate <= 40);
  CHECK(s.met_rate > 36);
  CHECK(s.refuted_rate > 40);
  CHECK(s.refuted_rate < 44);
  n = 10;  // ten good ones of ten do not show 90 %
  CHECK(find_goodput(objectives, 1, probe, {}).met_rate == 0);
  // Nineteen of twenty show nothing of 95 %; 59 of 59 just show it, 58 do not; "every request" stands for 99
  // %.
  const auto answer = [](const char* objective, int n_good, int n_all) {
    int n_asked = 0;
    const auto same = [&](double) {
      ++n_asked;
      std::vector<RequestRecord> records(static_cast<size_t>(n_all));
      for (int i = 0; i < n_all; ++i)
        records[i].t_first_ns = records[i].t_done_ns = i < n_good ? 1 : 900'000'000;
      return records;
    };
    return find_goodput(parse_objectives(objective, ""), 1, same, [&] { return n_asked > 1; })
        .probes.at(0)
        .answer;
  };
  using Answer = GoodputProbe::Answer;
  CHECK(answer("ttft=100ms@p95", 59, 59) == Answer::kMet);
  CHECK(answer("ttft=100ms@p95", 58, 58) == Answer::kOpen);
  CHECK(answer("ttft=100ms@p95", 19, 20) == Answer::kOpen);
  CHECK(answer("ttft=100ms@p95", 92, 93) == Answer::kMet);
  CHECK(answer("ttft=100ms@p95", 91, 92) == Answer::kOpen);
  CHECK(answer("ttft=100ms@p95", 17, 20) == Answer::kOpen);
  CHECK(answer("ttft=100ms@p95", 16, 20) == Answer::kRefuted);
  CHECK(answer("ttft=100ms", 299, 299) == Answer::kMet);
  CHECK(answer("ttft=100ms", 298, 298) == Answer::kOpen);
  n = 0;
  CHECK(find_goodput(objectives, 1, probe, {}).met_rate == 0);
}

TEST_CASE("where a goodput search begins: the rate of a target that is always busy") {
  // Four places of 100 ms each: 40/s, from four clients on.
  std::vector<int64_t> tried;
  const auto closed = [&](int64_t clients) {
    tried.push_back(clients);
    return 10.0 * static_cast<double>(std::min<int64_t>(clients, 4));
  };
  CHECK(saturation_rate(closed, 256, {}) == doctest::Approx(40));
  CHECK(tried == std::vector<int64_t>{1, 2, 4, 8});
  tried.clear();
  CHECK(saturation_rate(closed, 1, {}) == doctest::Approx(10));
  CHECK(tried == std::vector<int64_t>{1});
  CHECK(saturation_rate([](int64_t) { return 0.0; }, 256, {}) == 0);
  CHECK(saturation_rate(closed, 256, [] { return true; }) == 0);
}
