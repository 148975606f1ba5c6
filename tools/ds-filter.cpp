// ds-filter: JSONL in, five cleaning stages, JSONL out, every dropped record with its reason.
#include <iostream>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/cpu.h"
#include "core/json_value.h"
#include "filter/passes/first_pass.h"
#include "filter/passes/inputs.h"
#include "filter/passes/inspect.h"
#include "filter/passes/outputs.h"
#include "filter/passes/pipeline.h"
#include "filter/passes/second_pass.h"
#include "filter/passes/shards.h"
#include "filter/report/report.h"
#include "filter/stages/profile.h"
#include "io/json.h"

using namespace ds;
using namespace ds::filter;

namespace {

struct Options {
  cli::CommonOptions machine;
  std::vector<std::string> inputs;
  std::string output = "-", rejects, bad_lines, work, profile, stages, shard, report, html;
  filter::ResourceOptions resources;
  filter::FilterOptions run;
  double max_line_mb = 10, dedup_memory_mb = 1024, max_bad = 1;
  bool show_config = false, quiet = false;
  std::string id, out_of_domain, part = "0/1", clusters;
  double loss = 0.01;
  uint64_t sample = 100000;
  std::vector<std::string> edges;
};

// One option a line: a table, not prose.
// clang-format off
void add_options(CLI::App& app, Options& o) {
  app.add_option("inputs", o.inputs, "JSONL files (.gz, .zst, .xz and .bz2 too), folders, or - for stdin")->type_name("FILE");
  app.add_option("-o,--output", o.output, "Kept records: file, folder/ (one file per input), or -")->capture_default_str()->type_name("PATH");
  app.add_option("--rejects", o.rejects, "Dropped records with their reason: file, or folder/ with a file per stage")->type_name("PATH");
  app.add_option("--bad-lines", o.bad_lines, "Lines that are no record: the bytes, where they stood, what is wrong")->type_name("FILE");
  app.add_option("--report", o.report, "The report as JSON")->type_name("FILE");
  app.add_option("--html", o.html, "The report as one HTML page")->type_name("FILE");
  app.add_flag("-q,--quiet", o.quiet, "No progress and no summary on stderr");

  app.add_option("--stages", o.stages, "Comma separated: integrity,quality,entities,duplicates,semantic")->type_name("LIST")->group("Rules");
  app.add_option("--profile", o.profile, "JSON over the default rules and thresholds")->type_name("FILE")->group("Rules");
  app.add_flag("--show-config", o.show_config, "Print the effective profile and stop")->group("Rules");
  app.add_flag("--no-short-circuit", o.run.worker.score_all, "Score all rules of every record")->group("Rules");
  app.add_option("--gazetteer", o.resources.gazetteers, "TSV of own terms: category, hard or soft, term")->type_name("FILE")->group("Rules");
  app.add_option("--url-list", o.resources.url_list, "Domains or address beginnings to drop, one a line")->type_name("FILE")->group("Rules");
  app.add_option("--decontaminate", o.resources.decontaminate, "Evaluation sets, JSONL or text lines")->type_name("FILE")->group("Rules");
  app.add_option("--embedder", o.resources.embedder, "Own embedder: safetensors, model2vec folder, fastText .vec")->type_name("PATH")->group("Rules");
  app.add_option("--references", o.resources.references, "Texts that others should resemble, JSONL or text lines")->type_name("FILE")->group("Rules");

  app.add_option("--text-field", o.run.worker.fields.text_field, "Member that holds the text: NAME, NAME.NAME inside another, several with commas; a list of messages is one text (messages is looked for where there is no text)")->capture_default_str()->group("Records");
  app.add_option("--id-field", o.run.worker.fields.id_field, "Member that holds the id")->capture_default_str()->group("Records");
  app.add_option("--url-field", o.run.worker.fields.url_field, "Member that holds the address")->capture_default_str()->group("Records");
  app.add_flag("--text-lines", o.run.worker.text_lines, "Each line is a text, not JSON")->group("Records");
  app.add_flag("--transcode", o.run.worker.transcode, "Read GB18030 lines and UTF-16 files, write UTF-8")->group("Records");
  app.add_option("--max-line-mb", o.max_line_mb, "Longer lines are quarantined; a line is judged in 25 to 40 times its size, lines above 4 MB one at a time")->capture_default_str()->check(CLI::Range(0.001, 1000.0))->group("Records");
  app.add_option("--max-bad", o.max_bad, "Exit 65 when more than this share of the records is quarantined")->capture_default_str()->check(CLI::Range(0.0, 1.0))->group("Records");

  app.add_option("--work", o.work, "Folder for checkpoints [OUTPUT.work, or a temporary one]")->type_name("DIR")->group("Running");
  app.add_flag("--resume", o.run.resume, "Go on where an interrupted run stopped")->group("Running");
  app.add_option("--shard", o.shard, "i/n: the i-th (from 0) of n parts of the input")->type_name("I/N")->group("Running");
  app.add_option("--dedup-memory-mb", o.dedup_memory_mb, "For sorting in the duplicate search")->capture_default_str()->check(CLI::Range(1.0, 1e7))->group("Running");
  cli::add_common_options(app, o.machine, {cli::Common::kThreads, cli::Common::kIsa});
}

// clang-format on
filter::Profile effective_profile(const Options& o) {
  filter::Profile profile = filter::default_profile();
  if (!o.profile.empty())
    filter::apply_profile(profile, parse_json(read_file(o.profile, 1 << 26), o.profile, ErrorKind::kBadModel),
                          o.profile);
  if (!o.stages.empty()) filter::choose_stages(profile, o.stages);
  return profile;
}

void show_progress(cli::ProgressLine& line, const filter::Progress& p) {
  if (!line.due()) return;
  const double seconds = line.elapsed_s();
  char text[160];
  std::snprintf(text, sizeof text, "%s  %.1f MB/s  %.1f %% kept", p.doing,
                static_cast<double>(p.content_bytes) / 1e6 / seconds,
                p.read ? 100.0 * static_cast<double>(p.kept) / static_cast<double>(p.read) : 0.0);
  std::string more;
  if (p.total_bytes && p.bytes) {
    const double share = static_cast<double>(p.bytes) / static_cast<double>(p.total_bytes);
    more = "  " + std::to_string(static_cast<int>(100 * share)) + " %  " + cli::time_left(seconds, share);
  }
  line.write(text + more);
}

// Says, also when asked to be quiet, why a run ends with another code than 0.
int exit_code(const filter::Report& r, const Options& o) {
  const auto problems = filter::problems(r, o.max_bad);
  for (const auto& p : problems) cli::note(p.says);
  return problems.empty() ? 0 : static_cast<int>(problems[0].kind);
}

// Options in the library's words.
void prepare_run(Options& o) {
  if (o.inputs.empty() && cli::stdin_is_terminal())
    throw Error(ErrorKind::kUsage, "no input", "", "give JSONL files, or pipe some in; see --help");
  filter::FilterOptions& run = o.run;
  const auto found = filter::find_inputs(o.inputs.empty() ? std::vector<std::string>{"-"} : o.inputs);
  run.inputs = found.paths;
  if (const auto note = filter::folder_note(found); !note.empty()) run.notes.push_back(note);
  run.output = o.output;
  run.rejects = o.rejects;
  run.bad_lines = o.bad_lines;
  run.work = o.work;
  run.resources = o.resources;
  run.resources.fields = run.worker.fields;
  const filter::ShardChoice shard = filter::parse_shard(o.shard);
  run.shard = shard.shard;
  run.n_shards = shard.n_shards;
  run.input.max_line_bytes = static_cast<int64_t>(o.max_line_mb * 1e6);
  run.input.transcode = run.worker.transcode;
  run.dedup_memory_bytes = static_cast<int64_t>(o.dedup_memory_mb * 1e6);
  run.write_stdout = cli::write_stdout;
  run.stop = cli::stop_requested;
  const ThreadBudget budget = default_threads();
  run.threads = o.machine.threads ? o.machine.threads : budget.n_threads;
  if (!o.quiet && !o.machine.threads)
    cli::note(std::to_string(run.threads) + " threads (" + budget.reason + ")");
  cli::stop_on_signals();
}

// Runs one of the pipeline's entries, then shows and writes its report.
int with_report(Options& o, const std::function<filter::Report(filter::FilterOptions&)>& entry) {
  prepare_run(o);
  cli::ProgressLine line(!o.quiet);
  if (line.on()) o.run.progress = [&](const filter::Progress& p) { show_progress(line, p); };
  filter::check_outputs(o.run);
  cli::OutputFile json(o.report), html(o.html);  // hours later is late to learn that one cannot be
  const filter::Report report = entry(o.run);
  line.clear();
  constexpr int kColumns = 80;
  if (!o.quiet)
    std::cerr << filter::report_text(report, cli::stderr_columns(kColumns), cli::stderr_has_colour());
  if (json.wanted()) json.finish(dump(filter::report_json(report)) + "\n");
  if (html.wanted()) html.finish(filter::report_html(report));
  return exit_code(report, o);
}

void need_work(const Options& o) {
  if (o.work.empty())
    throw Error(ErrorKind::kUsage, "this step needs a folder that stays", "", "give --work DIR");
}

int filter_all(Options& o, const CLI::App& app) {
  const filter::Profile profile = effective_profile(o);
  if (o.show_config) return cli::write_stdout(dump(filter::profile_json(profile)) + "\n"), 0;
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "" : chosen[0]->get_name();
  if (command == "explain") {
    prepare_run(o);
    const auto view = filter::explain(profile, o.run, o.id);
    if (!view.found) throw Error(ErrorKind::kNoInput, "no record with this id", o.id, "FILE:LINE works, too");
    return cli::write_stdout(filter::explain_text(profile, view, o.id)), 0;
  }
  if (command == "tune") {
    prepare_run(o);
    return cli::write_stdout(filter::tune_text(profile, filter::tune(profile, o.run, o.sample))), 0;
  }
  if (command == "calibrate") {
    prepare_run(o);
    const auto c = filter::calibrate(profile, o.run, o.run.inputs, o.out_of_domain, o.loss);
    std::cerr << filter::calibration_text(c);
    return cli::OutputFile(o.output).finish(dump(filter::calibration_profile(c)) + "\n"), 0;
  }
  if (command == "sig") {
    need_work(o);
    return with_report(o, [&](filter::FilterOptions& run) { return filter::run_first_pass(profile, run); });
  }
  if (command == "apply") {
    need_work(o);
    return with_report(o, [&](filter::FilterOptions& run) {
      run.resume = true;  // takes over what sig left; does it now when nothing is there
      filter::Report report = filter::run_first_pass(profile, run);
      if (!report.interrupted)
        filter::run_second_pass(profile, run, filter::read_clusters(o.clusters), report);
      return report;
    });
  }
  const filter::EdgeOptions edges =
      filter::edge_options(profile, static_cast<int64_t>(o.dedup_memory_mb * 1e6));
  if (command == "edges") {
    const filter::ShardChoice part = filter::parse_shard(o.part);
    const auto n = filter::write_edges(o.inputs, part.shard, part.n_shards, edges, o.output);
    if (!o.quiet) cli::note(std::to_string(n) + " edges");
    return 0;
  }
  if (command == "cluster") {
    const auto n = filter::write_clusters(o.inputs, o.edges, edges, o.output);
    if (!o.quiet) cli::note(std::to_string(n) + " duplicates");
    return 0;
  }
  return with_report(o, [&](filter::FilterOptions& run) { return filter::run(profile, run); });
}

// clang-format off
void add_commands(CLI::App& app, Options& o) {
  app.require_subcommand(0, 1)->fallthrough();
  const auto add = [&](const char* name, const char* says) { return app.add_subcommand(name, says)->fallthrough(); };
  add("explain", "One record: every rule with its value and threshold")->add_option("--id", o.id, "Id, or FILE:LINE")->required();
  add("tune", "Quantiles of every rule over a sample")->add_option("--sample", o.sample, "Records at most")->capture_default_str();
  auto* calibrate = add("calibrate", "Semantic cut from an in-domain input and other texts; writes a profile to -o");
  calibrate->add_option("--out-of-domain", o.out_of_domain, "Texts that should go")->required()->type_name("FILE");
  calibrate->add_option("--loss", o.loss, "Share of the in-domain texts that may be lost")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  add("sig", "Step 1 of a distributed run: judge a --shard, leave candidates and signatures in --work");
  add("edges", "Step 2: pairs of similar records over all work folders, to -o")->add_option("--part", o.part, "i/n of the 15 keys")->capture_default_str();
  add("cluster", "Step 3: duplicates over all work folders, from --edges, to -o")->add_option("--edges", o.edges, "Files of step 2")->required()->type_name("FILE");
  add("apply", "Step 4: write a --shard's outputs from its --work and --clusters")->add_option("--clusters", o.clusters, "File of step 3")->required()->type_name("FILE");
}

// clang-format on

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Clean a JSONL corpus: five stages, Chinese and English, every drop explained", "ds-filter");
  Options o;
  add_options(app, o);
  add_commands(app, o);
  return cli::run(app, argc, argv, [&] { return filter_all(o, app); });
}
