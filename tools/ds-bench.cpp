// ds-bench: percentiles one can trust, verdicts a script can act on.
#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "bench/compare/judge.h"
#include "bench/eval/drift.h"
#include "bench/eval/evaluation.h"
#include "bench/eval/matrix.h"
#include "bench/load/doctor.h"
#include "bench/load/run.h"
#include "bench/records/output.h"
#include "bench/render/html_report.h"
#include "bench/stats/stats.h"
#include "bench/targets/scripted_server.h"
#include "bench_options.h"
#include "bench_progress.h"
#include "cli/build.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/json_value.h"

using namespace ds;
using namespace ds::bench;

namespace {

Build build() { return {cli::version(), cli::commit(), cli::compiler()}; }

std::vector<std::string> files_or_stdin(const Options& o) {
  return o.inputs.empty() ? std::vector<std::string>{"-"} : o.inputs;
}

Plan plan_of(Options& o, const std::vector<CLI::Option*>& options) {
  bool clients_given = false;
  for (const CLI::Option* x : options) {
    if (x->count() == 0) continue;
    clients_given |= x->check_name("--concurrency");
    if (!o.plan_path.empty())
      throw Error(ErrorKind::kUsage, "--plan and " + x->get_name() + " contradict each other", "--plan",
                  "the plan holds it already; make another with ds-bench plan");
  }
  if (!o.plan_path.empty()) return read_plan(o.plan_path);
  if (!o.duration.empty()) o.plan.duration_s = parse_duration_ms(o.duration, "--duration") / 1e3;
  if (o.arrivals == "poisson" ||
      (o.arrivals == "closed" && (!o.plan.rates.empty() || !o.find_goodput.empty())))
    o.plan.arrivals = Arrivals::kPoisson;
  else if (o.arrivals == "constant")
    o.plan.arrivals = Arrivals::kConstant;
  else if (o.arrivals != "closed")
    o.plan.arrivals = Arrivals::kTrace, o.plan.trace_path = o.arrivals;
  const bool open = o.plan.arrivals != Arrivals::kClosed;
  if (open && !clients_given) o.plan.clients = {256};
  if (o.plan.n_requests == 0 && o.plan.duration_s == 0 && o.plan.arrivals != Arrivals::kTrace)
    o.plan.n_requests = 100;
  return make_plan(o.plan);
}

void note(const Options& o, const std::string& text) {
  if (!o.quiet) cli::note(text);
}

int stop_code(int code) { return code == 75 ? cli::stop_exit_code() : code; }

StatsOptions stats_options(const Options& o) {
  StatsOptions s;
  s.method = parse_quantile_method(o.percentile);
  if (!o.slo.empty()) s.objectives = parse_objectives(o.slo, "--slo");
  s.width = o.width ? o.width : cli::stdout_columns(100);
  s.unicode = !o.ascii;
  return s;
}

int run(Options& o, const std::vector<CLI::Option*>& plan_options, const std::vector<std::string>& argv) {
  RunOptions r;
  r.plan = plan_of(o, plan_options);
  r.target = o.target;
  r.ab = o.ab;
  r.find_goodput = o.find_goodput;
  r.shard = parse_shard(o.shard);
  r.resume_path = o.resume;
  r.build = build();
  r.argv = argv;
  r.overhead = !o.no_overhead;
  r.stop = cli::stop_requested;
  RecordOutput out(o.out, cli::standard_output());
  // A person gets the table, a pipe or a file the records.
  const bool show = cli::stdout_is_terminal();
  std::vector<std::string> lines;
  r.write_line = [&](const std::string& text) {
    if (show) lines.push_back(text);
    if (!show || o.out != "-") out.write(text + "\n");
  };
  cli::ProgressLine line(!o.quiet);
  r.note = [&](const std::string& text) {
    line.clear();
    note(o, text);
  };
  r.progress = [&](const LoadProgress& p) { show_load(line, p); };
  const RunResult result = out.keep_on_error([&] { return run_bench(r); });
  line.clear();
  out.finish();
  if (show) {
    RecordSet set;
    RecordReader reader(set);
    for (const std::string& text : lines) reader.add(text, "run");
    const StatsOptions options = stats_options(o);
    cli::standard_output().write(stats_text(set, summarize(set, options), options));
  }
  if (!o.quiet || result.exit_code) cli::note(result.summary);
  return stop_code(result.exit_code);
}

int report_bad_lines(const RecordSet& set) {
  for (const auto& line : set.bad) cli::note(line);
  if (set.n_bad) cli::note(std::to_string(set.n_bad) + " malformed lines of " + std::to_string(set.n_lines));
  return set.n_bad ? 65 : 0;
}

int stats(const Options& o) {
  const StatsOptions options = stats_options(o);
  const RecordSet set = read_records(files_or_stdin(o));
  const auto groups = summarize(set, options);
  Json json = stats_json(set, groups, options);
  if (!set.items.empty()) json["scores"] = scores_json(set);
  std::string text = groups.empty() && !set.items.empty() ? "" : stats_text(set, groups, options);
  if (!set.items.empty()) text += scores_text(set);
  cli::standard_output().write(o.json       ? dump(json) + "\n"
                               : o.csv      ? stats_csv(set, groups)
                               : o.markdown ? stats_markdown(set, groups)
                                            : text);
  return report_bad_lines(set);
}

int compare(const Options& o) {
  const RecordSet a = read_records({o.inputs[0]});
  const RecordSet b = o.inputs.size() > 1 ? read_records({o.inputs[1]}) : RecordSet{};
  CompareOptions options;
  for (const auto& g : o.gates) options.gates.push_back(parse_gate(g));
  options.alpha = o.alpha;
  options.margin = o.margin;
  if (!o.slo.empty()) options.objectives = parse_objectives(o.slo, "--slo");
  options.force = o.force;
  options.width = cli::stdout_columns(100);
  const Judged judged = compare_records(a, b, o.inputs.size() > 1, options);
  cli::standard_output().write(o.json ? dump(judged.json) + "\n" : judged.text);
  const int bad_a = report_bad_lines(a), bad_b = report_bad_lines(b);
  return bad_a ? bad_a : bad_b ? bad_b : judged.exit_code;
}

int eval(Options& o, const std::vector<std::string>& argv) {
  EvaluationOptions e = o.eval;
  e.target = o.target;
  e.data_folder = o.data;
  e.eval.shard = parse_shard(o.shard);
  e.eval.stop = cli::stop_requested;
  e.resume_path = o.resume;
  e.build = build();
  e.argv = argv;
  RecordOutput out(o.out, cli::standard_output());
  e.write_line = [&](const std::string& line) { out.write(line + "\n"); };
  cli::ProgressLine line(!o.quiet);
  e.eval.on_progress = [&](int64_t done, int64_t all) { line.show(done, all, "questions"); };
  const EvaluationResult r = out.keep_on_error([&] { return run_evaluation(e); });
  line.clear();
  out.finish();
  if (!o.quiet) std::cerr << r.text << std::flush;
  return stop_code(r.exit_code);
}

int drift(Options& o) {
  const RecordSet set = read_records(files_or_stdin(o));
  o.drift.time_utc = as_string(*find(capture_environment(build(), "", 0), "time_utc"));
  const DriftResult r = add_to_ledger(set, o.drift);
  const bool drifted = r.alarm || (o.integrity && r.outputs_changed);
  if (!o.quiet || drifted) cli::standard_output().write(r.text);
  return drifted ? 1 : 0;
}

int write_report(const Options& o) {
  const RecordSet set = read_records(files_or_stdin(o));
  RecordOutput out(o.out, cli::standard_output());
  out.write(report_html(set, stats_options(o), o.title));
  out.finish();
  return report_bad_lines(set);
}

int matrix(const Options& o) {
  const auto target = make_target(o.target);
  MatrixOptions m;
  m.data_folder = o.data;
  m.n_questions = o.n_questions;
  m.n_requests = o.plan.n_requests ? o.plan.n_requests : m.n_requests;
  m.stop = cli::stop_requested;
  m.note = [&](const std::string& text) { note(o, text); };
  const Matrix result = measure_matrix(*target, m);
  cli::standard_output().write(o.json ? dump(matrix_json(result)) + "\n"
                                      : matrix_text(result, cli::stdout_columns(100)));
  return result.complete ? 0 : cli::stop_exit_code();
}

int plan(Options& o, const std::vector<CLI::Option*>& plan_options) {
  if (!o.detect.empty()) {
    cli::standard_output().write(detect_text(o.detect));
    return 0;
  }
  const Plan p = plan_of(o, plan_options);
  RecordOutput out(o.out, cli::standard_output());
  out.write(plan_text(p));
  out.finish();
  note(o, "plan " + p.hash.substr(0, 16) + ", " + std::to_string(p.requests.size()) + " prompts");
  return 0;
}

int doctor(const Options& o) {
  if (o.port >= 0) {  // the scripted server, for checks against other tools
    const ScriptedServer server(make_script(parse_steady_script(o.script)), static_cast<int>(o.port));
    note(o, "serving " + server.url() + " until stopped");
    while (!cli::stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return 0;
  }
  const Doctor d = examine(build(), cli::stdout_columns(100));
  cli::standard_output().write(o.json ? dump(d.facts) + "\n" : d.text);
  return d.self_test_ok ? 0 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Latency percentiles with intervals, comparisons with verdicts, accuracy drift", "ds-bench");
  Options o;
  const Commands c = add_commands(app, o);
  return cli::run(app, argc, argv, [&] {
    const std::vector<std::string> args(argv, argv + argc);
    // The others only read: a signal ends them at once.
    if (*c.run || *c.eval || *c.matrix || *c.doctor) cli::stop_on_signals();
    o.target.options.threads = o.machine.threads;
    o.target.options.isa = o.machine.isa;
    if (*c.run) return run(o, c.run_plan, args);
    if (*c.stats) return stats(o);
    if (*c.compare) return compare(o);
    if (*c.eval) return eval(o, args);
    if (*c.drift) return drift(o);
    if (*c.report) return write_report(o);
    if (*c.matrix) return matrix(o);
    if (*c.plan) return plan(o, c.plan->get_options({}));
    return doctor(o);
  });
}
