#include "bench/load.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <set>

#include "bench/run.h"
#include "bench/stats.h"
#include "core/error.h"
#include "io/files.h"

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
  CHECK(stats_json(set, {group}, {})
            .find("groups")
            ->as_array()[0]
            .find("coordinated_omission_ms")
            ->find("p99")
            ->as_double() == doctest::Approx(500));
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

TEST_CASE("interleaved arms take turns on the same requests") {
  CountingTarget a, b;
  std::vector<std::string> order;
  LoadOptions load;
  load.on_record = [&](const RequestRecord& r) { order.push_back(r.arm + r.id); };
  run_load({&a, &b}, make_plan(requests(4)), load);
  CHECK(order == std::vector<std::string>{"ar00000", "br00000", "br00001", "ar00001", "ar00002", "br00002",
                                          "br00003", "ar00003"});
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
    ds::AtomicFile file(path);
    file.write(plan_text(open));
    file.commit();
  }
  const Plan back = read_plan(path);
  CHECK(back.hash == open.hash);
  CHECK(back.arrival_s(7, 5) == open.arrival_s(7, 5));
  std::string text = plan_text(open);
  text.replace(text.find("Note"), 4, "Nota");
  {
    ds::AtomicFile file(path);
    file.write(text);
    file.commit();
  }
  CHECK_THROWS_AS(read_plan(path), ds::Error);
  std::remove(path.c_str());
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

TEST_CASE("shards") {
  CHECK(parse_shard("1/3").n == 3);
  CHECK(parse_shard("").n == 1);
  for (const char* bad : {"3/3", "-1/3", "x", "1/0", "1/3x", "1"})
    CHECK_THROWS_AS(parse_shard(bad), ds::Error);
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
  n = 0;
  CHECK(find_goodput(objectives, 1, probe, {}).met_rate == 0);
}
