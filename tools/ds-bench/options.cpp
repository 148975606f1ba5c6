#include "ds-bench/options.h"

#include "cli/build.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "io/keep_apart.h"

namespace ds::bench {
namespace {

using cli::Common;

// Rows of one command's table.
struct Rows {
  CLI::App& app;
  template <class T>
  CLI::Option* operator()(const char* name, T& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type);
  }
  void flag(const char* name, bool& value, const char* text) { app.add_flag(name, value, text); }
};

void add_files(CLI::App& app, BenchCommandLine& o, const char* text) {
  app.add_option("FILE", o.inputs, text)->type_name("FILE");
}
void add_out(CLI::App& app, BenchCommandLine& o, const char* text) {
  app.add_option("-o,--out", o.out, text)->capture_default_str()->type_name("FILE");
}
void add_json(CLI::App& app, BenchCommandLine& o) { app.add_flag("--json", o.json, "Machine form"); }
void add_data(CLI::App& app, std::string& folder) {
  app.add_option("--data", folder, "Folder of the embedded sets")->type_name("DIR");
}
void add_limits(CLI::App& app, BenchCommandLine& o) {
  const auto parse = [&o](const std::string& s) { o.stats.objectives = parse_objectives(s, "--slo"); };
  app.add_option_function<std::string>(
         "--slo", parse,
         "Limits of goodput, ttft (time to first token), tpot (per further token), e2e: ttft=200ms,tpot=50ms")
      ->type_name("LIMITS");
}

// clang-format off
void add_target(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  TargetOptions& t = o.target.options;
  row("MODEL", o.target.model, "MODEL", "Model folder, measured in this process [$DS_MODEL, without --cmd and --url]");
  row("--cmd", o.target.command, "LINE", "A command line, one process per request; {prompt} {max_tokens} {seed} are replaced, else the prompt arrives on its stdin");
  row("--url", o.target.url, "URL", "An OpenAI-style streaming server: the base its clients get, or a host alone for its /v1");
  row.flag("--shell", t.shell, "Run --cmd through /bin/sh");
  row("--api", t.api, "NAME", "chat or completions")->capture_default_str();
  row("--model-name", t.model_name, "NAME", "\"model\" of HTTP requests [asked from the server]");
  row("--api-key-file", t.api_key_file, "FILE", "File with the bearer token");
  row("--timeout", t.timeout_s, "S", "Seconds per request")->capture_default_str()->check(CLI::Range(0.001, 1e6));
  row("--ctx", t.context_tokens, "N", "Context of the in-process engine [as long as needed]");
  cli::add_common_options(app, o.common, {Common::kQuiet, Common::kThreads, Common::kIsa});
}

void add_plan(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  PlanOptions& p = o.plan.options;
  row("-n,--requests", p.n_requests, "N", "Requests per load point")->check(CLI::NonNegativeNumber);
  row("--duration", o.plan.duration, "TIME", "Time per load point: 30s, 5m");
  row("--prompts", p.prompts_path, "FILE", "JSON lines of {messages}, {prompt} or {turns}, each with its max_tokens if it has one, and for servers tools, top_p, stop, headers, extra_body; or a ShareGPT list [generated text]");
  row("--input-tokens", p.input_tokens, "N", "About so many tokens per generated prompt, as a large vocabulary counts them")->capture_default_str()->check(CLI::Range(1, 1 << 22));
  row("--output-tokens", p.output_tokens, "N", "Most tokens per answer, where --prompts says no max_tokens")->capture_default_str()->check(CLI::Range(1, 1 << 22));
  row("--length-spread", p.length_spread, "SIGMA", "Spread of generated lengths: sigma of a lognormal about the means; 0.6 is like chats, 0 is all alike")->capture_default_str();
  row("--shared-prefix", p.shared_prefix, "SHARE", "Share of a generated prompt that all prompts begin with, as a system prompt is")->capture_default_str();
  row.flag("--ignore-eos", p.ignore_eos, "Exactly so many tokens per answer, where the target can");
  row("--temperature", p.temperature, "T", "0 is greedy")->capture_default_str()->check(CLI::Range(0.0, 100.0));
  row("--seed", p.seed, "N", "Of prompts, arrivals and sampling")->capture_default_str();
  row("-c,--concurrency", o.plan.clients, "N,...", "Closed loop: clients, several make a sweep; open: most in flight [256]")->delimiter(',');
  row("--arrivals", o.plan.arrivals, "KIND", "closed, poisson, constant, or a trace: a file of seconds, or Mooncake's lines with their lengths")->capture_default_str();
  row("--rate", p.rates, "R,...", "Requests per second, several make a sweep")->delimiter(',');
  row("--warmup", p.warmup, "N", "Requests left out first [-1: until steady, at most 16]")->capture_default_str()->check(CLI::Range(-1, 1000000));
}

void add_run(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  add_target(app, o);
  const size_t before = app.get_options().size();
  add_plan(app, o);
  o.plan_options = app.get_options();
  o.plan_options.erase(o.plan_options.begin(), o.plan_options.begin() + static_cast<ptrdiff_t>(before));
  row("--plan", o.plan.frozen_path, "FILE", "A plan made by ds-bench plan, instead of the options it holds");
  row("--ab", o.run.ab, "TARGET", "Second arm of the same kind, measured in turns with the first");
  row("--find-goodput", o.run.find_goodput, "LIMITS", "Highest rate that meets, e.g., ttft=200ms@p99,tpot=50ms@p90; begins at --rate [found out]");
  app.add_flag_callback("--no-overhead", [&o] { o.run.overhead = false; }, "Do not measure the tool's own cost first");
  add_out(app, o, "Output file; on a terminal: none, the table alone");
  cli::add_common_options(app, o.common, {Common::kShard});
  row("--resume", o.run.resume_path, "FILE", "Records of an interrupted run: only what is missing is done");
}

void add_plots(CLI::App& app, BenchCommandLine& o) {
  const auto method = [&o](const std::string& s) { o.stats.method = parse_quantile_method(s); };
  app.add_option_function<std::string>("--percentile-method", method, "nearest, type7, hdr, loadgen")->default_str("nearest")->type_name("NAME");
  app.add_option("--width", o.stats.width, "Columns [those of the terminal, else 100]")->check(CLI::Range(40, 400))->type_name("N");
  app.add_flag_callback("--ascii", [&o] { o.stats.unicode = false; }, "No braille");
}

void add_stats(CLI::App& app, BenchCommandLine& o) {
  add_files(app, o, "Records, or a report of ds-bench; - is stdin");
  add_limits(app, o);
  const auto form = [&](const char* name, ReportForm f, const char* text) { app.add_flag_callback(name, [&o, f] { o.form = f; }, text); };
  form("--json", ReportForm::kJson, "Machine form");
  form("--csv", ReportForm::kCsv, "A line per metric, for a spreadsheet");
  form("--markdown", ReportForm::kMarkdown, "A table for a README or an issue");
  add_plots(app, o);
}

void add_compare(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  row("FILE", o.inputs, "A [B]", "Two runs, one interleaved run, or two evaluations")->required()->expected(1, 2);
  row("--gate", o.gates, "GATE", "p50|p90|p95|p99|mean _ ttft|tpot|itl|e2e, goodput, tok_s; then :+5% or :200ms. ttft is the time to the first token, tpot per further token, itl between tokens, e2e of the whole request")->allow_extra_args(false);
  row("--margin", o.compare.margin, "SHARE", "Ratios (of evaluations: points) within this are SAME")->capture_default_str()->check(CLI::Range(0.001, 1.0));
  row("--alpha", o.compare.alpha, "P", "Error rate of the whole family of gates")->capture_default_str()->check(CLI::Range(1e-6, 0.5));
  row.flag("--force", o.compare.force, "Compare although plan or environment differ");
  add_limits(app, o);
  add_json(app, o);
}

void add_eval(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  AskOptions& e = o.eval.ask;
  PerplexityOptions& p = o.eval.perplexity;
  add_target(app, o);
  row("--set", o.eval.set, "SET", "math, multiturn, reading, ppl, kld, or a file of {messages, answer} lines, each with its \"match\": exact (default), contains, number or choice")->required();
  row("--max-tokens", e.max_tokens, "N", "Most tokens per answer")->capture_default_str()->check(CLI::Range(1, 1 << 22));
  row("--limit", e.limit, "N", "The first so many questions [all]")->check(CLI::NonNegativeNumber);
  row("-c,--concurrency", e.clients, "N", "Questions at once")->capture_default_str()->check(CLI::Range(1, 1024));
  row("--text", o.eval.text_path, "FILE", "Text of ppl and kld [dialogues and passages of the embedded sets]");
  row("--window", p.window_tokens, "N", "Tokens per window of ppl and kld")->capture_default_str();
  row("--text-tokens", p.max_tokens, "N", "Most tokens of the text")->capture_default_str();
  row("--baseline", p.baseline, "FILE", "KL to this file");
  row("--write-baseline", p.write_baseline, "FILE", "Store a baseline for later runs");
  add_data(app, o.eval.data_folder);
  add_out(app, o, "Output file");
  cli::add_common_options(app, o.common, {Common::kShard});
  row("--resume", o.eval.resume_path, "FILE", "Records of an interrupted run: only what is missing is done");
}

void add_drift(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  add_files(app, o, "Output of ds-bench eval; - is stdin");
  row("--ledger", o.drift.ledger, "FILE", "The append-only ledger, made when missing")->required();
  row("--false-alarm-days", o.drift.false_alarm_days, "N", "Mean time between false alarms at one entry a day")->capture_default_str()->check(CLI::Range(1.0, 1e6));
  row.flag("--integrity", o.integrity, "Changed answers of an unchanged model are drift too");
  cli::add_common_options(app, o.common, {Common::kQuiet});
}

void add_report(CLI::App& app, BenchCommandLine& o) {
  add_files(app, o, "Records, evaluations, ledgers; - is stdin");
  app.add_option("--title", o.title, "Of the page")->capture_default_str()->type_name("TEXT");
  add_limits(app, o);
  add_plots(app, o);
  add_out(app, o, "Output file");
}

void add_matrix(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  add_target(app, o);
  row("--questions", o.matrix.n_questions, "N", "Per set [all]");
  row("-n,--requests", o.matrix.n_requests, "N", "For latency")->capture_default_str();
  add_json(app, o);
  add_data(app, o.matrix.data_folder);
}

void add_plan_command(CLI::App& app, BenchCommandLine& o) {
  add_plan(app, o);
  app.add_option("--detect", o.detect, "Print the requests that a claim needs: p90:5%")->type_name("CLAIM");
  add_out(app, o, "Output file");
  cli::add_common_options(app, o.common, {Common::kQuiet});
}

void add_doctor(CLI::App& app, BenchCommandLine& o) {
  Rows row{app};
  row("--serve", o.port, "PORT", "Be the scripted server on this port instead; 0: any free one")->check(CLI::Range(0, 65535));
  row("--script", o.script, "SCRIPT", "What it does: ttft=20ms,tpot=1ms,tokens=8,stall=50s:1s");
  add_json(app, o);
  cli::add_common_options(app, o.common, {Common::kQuiet});
}
// clang-format on

constexpr const char* kDescription =
    R"(latency percentiles with intervals, comparisons with verdicts, accuracy drift

Examples:
  ds-bench run MODEL > today.jsonl && ds-bench stats today.jsonl
  ds-bench compare yesterday.jsonl today.jsonl --gate p90_ttft:+5%
  ds-bench eval MODEL --set math | ds-bench drift --ledger drift.jsonl)";

constexpr const char* kRunExamples =
    R"(  ds-bench run MODEL > today.jsonl
  ds-bench run --url http://localhost:8000 -c 1,4,16 -n 200 -o sweep.jsonl
  ds-bench run --cmd 'my-model {prompt}' -n 50 | ds-bench stats
  ds-bench run MODEL --ab OTHER > ab.jsonl
  ds-bench run MODEL -n 500 --resume cut.jsonl -o whole.jsonl)";
constexpr const char* kStatsExamples =
    R"(  ds-bench stats today.jsonl --slo ttft=200ms,tpot=50ms
  ds-bench stats today.jsonl --markdown >> NOTES.md
  ds-run MODEL --jsonl --timings - < prompts.jsonl | ds-bench stats)";
constexpr const char* kCompareExamples =
    R"(  ds-bench compare yesterday.jsonl today.jsonl --gate p90_ttft:+5%
  ds-bench compare ab.jsonl)";
constexpr const char* kEvalExamples =
    R"(  ds-bench eval MODEL --set math -o items.jsonl
  ds-bench eval --url http://localhost:8000 --set my.jsonl -c 8
  ds-bench eval MODEL --set kld --baseline bf16.kld)";
constexpr const char* kDriftExamples =
    R"(  ds-bench eval MODEL --set math | ds-bench drift --ledger drift.jsonl)";
constexpr const char* kReportExamples = R"(  ds-bench report *.jsonl -o report.html)";
constexpr const char* kMatrixExamples =
    R"(  ds-bench matrix MODEL
  ds-bench matrix --url http://localhost:8000 --questions 50 --json)";
constexpr const char* kPlanExamples =
    R"(  ds-bench plan -n 200 --input-tokens 512 --length-spread 0.6 -o plan.jsonl
  ds-bench run MODEL --plan plan.jsonl > today.jsonl
  ds-bench plan --detect p90:5%)";
constexpr const char* kDoctorExamples =
    R"(  ds-bench doctor
  ds-bench doctor --serve 8000 --script ttft=20ms,tpot=1ms,tokens=8)";

}  // namespace

std::vector<cli::Command> add_commands(CLI::App& app, BenchCommandLine& o, const BenchWork& work) {
  o.run.build = o.eval.build = {cli::version(), cli::commit(), cli::compiler()};
  o.eval.data_folder = o.matrix.data_folder = cli::data_folder();
  o.stats.width = o.compare.width = cli::stdout_columns(100);
  using Add = void (*)(CLI::App&, BenchCommandLine&);
  using Work = std::function<int(BenchCommandLine&)>;
  const auto row = [&o](const char* name, const char* says, const char* examples, Add add, const Work& run) {
    return cli::Command{name, says, examples, [add, &o](CLI::App& command) { add(command, o); },
                        [run, &o] { return run(o); }};
  };
  const std::vector<cli::Command> table = {
      row("run", "Measure a model, a command or a server; JSON lines out", kRunExamples, add_run, work.run),
      row("stats", "Percentiles with intervals, goodput, plots from records", kStatsExamples, add_stats,
          work.stats),
      row("compare", "FASTER, SLOWER, SAME or INCONCLUSIVE; exit 0, 1, 3", kCompareExamples, add_compare,
          work.compare),
      row("eval", "Accuracy, perplexity or KL divergence; JSON lines out", kEvalExamples, add_eval,
          work.eval),
      row("drift", "Add an evaluation to a ledger; exit 1 when accuracy has fallen", kDriftExamples,
          add_drift, work.drift),
      row("report", "One self-contained HTML page from records", kReportExamples, add_report, work.report),
      row("matrix", "One table of what a model can do: reasoning, retention, reading, latency",
          kMatrixExamples, add_matrix, work.matrix),
      row("plan", "Freeze prompts, lengths, arrivals and seeds; print the hash", kPlanExamples,
          add_plan_command, work.plan),
      row("doctor", "What this machine can measure, and what ds-bench itself costs", kDoctorExamples,
          add_doctor, work.doctor),
  };
  app.description(kDescription)->require_subcommand(1);
  cli::add_commands(app, table);
  return table;
}

void resolve(BenchCommandLine& o) {
  for (const CLI::Option* option : o.plan_options)
    if (option->count() > 0 && !o.plan.frozen_path.empty())
      throw Error(ErrorKind::kUsage, "--plan and " + option->get_name() + " contradict each other", "--plan",
                  "the plan holds it already; make another with ds-bench plan");
  if (o.target.model.empty() && o.target.command.empty() && o.target.url.empty())
    o.target.model = cli::default_model();
  std::vector<std::string> read = o.inputs;
  read.insert(read.end(),
              {o.target.model, o.plan.options.prompts_path, o.plan.frozen_path, o.plan.arrivals, o.eval.set,
               o.eval.text_path, o.eval.perplexity.baseline, o.target.options.api_key_file});
  io::keep_apart({o.out, o.eval.perplexity.write_baseline}, read);
  o.plan.searches_rate = !o.run.find_goodput.empty();
  o.target.options.threads = o.common.threads;
  o.target.options.isa = o.common.isa;
  o.run.target = o.eval.target = o.target;
  o.run.shard = o.eval.ask.shard = parse_shard(o.common.shard);
}

}  // namespace ds::bench
