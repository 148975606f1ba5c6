// ds-filter: JSONL in, five cleaning stages, JSONL out, every dropped record with its reason.
#include <iostream>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/json_value.h"
#include "core/shard.h"
#include "ds-filter/options.h"
#include "filter/passes/inspect.h"
#include "filter/passes/outputs.h"
#include "filter/passes/pipeline.h"
#include "filter/passes/shards.h"
#include "filter/report/report.h"
#include "filter/stages/profile.h"

namespace {

using namespace ds;
using namespace ds::filter;

constexpr const char* kDescription =
    R"(clean a JSONL corpus: five stages, Chinese and English, every drop explained

Kept lines are the input's bytes unless personal data was masked. Data appears at the output when all input was
read: duplicates are found over all of it.

Examples:
  zcat raw.jsonl.gz | ds-filter > clean.jsonl
  ds-filter raw/ -o clean/ --rejects rejects/ --html report.html
  ds-filter raw/ -o clean/ --resume             after a stop, to the same bytes
  ds-filter raw.jsonl --show-config > rules.json
  ds-filter raw.jsonl --profile rules.json --stages integrity,quality)";

Profile profile_of(const FilterCommandLine& o) { return read_profile(o.profile, o.stages); }

EdgeOptions edges_of(const FilterCommandLine& o) {
  return edge_options(profile_of(o), o.run.dedup_memory_bytes);
}

// What the library is told beyond the options' own words.
FilterOptions& prepared(FilterCommandLine& o) {
  FilterOptions& run = o.run;
  if (run.inputs.empty() && cli::stdin_is_terminal())
    throw Error(ErrorKind::kUsage, "no input", "", "give JSONL files, or pipe some in; see --help");
  const Shard shard = parse_shard(o.common.shard);
  run.shard = static_cast<int>(shard.idx);
  run.n_shards = static_cast<int>(shard.n);
  complete(run);
  run.resume = o.common.resume;
  const cli::ThreadChoice threads = cli::choose_threads(o.common);
  run.threads = threads.n_threads;
  cli::note(threads.text, !o.common.quiet && !o.common.threads);
  run.write_stdout = cli::write_stdout;
  run.stop = cli::stop_requested;
  cli::stop_on_signals();
  return run;
}

// Runs one of the pipeline's entries, then shows and writes its report.
int with_report(FilterCommandLine& o, const std::function<Report(const FilterOptions&)>& entry) {
  FilterOptions& run = prepared(o);
  // On a terminal the records themselves show how far they are.
  cli::ProgressLine line(!o.common.quiet && !(run.output == "-" && cli::stdout_is_terminal()));
  if (line.on()) {
    run.progress = [&](const Progress& p) {
      if (line.due()) line.write(progress_text(p, line.elapsed_s()));
    };
  }
  check_outputs(run, {o.common.report, o.html}, {o.profile});
  refuse_mixture(run, {o.common.report, o.html});
  cli::OutputFile json(o.common.report), html(o.html);  // hours later is late to learn that one cannot be
  const Report report = entry(run);
  line.clear();
  if (!o.common.quiet) std::cerr << report_text(report, cli::stderr_columns(80), cli::stderr_has_colour());
  if (json.wanted()) json.finish(dump(report_json(report)) + "\n");
  if (html.wanted()) html.finish(report_html(report, o.command_line));
  // Why a run ends with another code than 0 is said also when asked to be quiet.
  const auto found = problems(report, o.max_bad);
  for (const auto& problem : found) cli::note(problem.says);
  return found.empty() ? 0 : static_cast<int>(found[0].kind);
}

int rule_columns() { return cli::stdout_columns(500); }  // in a pipe a rule is a line

int explain_record(FilterCommandLine& o) {
  const Profile profile = profile_of(o);
  const RecordView view = explain(profile, prepared(o), o.id);
  if (!view.found) throw Error(ErrorKind::kNoInput, "no record with this id", o.id, "FILE:LINE works, too");
  return cli::write_stdout(explain_text(profile, view, o.id, rule_columns())), 0;
}

int tune_rules(FilterCommandLine& o) {
  const Profile profile = profile_of(o);
  const auto quantiles = tune(profile, prepared(o), o.sample);
  return cli::write_stdout(tune_text(profile, quantiles, rule_columns())), 0;
}

int calibrate_cut(FilterCommandLine& o) {
  const FilterOptions& run = prepared(o);
  check_outputs(run, {}, {o.profile, o.out_of_domain});
  cli::OutputFile out(run.output);
  const Calibration c = calibrate(profile_of(o), run, run.inputs, o.out_of_domain, o.loss);
  std::cerr << calibration_text(c);
  return out.finish(dump(calibration_profile(c)) + "\n"), 0;
}

int sign_shard(FilterCommandLine& o) {
  o.run.output.clear();  // all that this step writes is in --work
  return with_report(o, [&](const FilterOptions& run) { return judge_shard(profile_of(o), run); });
}

int find_edges_of(FilterCommandLine& o) {
  const Shard part = parse_shard(o.part);
  const auto n = write_edges(o.run.inputs, static_cast<int>(part.idx), static_cast<int>(part.n), edges_of(o),
                             o.run.output);
  cli::note(std::to_string(n) + " edges", !o.common.quiet);
  return 0;
}

int cluster_edges(FilterCommandLine& o) {
  const auto n = write_clusters(o.run.inputs, o.edges, edges_of(o), o.run.output);
  cli::note(std::to_string(n) + " duplicates", !o.common.quiet);
  return 0;
}

int apply_clusters(FilterCommandLine& o) {
  return with_report(o, [&](const auto& run) { return write_shard(profile_of(o), run, o.clusters); });
}

int filter_all(FilterCommandLine& o) {
  return with_report(o, [&](const FilterOptions& run) { return filter::run(profile_of(o), run); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "ds-filter");
  FilterCommandLine o;
  o.command_line = cli::command_line(argc, argv);
  const auto commands = add_options(
      app, o,
      {explain_record, tune_rules, calibrate_cut, sign_shard, find_edges_of, cluster_edges, apply_clusters});
  return cli::run(app, argc, argv, [&] {
    if (o.show_config) return cli::write_stdout(dump(profile_json(profile_of(o))) + "\n"), 0;
    return cli::run_command(app, commands, [&] { return filter_all(o); });
  });
}
