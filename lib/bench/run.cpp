#include "bench/run.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench/overhead.h"
#include "bench/quantile.h"
#include "bench/sha256.h"
#include "bench/stats.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/error.h"

namespace ds::bench {
namespace {

constexpr int64_t kSearchClients = 256;
constexpr double kProbeSeconds = 2;

std::string target_kind(const TargetChoice& c) {
  return !c.command.empty() ? "cmd" : !c.url.empty() ? "url" : "engine";
}

Json header(const RunOptions& o, const Target& target, const Target* second, int64_t segment) {
  Json h(Json::Object{{"type", "header"}, {"schema", kSchema}});
  const TargetOptions& t = o.target.options;
  h.set("env", capture_environment(o.build, t.isa == "auto" ? isa_name(best_isa()) : t.isa, t.threads));
  h.set("target", target.describe());
  if (second) h.set("target_b", second->describe());
  h.set("plan", o.plan.describe());
  h.set("argv", redacted(o.argv));
  if (o.shard.n > 1) h.set("shard", std::to_string(o.shard.idx) + "/" + std::to_string(o.shard.n));
  if (segment) h.set("segment", segment);
  h.set("run_id", sha256_hex(h.dump() + std::to_string(now_ns())).substr(0, 16));
  if (o.overhead) h.set("overhead", measure_overhead(target_kind(o.target), 50));
  // What decoding is bound by: measured here and now, with the threads the engine uses.
  const Json described = target.describe();
  if (const Json* threads = described.find("threads"); o.overhead && threads && threads->is_int())
    h.set("read_gb_s", measure_read_bandwidth(static_cast<int>(threads->as_int())));
  return h;
}

// Writes earlier records again and remembers what they answer. Returns the next segment's number.
int64_t take_over(const RunOptions& o, const Target& target, LoadOptions& load, RunResult& result) {
  const RecordSet old = read_records({o.resume_path});
  for (const Json& h : old.headers) {
    const Json* plan = h.find("plan");
    const Json* hash = plan ? plan->find("hash") : nullptr;
    if (!hash || !hash->is_string() || hash->as_string() != o.plan.hash)
      throw Error(ErrorKind::kBadData, "these records come from another plan", o.resume_path,
                  "resume with the same options, or start anew");
    if (const Json* measured = h.find("target"); measured && measured->dump() != target.describe().dump())
      throw Error(ErrorKind::kBadData,
                  "these records come from " + measured->dump() + ", not from " + target.describe().dump(),
                  o.resume_path, "one run measures one thing on one kind of machine; start anew");
  }
  int64_t segment = 0;
  for (const RequestRecord& r : old.requests) {
    segment = std::max(segment, r.segment + 1);
    // A failed request is asked again.
    if (r.phase == "warmup" || !r.ok()) continue;
    load.skip.insert(skip_key(r));
    o.write_line(to_json(r).dump());
    ++result.n_resumed;
  }
  return segment;
}

void search_goodput(const RunOptions& o, Target& target, const LoadOptions& load, RunResult& result) {
  const auto objectives = parse_objectives(o.find_goodput, "--find-goodput");
  Plan plan = o.plan;
  const int64_t least = std::max<int64_t>(plan.options.n_requests, probe_size(objectives));
  // A probe lasts long enough for a queue to build up, not only for the statistics.
  const double seconds = plan.options.duration_s > 0 ? plan.options.duration_s : kProbeSeconds;
  plan.options.duration_s = 0;
  const int64_t start = now_ns();
  const auto probe = [&](double rate) {
    std::vector<RequestRecord> records;
    plan.options.n_requests = std::max(least, static_cast<int64_t>(rate * seconds));
    LoadOptions one = load;
    one.on_record = [&](const RequestRecord& r) {
      records.push_back(r);
      load.on_record(r);
    };
    char label[40];
    std::snprintf(label, sizeof label, "r=%.5g", rate);
    const LoadResult r = run_point(
        target, plan, rate, std::min<int64_t>(kSearchClients, target.max_concurrency()), label, start, one);
    result.load.n_sent += r.n_sent, result.load.n_ok += r.n_ok, result.load.n_errors += r.n_errors;
    result.load.stopped |= r.stopped;
    return records;
  };
  const auto said = [&](double rate) {
    const auto records = probe(rate);
    int64_t n_good = 0;
    for (const auto& r : records) n_good += meets(r, objectives, Clock::kResp);
    o.note("rate " + short_number(rate) + "/s: " + std::to_string(n_good) + " of " +
           std::to_string(records.size()) + " within the limits");
    return records;
  };
  const GoodputSearch s =
      find_goodput(objectives, plan.options.rates.empty() ? 1 : plan.options.rates[0], said, o.stop);
  o.write_line(to_json(s, o.find_goodput).dump());
  result.summary = s.met_rate > 0
                       ? "highest rate met with 95 % confidence: " + short_number(s.met_rate) + "/s"
                       : "no rate met the limits with 95 % confidence";
  if (s.refuted_rate > 0) result.summary += "; not met at " + short_number(s.refuted_rate) + "/s";
  if (s.met_rate <= 0) result.exit_code = 1;
}

}  // namespace

Json redacted(const std::vector<std::string>& argv) {
  Json::Array out;
  for (std::string a : argv) {
    const size_t scheme = a.find("://"), at = a.find('@', scheme == std::string::npos ? 0 : scheme);
    if (scheme != std::string::npos && at != std::string::npos) a.replace(scheme + 3, at - scheme - 3, "***");
    out.push_back(std::move(a));
  }
  return out;
}

std::unique_ptr<Target> make_target(const TargetChoice& c) {
  const int n = !c.model.empty() + !c.command.empty() + !c.url.empty();
  if (n != 1)
    throw Error(ErrorKind::kUsage, n ? "more than one target" : "nothing to measure", "ds-bench",
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
  RunResult result;
  const auto target = make_target(o.target);
  const auto second = o.ab.empty() ? nullptr : make_second_target(o.target, o.ab);
  LoadOptions load;
  load.shard = o.shard;
  load.stop = o.stop;
  load.on_note = o.note;
  load.on_record = [&](const RequestRecord& r) { o.write_line(to_json(r).dump()); };
  const bool resuming = !o.resume_path.empty();
  if (resuming) {
    // The header first: written with the segment that follows what was there.
    RunOptions quiet = o;
    std::vector<std::string> lines;
    quiet.write_line = [&](const std::string& line) { lines.push_back(line); };
    load.segment = take_over(quiet, *target, load, result);
    o.write_line(header(o, *target, second.get(), load.segment).dump());
    for (const auto& line : lines) o.write_line(line);
  } else {
    o.write_line(header(o, *target, second.get(), 0).dump());
  }

  const CpuTimes before = cpu_times();
  if (!o.find_goodput.empty()) {
    search_goodput(o, *target, load, result);
  } else {
    std::vector<Target*> arms{target.get()};
    if (second) arms.push_back(second.get());
    result.load = run_load(arms, o.plan, load);
  }
  const bool interrupted = result.load.stopped;
  Json trailer(Json::Object{{"type", "trailer"},
                            {"n_sent", result.load.n_sent},
                            {"n_ok", result.load.n_ok},
                            {"n_errors", result.load.n_errors},
                            {"n_resumed", result.n_resumed},
                            {"n_warmup", result.load.n_warmup},
                            {"warmup", result.load.warmup_reason},
                            {"peak_rss_bytes", peak_rss_bytes()},
                            {"interrupted", interrupted}});
  if (const double share = others_cpu_share(before, cpu_times()); share >= 0 && o.target.url.empty())
    trailer.set("others_cpu_share", share);
  if (!result.load.gave_up.empty()) trailer.set("gave_up", result.load.gave_up);
  o.write_line(trailer.dump());

  if (interrupted)
    result.exit_code = static_cast<int>(ErrorKind::kInterrupted);
  else if (result.load.n_ok == 0 && result.load.n_errors > 0)
    result.exit_code = static_cast<int>(ErrorKind::kIo);
  if (result.summary.empty())
    result.summary = std::to_string(result.load.n_ok) + " requests measured or warm-up, " +
                     std::to_string(result.load.n_errors) + " failed" +
                     (result.n_resumed ? ", " + std::to_string(result.n_resumed) + " taken over" : "");
  if (!result.load.gave_up.empty()) result.summary += "; gave up: " + result.load.gave_up;
  return result;
}

}  // namespace ds::bench
