// ds-bench: percentiles one can trust, verdicts a script can act on.
#include <CLI/CLI.hpp>
#include <memory>

#include "bench/compare.h"
#include "bench/run.h"
#include "bench/stats.h"
#include "bench_options.h"
#include "cli.h"

using namespace ds::bench;
namespace cli = ds::cli;

namespace {

// A file that appears whole, or standard output.
class Output {
 public:
  explicit Output(const std::string& path) {
    if (path != "-") file_ = std::make_unique<ds::AtomicFile>(path);
  }
  void write(const std::string& text) {
    if (file_) return file_->write(text);
    cli::standard_output().write(text);
    cli::standard_output().flush();
  }
  void line(const std::string& text) { write(text + "\n"); }
  void finish() {
    if (file_) file_->commit();
  }

 private:
  std::unique_ptr<ds::AtomicFile> file_;
};

Build build() { return {DS_VERSION, DS_COMMIT, DS_COMPILER}; }

Plan plan_of(Options& o, bool clients_given) {
  if (!o.plan_path.empty()) return read_plan(o.plan_path);
  if (!o.duration.empty()) o.plan.duration_s = parse_duration_ms(o.duration, "--duration") / 1e3;
  if (o.arrivals == "poisson" ||
      (o.arrivals == "closed" && (!o.plan.rates.empty() || !o.find_goodput.empty())))
    o.plan.arrivals = Arrivals::kPoisson;
  else if (o.arrivals == "constant")
    o.plan.arrivals = Arrivals::kConstant;
  else if (o.arrivals != "closed")
    o.plan.arrivals = Arrivals::kTrace, o.plan.trace_path = o.arrivals;
  if (o.plan.arrivals != Arrivals::kClosed && !clients_given) o.plan.clients = {256};
  if (!o.find_goodput.empty() && o.plan.rates.empty()) o.plan.rates = {1};
  if (o.plan.n_requests == 0 && o.plan.duration_s == 0 && o.plan.arrivals != Arrivals::kTrace)
    o.plan.n_requests = 100;
  return make_plan(o.plan);
}

int run(Options& o, bool clients_given, const std::vector<std::string>& argv) {
  cli::stop_on_signals();
  o.target.options.threads = o.machine.threads;
  o.target.options.isa = o.machine.isa;
  RunOptions r;
  r.plan = plan_of(o, clients_given);
  r.target = o.target;
  r.ab = o.ab;
  r.find_goodput = o.find_goodput;
  r.shard = parse_shard(o.shard);
  r.resume_path = o.resume;
  r.build = build();
  r.argv = argv;
  r.overhead = !o.no_overhead;
  r.stop = cli::stop_requested;
  Output out(o.out);
  r.write_line = [&](const std::string& line) { out.line(line); };
  r.note = [&](const std::string& text) {
    if (!o.quiet) cli::note(text);
  };
  const RunResult result = run_bench(r);
  out.finish();
  if (!o.quiet || result.exit_code) cli::note(result.summary);
  return result.exit_code == 75 ? cli::stop_exit_code() : result.exit_code;
}

StatsOptions stats_options(const Options& o) {
  StatsOptions s;
  s.method = parse_quantile_method(o.percentile);
  if (!o.slo.empty()) s.objectives = parse_objectives(o.slo, "--slo");
  s.width = o.width;
  s.unicode = !o.ascii;
  return s;
}

int report_bad_lines(const RecordSet& set) {
  for (const auto& line : set.bad) cli::note(line);
  if (set.n_bad) cli::note(std::to_string(set.n_bad) + " malformed lines of " + std::to_string(set.n_lines));
  return set.n_bad ? 65 : 0;
}

int stats(const Options& o) {
  const StatsOptions options = stats_options(o);
  const RecordSet set = read_records(o.inputs.empty() ? std::vector<std::string>{"-"} : o.inputs);
  const auto groups = summarize(set, options);
  cli::standard_output().write(o.json ? stats_json(set, groups, options).dump() + "\n"
                                      : stats_text(set, groups, options));
  return report_bad_lines(set);
}

int compare(const Options& o) {
  CompareOptions options;
  for (const auto& g : o.gates) options.gates.push_back(parse_gate(g));
  options.alpha = o.alpha;
  options.margin = o.margin;
  if (!o.slo.empty()) options.objectives = parse_objectives(o.slo, "--slo");
  options.force = o.force;
  const RecordSet a = read_records({o.inputs[0]});
  const RecordSet b = o.inputs.size() > 1 ? read_records({o.inputs[1]}) : RecordSet{};
  const Comparison c = o.inputs.size() > 1 ? compare_runs(a, b, options) : compare_arms(a, options);
  cli::standard_output().write(o.json ? comparison_json(c).dump() + "\n" : comparison_text(c));
  report_bad_lines(a), report_bad_lines(b);
  return c.exit_code;
}

int plan(Options& o, bool clients_given) {
  const Plan p = plan_of(o, clients_given);
  Output out(o.out);
  out.write(plan_text(p));
  out.finish();
  if (!o.quiet)
    cli::note("plan " + p.hash.substr(0, 16) + ", " + std::to_string(p.requests.size()) + " prompts");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Latency percentiles with intervals, comparisons with verdicts, accuracy drift", "ds-bench");
  Options o;
  app.require_subcommand(1);
  auto* run_cmd = app.add_subcommand("run", "Measure a model, a command or a server; JSON lines out");
  add_target_options(*run_cmd, o);
  add_plan_options(*run_cmd, o);
  run_cmd->add_option("--plan", o.plan_path, "A plan made by ds-bench plan, instead of the options above");
  run_cmd->add_option("--ab", o.ab, "Second arm of the same kind, measured in turns with the first");
  run_cmd->add_option("--find-goodput", o.find_goodput,
                      "Highest rate that meets, e.g., ttft=200ms@p99,tpot=50ms@p90");
  run_cmd->add_option("--shard", o.shard, "i/n, or auto for a SLURM array");
  run_cmd->add_option("--resume", o.resume,
                      "Records of an interrupted run: only what is missing is measured");
  run_cmd->add_flag("--no-overhead", o.no_overhead, "Do not measure the tool's own cost first");
  auto* stats_cmd = app.add_subcommand("stats", "Percentiles with intervals, goodput, plots from records");
  stats_cmd->add_option("files", o.inputs, "Records, or a report of ds-bench; - is stdin")
      ->type_name("FILE...");
  auto* compare_cmd = app.add_subcommand("compare", "FASTER, SLOWER, SAME or INCONCLUSIVE; exit 0, 1, 3");
  compare_cmd->add_option("files", o.inputs, "Two runs, or one interleaved run")
      ->required()
      ->expected(1, 2)
      ->type_name("A [B]");
  compare_cmd
      ->add_option("--gate", o.gates,
                   "p50|p90|p95|p99|mean _ ttft|tpot|itl|e2e, goodput, tok_s; then :+5% or :200ms")
      ->allow_extra_args(false);
  compare_cmd->add_option("--margin", o.margin, "Ratios within this are SAME")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1.0));
  compare_cmd->add_option("--alpha", o.alpha, "Error rate of the whole family of gates")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 0.5));
  compare_cmd->add_flag("--force", o.force, "Compare although plan or environment differ");
  auto* plan_cmd = app.add_subcommand("plan", "Freeze prompts, lengths, arrivals and seeds; print the hash");
  add_plan_options(*plan_cmd, o);
  plan_cmd->add_option("--detect", o.detect, "Print the requests that a claim needs: p90:5%");
  for (CLI::App* sub : {stats_cmd, compare_cmd}) {
    sub->add_option("--slo", o.slo, "Limits of goodput: ttft=200ms,tpot=50ms");
    sub->add_flag("--json", o.json, "Machine form");
  }
  stats_cmd->add_option("--percentile-method", o.percentile, "nearest, type7, hdr, loadgen")
      ->capture_default_str();
  stats_cmd->add_option("--width", o.width, "Columns")->capture_default_str()->check(CLI::Range(40, 400));
  stats_cmd->add_flag("--ascii", o.ascii, "No braille");
  for (CLI::App* sub : {run_cmd, plan_cmd})
    sub->add_option("-o,--out", o.out, "Output file")->capture_default_str();
  for (CLI::App* sub : {run_cmd, plan_cmd})
    sub->add_flag("-q,--quiet", o.quiet, "Only errors and verdicts on stderr");
  return cli::run(app, argc, argv, [&] {
    const std::vector<std::string> args(argv, argv + argc);
    if (*run_cmd) return run(o, run_cmd->count("--concurrency") > 0, args);
    if (*stats_cmd) return stats(o);
    if (*compare_cmd) return compare(o);
    return plan(o, plan_cmd->count("--concurrency") > 0);
  });
}
