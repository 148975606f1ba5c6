#include "bench/load/doctor.h"

#include <algorithm>

#include "bench/compare/compare.h"
#include "bench/load/load.h"
#include "bench/load/overhead.h"
#include "bench/plan/plan.h"
#include "bench/stats/stats.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/json_value.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr int kBlocks = 60;

// The same command in both arms: whatever is called different is the tool's own false alarm.
Comparison a_against_a() {
  const auto a = make_command_target("/bin/true", {}), b = make_command_target("/bin/true", {});
  PlanOptions p;
  p.n_requests = kBlocks;
  p.warmup = 4;
  RecordSet set;
  LoadOptions load;
  load.on_record = [&](const RequestRecord& r) { set.requests.push_back(r); };
  run_load({a.get(), b.get()}, make_plan(p), load);
  CompareOptions options;
  for (const char* g : {"p50_e2e", "p90_e2e", "mean_e2e"}) options.gates.push_back(parse_gate(g));
  return compare_arms(set, options);
}

double clock_step_ns() {
  int64_t least = INT64_MAX;
  for (int i = 0; i < 1000; ++i) {
    const int64_t a = now_ns();
    int64_t b = a;
    while (b == a) b = now_ns();
    least = std::min(least, b - a);
  }
  return static_cast<double>(least);
}

double member(const Json& object, const char* key) { return find(object, key)->get<double>(); }

}  // namespace

Doctor examine(const Build& build, int width) {
  Doctor d;
  const int threads = default_threads().n_threads;
  const Json env = capture_environment(build, isa_name(best_isa()), 0);
  const Json cmd = measure_overhead("cmd", 100), url = measure_overhead("url", 300),
             none = measure_overhead("engine", 1000);
  const double ceiling = null_server_ceiling(2 * threads, 1), bandwidth = measure_read_bandwidth(threads),
               step = clock_step_ns();
  const Comparison aa = a_against_a();
  d.self_test_ok = aa.overall == Verdict::kSame || aa.overall == Verdict::kInconclusive;
  d.facts = Json{{"schema", "dsbench-doctor/1"},
                 {"env", env},
                 {"clock_step_ns", step},
                 {"null_command", cmd},
                 {"null_server", url},
                 {"null_target", none},
                 {"null_server_requests_per_s", ceiling},
                 {"read_gb_s", bandwidth},
                 {"a_against_a", verdict_name(aa.overall)}};
  const auto line = [&](const std::string& name, const std::string& value) {
    d.text += fold(name + std::string(name.size() < 18 ? 18 - name.size() : 1, ' ') + value, width, 18);
  };
  const auto text = [&](const char* key) {
    const Json* v = find(env, key);
    return v && v->is_string() ? as_string(*v) : v ? dump(*v) : "";
  };
  line("machine", text("cpu_model") + ", " + text("isa") + ", " + std::to_string(threads) + " threads (" +
                      text("threads_reason") + ")");
  line("clock", short_number(step) + " ns step, source " + text("clock_source"));
  line("null command", short_number(member(cmd, "e2e_p50_ms")) + " ms P50, " +
                           short_number(member(cmd, "ttft_p99_ms")) +
                           " ms P99: what starting any process costs; it is inside every --cmd number");
  line("null server", short_number(member(url, "ttft_p50_ms")) + " ms P50, " +
                          short_number(member(url, "ttft_p99_ms")) + " ms P99 to the first event; " +
                          short_number(ceiling) + " requests/s at most with " + std::to_string(2 * threads) +
                          " clients");
  line("null target",
       short_number(member(none, "e2e_p50_ms") * 1e6) + " ns: what recording costs in this process");
  line("read bandwidth", short_number(bandwidth) + " GB/s with " + std::to_string(threads) + " threads");
  line("A against A", std::string(verdict_name(aa.overall)) + " over " + std::to_string(kBlocks) +
                          " interleaved blocks of /bin/true" +
                          (d.self_test_ok ? "" : ": a false alarm; about one in twenty is expected"));
  if (const Json* missing = find(env, "missing"); missing && missing->is_object())
    for (const auto& [key, why] : missing->items())
      line("not known: " + key, why.is_string() ? as_string(why) : "");
  const double noise = member(cmd, "ttft_p99_ms") / std::max(1e-9, member(cmd, "e2e_p50_ms"));
  line("noise", "P99 / P50 of the null command is " + short_number(noise) +
                    (noise > 3 ? ": a busy machine; trust interleaved runs (--ab) only" : ": quiet enough"));
  return d;
}

}  // namespace ds::bench
