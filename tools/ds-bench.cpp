// ds-bench: percentiles one can trust, verdicts a script can act on.
#include <chrono>
#include <iostream>
#include <thread>

#include "bench/compare/judge.h"
#include "bench/load/doctor.h"
#include "bench/records/output.h"
#include "bench/render/html_report.h"
#include "bench/targets/scripted_server.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/json_value.h"
#include "ds-bench/options.h"

namespace {

using namespace ds;
using namespace ds::bench;

int run(BenchCommandLine& o) {
  RunOptions& r = o.run;
  r.plan = choose_plan(o.plan);
  r.stop = cli::stop_requested;
  // A person gets the table, a pipe or a file the records.
  const bool to_person = cli::stdout_is_terminal();
  RecordOutput out(o.out, cli::standard_output(), to_person);
  r.write_line = [&](const std::string& text) { out.write(text + "\n"); };
  cli::ProgressLine line(!o.common.quiet);
  r.note = [&](const std::string& text) {
    line.clear();
    cli::note(text, !o.common.quiet);
  };
  r.progress = [&](const LoadProgress& p) {
    if (line.due()) line.write(progress_text(p));
  };
  cli::stop_on_signals();
  const RunResult result = out.keep_on_error([&] { return run_bench(r); });
  line.clear();
  out.finish();
  if (to_person) cli::write_stdout(records_report(out.records(), o.stats, ReportForm::kText));
  // Requests that failed are said also when asked to be quiet: with answers beside them the exit code is 0.
  cli::note(result.summary, !o.common.quiet || result.exit_code != 0 || result.load.n_errors > 0);
  return result.exit_code;
}

int report_bad_lines(const RecordSet& set) {
  for (const auto& line : set.bad) cli::note(line);
  if (set.n_bad) cli::note(std::to_string(set.n_bad) + " malformed lines of " + std::to_string(set.n_lines));
  return set.n_bad ? static_cast<int>(ErrorKind::kBadData) : 0;
}

int stats(BenchCommandLine& o) {
  const RecordSet set = read_records(o.inputs);
  cli::write_stdout(records_report(set, o.stats, o.form));
  return report_bad_lines(set);
}

int compare(BenchCommandLine& o) {
  const bool two_files = o.inputs.size() > 1;
  const RecordSet a = read_records({o.inputs[0]}), b = two_files ? read_records({o.inputs[1]}) : RecordSet{};
  for (const auto& gate : o.gates) o.compare.gates.push_back(parse_gate(gate));
  o.compare.objectives = o.stats.objectives;
  const Judged judged = compare_records(a, b, two_files, o.compare);
  cli::write_stdout(o.json ? dump(judged.json) + "\n" : judged.text);
  const int bad_a = report_bad_lines(a), bad_b = report_bad_lines(b);
  return bad_a ? bad_a : bad_b ? bad_b : judged.exit_code;
}

int eval(BenchCommandLine& o) {
  EvalOptions& e = o.eval;
  e.ask.stop = cli::stop_requested;
  RecordOutput out(o.out, cli::standard_output(), cli::stdout_is_terminal());
  e.write_line = [&](const std::string& text) { out.write(text + "\n"); };
  cli::ProgressLine line(!o.common.quiet);
  e.ask.on_progress = [&](int64_t done, int64_t all) { line.show(done, all, "questions"); };
  cli::stop_on_signals();
  const EvalResult result = out.keep_on_error([&] { return run_eval(e); });
  line.clear();
  out.finish();
  if (!o.common.quiet) std::cerr << result.text << std::flush;
  return result.exit_code;
}

int drift(BenchCommandLine& o) {
  const DriftResult r = add_to_ledger(read_records(o.inputs), o.drift);
  if (!r.warning.empty()) cli::note(r.warning);
  const bool drifted = r.alarm || (o.integrity && r.outputs_changed);
  if (!o.common.quiet || drifted) cli::write_stdout(r.text);
  return drifted ? 1 : 0;
}

int write_report(BenchCommandLine& o) {
  cli::OutputFile out(o.out);
  const RecordSet set = read_records(o.inputs);
  out.finish(report_html(set, o.stats, o.title));
  return report_bad_lines(set), 0;  // the page says it, too, and decides nothing
}

int matrix(BenchCommandLine& o) {
  cli::stop_on_signals();
  o.matrix.stop = cli::stop_requested;
  o.matrix.note = [&](const std::string& text) { cli::note(text, !o.common.quiet); };
  const Matrix result = measure_matrix(*make_target(o.target), o.matrix);
  cli::write_stdout(o.json ? dump(matrix_json(result)) + "\n"
                           : matrix_text(result, cli::stdout_columns(100)));
  return result.complete ? 0 : cli::stop_exit_code();
}

int plan(BenchCommandLine& o) {
  if (!o.detect.empty()) return cli::write_stdout(detect_text(o.detect)), 0;
  cli::OutputFile out(o.out);
  const Plan p = choose_plan(o.plan);
  out.finish(plan_text(p));
  cli::note("plan " + p.hash.substr(0, 16) + ", " + std::to_string(p.requests.size()) + " prompts",
            !o.common.quiet);
  return 0;
}

int doctor(BenchCommandLine& o) {
  if (o.port < 0) {
    const Doctor d = examine(o.run.build, cli::stdout_columns(100));
    cli::write_stdout(o.json ? dump(d.facts) + "\n" : d.text);
    return d.self_test_ok ? 0 : 3;
  }
  // The scripted server, for checks against other tools.
  cli::stop_on_signals();
  const ScriptedServer server(make_script(parse_steady_script(o.script)), static_cast<int>(o.port));
  cli::note("serving " + server.url() + " until stopped", !o.common.quiet);
  while (!cli::stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("", "ds-bench");
  BenchCommandLine o;
  o.run.argv = o.eval.argv = {argv, argv + argc};
  const auto table =
      add_commands(app, o, {run, stats, compare, eval, drift, write_report, matrix, plan, doctor});
  return cli::run(app, argc, argv, [&] {
    resolve(o);
    return cli::run_command(app, table);
  });
}
