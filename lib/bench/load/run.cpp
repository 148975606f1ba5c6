#include "bench/load/run.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "bench/load/overhead.h"
#include "bench/records/redact.h"
#include "bench/stats/quantile.h"
#include "bench/stats/stats.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/sha256.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr double kProbeSeconds = 2;
constexpr int64_t kLeastClosed = 8;  // requests of the closed runs that find where a search begins

// The engine plans its cache for the clients of a closed load; an open one has as many as come.
TargetChoice with_concurrency(const RunOptions& o) {
  TargetChoice c = o.target;
  const std::vector<int64_t>& clients = o.plan.options.clients;
  c.options.concurrency = o.plan.open() ? 0 : *std::max_element(clients.begin(), clients.end());
  return c;
}

std::string target_kind(const TargetChoice& c) {
  return !c.command.empty() ? "cmd" : !c.url.empty() ? "url" : "engine";
}

// What the tool itself costs, and what decoding is bound by, here and now. Before the target is loaded: the
// probe's buffer must not count as the memory of what is measured.
struct OwnCost {
  Json overhead;
  double read_gb_s = 0;
};
OwnCost measure_own_cost(const RunOptions& o) {
  OwnCost cost;
  const std::string kind = target_kind(o.target);
  cost.overhead = measure_overhead(kind, 50);
  const int threads = o.target.options.threads ? o.target.options.threads : default_threads().n_threads;
  if (kind == "engine" && reset_peak_memory()) {
    cost.read_gb_s = measure_read_bandwidth(threads);
    reset_peak_memory();
  }
  return cost;
}

Json header(const RunOptions& o, const OwnCost& cost, const Target& target, const Target* second) {
  Json h{{"type", "header"}, {"schema", kSchema}};
  const TargetOptions& t = o.target.options;
  h["env"] = capture_environment(o.build, t.isa == "auto" ? isa_name(best_isa()) : t.isa, t.threads);
  h["target"] = target.describe();
  if (second) h["target_b"] = second->describe();
  h["plan"] = o.plan.describe();
  h["argv"] = redacted(o.argv);
  if (o.shard.n > 1) h["shard"] = std::to_string(o.shard.idx) + "/" + std::to_string(o.shard.n);
  h["run_id"] = sha256_hex(dump(h) + std::to_string(now_ns())).substr(0, 16);
  if (o.overhead) h["overhead"] = cost.overhead;
  if (cost.read_gb_s > 0) h["read_gb_s"] = cost.read_gb_s;
  return h;
}

// Why requests failed, in the words of the first of each kind.
class Failures {
 public:
  void add(const RequestRecord& r) {
    n_silent_ += r.silent();
    if (r.ok()) return;
    auto& [n, detail] = kinds_[r.error];
    if (n++ == 0) detail = r.error_detail;
  }
  std::string text() const {
    std::string out;
    for (const auto& [error, kind] : kinds_)
      out += "\n  " + std::to_string(kind.first) + " " + error +
             (kind.second.empty() ? "" : ": " + kind.second.substr(0, kind.second.find('\n')));
    if (n_silent_)
      out += "\n  " + std::to_string(n_silent_) + " ended without a single token: no time to first token";
    return out;
  }

 private:
  int64_t n_silent_ = 0;
  std::map<std::string, std::pair<int64_t, std::string>> kinds_;
};

// One run measures one thing by one plan on one kind of machine. `now` is this run's header.
void check_same_run(const RecordSet& earlier, const RunHeader& now, const std::string& path) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kBadData, what, path,
                "resume with the same options where it began, or start anew");
  };
  if (earlier.headers.empty()) refuse("no header: these records are not of ds-bench run");
  for (const RunHeader& before : earlier.headers) {
    if (before.plan_hash != now.plan_hash) refuse("these records come from another plan");
    if (const auto differences = header_differences(before, now, {"target", "target_b"});
        !differences.empty())
      refuse("these records come from another " + differences[0]);
    if (const auto differences = environment_differences(before, now); !differences.empty())
      refuse("these records come from another kind of machine: " + differences[0]);
  }
}

// Writes earlier answers again, and remembers them; a failed request is asked again.
void take_over(const RunOptions& o, const RecordSet& earlier, LoadOptions& load, RunResult& result) {
  for (const RequestRecord& r : earlier.requests) {
    if (r.phase == "warmup" || !r.ok()) continue;
    load.skip.insert(skip_key(r));
    o.write_line(dump(to_json(r)));
    ++result.n_resumed;
  }
}

void search_goodput(const RunOptions& o, Target& target, const LoadOptions& load, RunResult& result) {
  const auto objectives = parse_objectives(o.find_goodput, "--find-goodput");
  Plan plan = o.plan;
  if (!plan.open() || plan.options.arrivals == Arrivals::kTrace || plan.options.rates.size() > 1)
    throw Error(ErrorKind::kUsage, "a search chooses the rates itself", "--find-goodput",
                "the plan's arrivals must be poisson or constant, with at most one rate to begin with");
  const int64_t clients = std::min<int64_t>(
      *std::max_element(plan.options.clients.begin(), plan.options.clients.end()), target.max_concurrency());
  const int64_t least = std::max<int64_t>(plan.options.n_requests, probe_size(objectives));
  // A probe lasts long enough for a queue to build up, not only for the statistics.
  const double seconds = plan.options.duration_s > 0 ? plan.options.duration_s : kProbeSeconds;
  plan.options.duration_s = 0;
  const int64_t start = now_ns();
  const auto run = [&](const Plan& p, double rate, int64_t n_clients, const std::string& label) {
    std::vector<RequestRecord> records;
    LoadOptions one = load;
    one.on_record = [&](const RequestRecord& r) {
      records.push_back(r);
      load.on_record(r);
    };
    const LoadResult r = run_point(target, p, rate, n_clients, label, start, one);
    result.load.n_sent += r.n_sent, result.load.n_ok += r.n_ok, result.load.n_errors += r.n_errors;
    result.load.stopped |= r.stopped;
    if (result.load.gave_up.empty()) result.load.gave_up = r.gave_up;
    return records;
  };
  const auto closed = [&](int64_t n_clients) {
    Plan p = plan;
    p.options.arrivals = Arrivals::kClosed;
    p.options.n_requests = std::max(kLeastClosed, 2 * n_clients);
    const int64_t begin = now_ns();
    int64_t n_ok = 0;
    for (const auto& r : run(p, 0, n_clients, "c=" + std::to_string(n_clients))) n_ok += r.ok();
    return static_cast<double>(n_ok) / seconds_since(begin);
  };
  const auto probe = [&](double rate) {
    plan.options.n_requests = std::max(least, static_cast<int64_t>(rate * seconds));
    char label[40];
    std::snprintf(label, sizeof label, "r=%.5g", rate);
    const auto records = run(plan, rate, clients, label);
    int64_t n_good = 0;
    for (const auto& r : records) n_good += meets(r, objectives, Clock::kResp);
    o.note("rate " + short_number(rate) + "/s: " + std::to_string(n_good) + " of " +
           std::to_string(records.size()) + " within the limits");
    return records;
  };
  double first = plan.options.rates.empty() ? 0 : plan.options.rates[0];
  if (first <= 0) {
    first = saturation_rate(closed, clients, o.stop);
    if (first <= 0 || (o.stop && o.stop())) return;
    o.note("always busy, it answers " + short_number(first) + "/s: the search begins there");
  }
  const GoodputSearch s = find_goodput(objectives, first, probe, o.stop);
  if (o.stop && o.stop()) return;  // half a search has no result
  o.write_line(dump(to_json(s, o.find_goodput)));
  result.summary = s.met_rate > 0
                       ? "highest rate met with 95 % confidence: " + short_number(s.met_rate) + "/s"
                       : "no rate met the limits with 95 % confidence";
  if (s.refuted_rate > 0) result.summary += "; not met at " + short_number(s.refuted_rate) + "/s";
  if (s.met_rate <= 0) result.exit_code = 1;
}

}  // namespace

std::unique_ptr<Target> make_target(const TargetChoice& c) {
  const int n = !c.model.empty() + !c.command.empty() + !c.url.empty();
  if (n != 1)
    throw Error(ErrorKind::kUsage, n ? "more than one target" : "nothing to measure", "",
                "give a model folder, --cmd or --url");
  if (!(c.options.timeout_s > 0)) throw Error(ErrorKind::kUsage, "a timeout must be positive", "--timeout");
  if (!c.command.empty()) return make_command_target(c.command, c.options);
  if (!c.url.empty()) return make_http_target(c.url, c.options);
  return make_engine_target(c.model, c.options);
}

std::unique_ptr<Target> make_second_target(const TargetChoice& choice, const std::string& other) {
  TargetChoice c;
  c.options = choice.options;
  (!choice.command.empty() ? c.command : !choice.url.empty() ? c.url : c.model) = other;
  return make_target(c);
}

RunResult run_bench(const RunOptions& o) {
  if (!o.find_goodput.empty() && (!o.ab.empty() || !o.resume_path.empty() || o.shard.n > 1))
    throw Error(ErrorKind::kUsage, "a search goes with neither --ab nor --resume nor --shard",
                "--find-goodput", "each rate depends on what the one before it showed");
  RunResult result;
  const OwnCost cost = o.overhead ? measure_own_cost(o) : OwnCost{};
  const TargetChoice choice = with_concurrency(o);
  const auto target = make_target(choice);
  const auto second = o.ab.empty() ? nullptr : make_second_target(choice, o.ab);
  LoadOptions load;
  load.shard = o.shard;
  load.stop = o.stop;
  if (!o.target.url.empty()) load.salt = static_cast<uint64_t>(now_ns()) | 1;
  load.on_note = o.note;
  load.on_progress = o.progress;
  Failures failures;
  load.on_record = [&](RequestRecord r) {
    failures.add(r);
    // Two models in one process have one peak, which is neither's.
    if (second && !o.target.model.empty()) r.peak_rss_bytes = -1;
    o.write_line(dump(to_json(r)));
  };
  RecordSet earlier;
  Json head = header(o, cost, *target, second.get());
  if (!o.resume_path.empty()) {
    earlier = read_records({o.resume_path});
    check_same_run(earlier, head, o.resume_path);
    for (const RequestRecord& r : earlier.requests) load.segment = std::max(load.segment, r.segment + 1);
    head["segment"] = load.segment;
  }
  o.write_line(dump(head));
  take_over(o, earlier, load, result);

  const CpuTimes before = cpu_times();
  try {
    if (!o.find_goodput.empty()) {
      search_goodput(o, *target, load, result);
    } else {
      std::vector<Target*> arms{target.get()};
      if (second) arms.push_back(second.get());
      result.load = run_load(arms, o.plan, load);
    }
  } catch (const Error& e) {
    // What was measured until now is worth keeping: --resume goes on from it.
    o.write_line(dump(Json{{"type", "trailer"}, {"interrupted", true}, {"error", e.message()}}));
    throw;
  }
  const bool interrupted = result.load.stopped;
  Json trailer{{"type", "trailer"},
               {"n_sent", result.load.n_sent},
               {"n_ok", result.load.n_ok},
               {"n_errors", result.load.n_errors},
               {"n_resumed", result.n_resumed},
               {"n_warmup", result.load.n_warmup},
               {"warmup", result.load.warmup_reason},
               {"interrupted", interrupted}};
  if (const double share = others_cpu_share(before, cpu_times()); share >= 0 && o.target.url.empty())
    trailer["others_cpu_share"] = share;
  if (!result.load.gave_up.empty()) trailer["gave_up"] = result.load.gave_up;
  o.write_line(dump(trailer));

  if (interrupted)
    result.exit_code = static_cast<int>(ErrorKind::kInterrupted);
  else if (result.load.n_ok == 0 && result.load.n_errors > 0)
    result.exit_code = static_cast<int>(ErrorKind::kIo);
  if (interrupted && !o.find_goodput.empty()) result.summary = "interrupted: a search begins anew";
  if (result.summary.empty())
    result.summary = std::to_string(result.load.n_ok) + " requests measured or warm-up, " +
                     std::to_string(result.load.n_errors) + " failed" +
                     (result.n_resumed ? ", " + std::to_string(result.n_resumed) + " taken over" : "") +
                     failures.text() + (interrupted ? "; interrupted: --resume FILE goes on" : "");
  if (!result.load.gave_up.empty()) result.summary += "; gave up: " + result.load.gave_up;
  return result;
}

}  // namespace ds::bench
