#include "ds-filter/options.h"

namespace ds::filter {
namespace {

using cli::Common;

// clang-format off
void add_shared(CLI::App& app, FilterCommandLine& o) {
  std::string group = "Options";
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(group);
  };
  const auto flag = [&](const char* name, bool& value, const char* text) { app.add_flag(name, value, text)->group(group); };
  const auto megabytes = [&](const char* name, int64_t& bytes, double least, double most, const char* text) {
    app.add_option_function<double>(name, [&bytes](double mb) { bytes = static_cast<int64_t>(mb * 1e6); }, text)
        ->default_str(std::to_string(bytes / 1'000'000))->check(CLI::Range(least, most))->type_name("MB")->group(group);
  };
  FilterOptions& run = o.run;
  WorkerOptions& worker = run.worker;
  ResourceOptions& resources = run.resources;
  app.add_option("INPUT", run.inputs, "JSONL files (.gz, .zst, .xz and .bz2 too), folders, or - for stdin")->type_name("FILE");
  option("-o,--output", run.output, "PATH", "Kept records: file, folder/ (one file per input), or -")->capture_default_str();
  option("--rejects", run.rejects, "PATH", "Dropped records with their reason: file, or folder/ with a file per stage");
  option("--bad-lines", run.bad_lines, "FILE", "Lines that are no record: the bytes, where they stood, what is wrong");
  option("--html", o.html, "FILE", "The report as one HTML page");
  cli::add_common_options(app, o.common, {Common::kReport, Common::kQuiet});
  group = "Rules";
  option("--stages", o.stages, "LIST", "Comma separated: integrity,quality,entities,duplicates,semantic")
      ->check(CLI::Validator([](std::string& list) { return std::string(list.empty() ? "names no stage" : ""); }, ""));
  option("--profile", o.profile, "FILE", "JSON over the default rules and thresholds");
  flag("--show-config", o.show_config, "Print the effective profile and stop");
  flag("--no-short-circuit", worker.score_all, "Score all rules of every record");
  option("--gazetteer", resources.gazetteers, "FILE", "TSV of own terms: category, hard or soft, term");
  option("--url-list", resources.url_list, "FILE", "Domains or address beginnings to drop, one a line");
  option("--decontaminate", resources.decontaminate, "FILE", "Evaluation sets, JSONL or text lines");
  option("--embedder", resources.embedder, "PATH", "Own embedder: safetensors, model2vec folder, fastText .vec");
  option("--references", resources.references, "FILE", "Texts that others should resemble, JSONL or text lines");
  group = "Records";
  option("--text-field", worker.fields.text_field, "NAME", "Member that holds the text: NAME, NAME.NAME inside another, several with commas; a list of messages is one text (messages is looked for where there is no text)")->capture_default_str();
  option("--id-field", worker.fields.id_field, "NAME", "Member that holds the id")->capture_default_str();
  option("--url-field", worker.fields.url_field, "NAME", "Member that holds the address")->capture_default_str();
  flag("--text-lines", worker.text_lines, "Each line is a text, not JSON");
  flag("--transcode", worker.transcode, "Read GB18030 lines and UTF-16 files, write UTF-8");
  megabytes("--max-line-mb", run.input.max_line_bytes, 0.001, 1000, "Longer lines are quarantined; a line is judged in 25 to 40 times its size, lines above 4 MB one at a time");
  option("--max-bad", o.max_bad, "SHARE", "Exit 65 when more than this share of the records is quarantined")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  group = "Running";
  option("--work", run.work, "DIR", "Folder for checkpoints [OUTPUT.work, or a temporary one]");
  megabytes("--dedup-memory-mb", run.dedup_memory_bytes, 1, 1e7, "For sorting in the duplicate search");
  cli::add_common_options(app, o.common, {Common::kResume, Common::kShard, Common::kThreads});
  for (const char* name : {"--resume", "--shard"}) app.get_option(name)->group(group);
}

}  // namespace

std::vector<cli::Command> add_options(CLI::App& app, FilterCommandLine& o, const FilterWork& work) {
  add_shared(app, o);
  app.require_subcommand(0, 1)->fallthrough();
  const auto bind = [&o](const std::function<int(FilterCommandLine&)>& run) { return [run, &o] { return run(o); }; };
  const std::vector<cli::Command> commands = {
      {"explain", "One record: every rule with its value and threshold",
       "  ds-filter explain raw.jsonl --id 42\n"
       "  ds-filter explain raw.jsonl --id raw.jsonl:17",
       [&](CLI::App& a) { a.add_option("--id", o.id, "Id, or FILE:LINE")->required(); }, bind(work.explain)},
      {"tune", "Quantiles of every rule over a sample",
       "  ds-filter tune raw.jsonl --sample 10000",
       [&](CLI::App& a) { a.add_option("--sample", o.sample, "Records at most")->capture_default_str()->type_name("N"); }, bind(work.tune)},
      {"calibrate", "Semantic cut from an in-domain input and other texts; writes a profile to -o",
       "  ds-filter calibrate mine.jsonl --out-of-domain other.jsonl -o cut.json\n"
       "  ds-filter raw.jsonl --profile cut.json > clean.jsonl",
       [&](CLI::App& a) {
         a.add_option("--out-of-domain", o.out_of_domain, "Texts that should go")->required()->type_name("FILE");
         a.add_option("--loss", o.loss, "Share of the in-domain texts that may be lost")->capture_default_str()->check(CLI::Range(0.0, 1.0))->type_name("SHARE");
       }, bind(work.calibrate)},
      {"sig", "Step 1 of a distributed run: judge a --shard, leave candidates and signatures in --work",
       "  ds-filter sig raw/ --shard 0/8 --work work/0\n"
       "  ds-filter sig raw/ --shard auto --work work/$SLURM_ARRAY_TASK_ID",
       {}, bind(work.sig)},
      {"edges", "Step 2: pairs of similar records over all work folders, to -o",
       "  ds-filter edges work/* --part 0/3 -o edges-0",
       [&](CLI::App& a) { a.add_option("--part", o.part, "i/n of the 15 keys")->capture_default_str()->type_name("I/N"); }, bind(work.edges)},
      {"cluster", "Step 3: duplicates over all work folders, from --edges, to -o",
       "  ds-filter cluster work/* --edges edges-0 edges-1 edges-2 -o clusters",
       [&](CLI::App& a) { a.add_option("--edges", o.edges, "Files of step 2")->required()->type_name("FILE"); }, bind(work.cluster)},
      {"apply", "Step 4: write a --shard's outputs from its --work and --clusters",
       "  ds-filter apply raw/ --shard 0/8 --work work/0 --clusters clusters -o clean/",
       [&](CLI::App& a) { a.add_option("--clusters", o.clusters, "File of step 3")->required()->type_name("FILE"); }, bind(work.apply)},
  };
  cli::add_commands(app, commands);
  return commands;
}
// clang-format on

}  // namespace ds::filter
