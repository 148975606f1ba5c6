// The option tables that several commands of ds-bench share.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "bench/eval/drift.h"
#include "bench/eval/evaluation.h"
#include "bench/load/run.h"
#include "cli/build.h"
#include "cli/options.h"

namespace ds::bench {

struct Options {
  cli::CommonOptions machine;
  TargetChoice target;
  PlanOptions plan;
  std::string duration, arrivals = "closed", plan_path, out = "-", shard;
  std::string ab, resume, find_goodput, slo, percentile = "nearest", detect;
  EvaluationOptions eval;
  DriftOptions drift;
  std::string data = cli::data_folder(), title = "ds-bench report", script;
  int64_t n_questions = 0, port = -1;
  bool integrity = false;
  std::vector<std::string> inputs, gates;
  bool quiet = false, json = false, csv = false, markdown = false, ascii = false, force = false,
       no_overhead = false;
  double alpha = 0.05, margin = 0.05;
  int width = 0;
};

inline void add_target_options(CLI::App& app, Options& o) {
  app.add_option("model", o.target.model, "Model folder, measured in this process")->type_name("MODEL");
  app.add_option("--cmd", o.target.command,
                 "A command line, one process per request; {prompt} {max_tokens} {seed} are replaced, else "
                 "the prompt "
                 "arrives on its stdin")
      ->type_name("LINE");
  app.add_option("--url", o.target.url,
                 "An OpenAI-style streaming server: the base its clients get, or a host alone for its /v1")
      ->type_name("URL");
  app.add_flag("--shell", o.target.options.shell, "Run --cmd through /bin/sh");
  app.add_option("--api", o.target.options.api, "chat or completions")->capture_default_str();
  app.add_option("--model-name", o.target.options.model_name,
                 "\"model\" of HTTP requests [asked from the server]");
  app.add_option("--api-key-file", o.target.options.api_key_file, "File with the bearer token");
  app.add_option("--timeout", o.target.options.timeout_s, "Seconds per request")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("--ctx", o.target.options.context_tokens,
                 "Context of the in-process engine [as long as needed]");
  cli::add_common_options(app, o.machine, {cli::Common::kThreads, cli::Common::kIsa});
}

// Returns them, for a frozen plan takes the place of all.
inline std::vector<CLI::Option*> add_plan_options(CLI::App& app, Options& o) {
  const size_t n_before = app.get_options().size();
  app.add_option("-n,--requests", o.plan.n_requests, "Requests per load point")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--duration", o.duration, "Time per load point: 30s, 5m");
  app.add_option("--prompts", o.plan.prompts_path,
                 "JSON lines of {messages}, {prompt} or {turns}, each with its max_tokens if it has one, and "
                 "for servers "
                 "tools, top_p, stop, headers, extra_body; or a ShareGPT list [generated text]");
  app.add_option("--input-tokens", o.plan.input_tokens, "About so many tokens per generated prompt")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 22));
  app.add_option("--output-tokens", o.plan.output_tokens,
                 "Most tokens per answer, where --prompts says no max_tokens")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 22));
  app.add_option("--length-spread", o.plan.length_spread,
                 "Spread of generated lengths: sigma of a lognormal about the means; 0.6 is like chats, 0 is "
                 "all alike")
      ->capture_default_str();
  app.add_option("--shared-prefix", o.plan.shared_prefix,
                 "Share of a generated prompt that all prompts begin with, as a system prompt is")
      ->capture_default_str();
  app.add_flag("--ignore-eos", o.plan.ignore_eos, "Exactly so many tokens per answer, where the target can");
  app.add_option("--temperature", o.plan.temperature, "0 is greedy")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--seed", o.plan.seed, "Of prompts, arrivals and sampling")->capture_default_str();
  app.add_option("-c,--concurrency", o.plan.clients,
                 "Closed loop: clients, several make a sweep; open: most in flight [256]")
      ->delimiter(',');
  app.add_option(
         "--arrivals", o.arrivals,
         "closed, poisson, constant, or a trace: a file of seconds, or Mooncake's lines with their lengths")
      ->capture_default_str();
  app.add_option("--rate", o.plan.rates, "Requests per second, several make a sweep")->delimiter(',');
  app.add_option("--warmup", o.plan.warmup, "Requests left out first [-1: until steady, at most 16]")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1000000));
  std::vector<CLI::Option*> options = app.get_options();
  options.erase(options.begin(), options.begin() + static_cast<ptrdiff_t>(n_before));
  return options;
}

inline void add_eval_options(CLI::App& app, Options& o) {
  app.add_option("--set", o.eval.set,
                 "math, multiturn, reading, ppl, kld, or a file of {messages, answer} lines")
      ->required();
  app.add_option("--max-tokens", o.eval.eval.max_tokens, "Most tokens per answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 22));
  app.add_option("--limit", o.eval.eval.limit, "The first so many questions [all]")
      ->check(CLI::NonNegativeNumber);
  app.add_option("-c,--concurrency", o.eval.eval.clients, "Questions at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--text", o.eval.text_path,
                 "Text of ppl and kld [dialogues and passages of the embedded sets]");
  app.add_option("--window", o.eval.perplexity.window_tokens, "Tokens per window of ppl and kld")
      ->capture_default_str();
  app.add_option("--text-tokens", o.eval.perplexity.max_tokens, "Most tokens of the text")
      ->capture_default_str();
  app.add_option("--baseline", o.eval.perplexity.baseline, "KL to this file");
  app.add_option("--write-baseline", o.eval.perplexity.write_baseline, "Store a baseline for later runs");
}

inline void add_drift_options(CLI::App& app, Options& o) {
  app.add_option("files", o.inputs, "Output of ds-bench eval; - is stdin")->type_name("FILE");
  app.add_option("--ledger", o.drift.ledger, "The append-only ledger, made when missing")->required();
  app.add_option("--false-alarm-days", o.drift.false_alarm_days,
                 "Mean time between false alarms at one entry a day")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 1e6));
  app.add_flag("--integrity", o.integrity, "Changed answers of an unchanged model are drift too");
}

inline void add_plot_options(CLI::App& app, Options& o) {
  app.add_option("--percentile-method", o.percentile, "nearest, type7, hdr, loadgen")->capture_default_str();
  app.add_option("--width", o.width, "Columns [those of the terminal, else 100]")->check(CLI::Range(40, 400));
  app.add_flag("--ascii", o.ascii, "No braille");
}

inline void add_compare_options(CLI::App& app, Options& o) {
  app.add_option("files", o.inputs, "Two runs, one interleaved run, or two evaluations")
      ->required()
      ->expected(1, 2)
      ->type_name("A [B]");
  app.add_option("--gate", o.gates,
                 "p50|p90|p95|p99|mean _ ttft|tpot|itl|e2e, goodput, tok_s; then :+5% or :200ms")
      ->allow_extra_args(false);
  app.add_option("--margin", o.margin, "Ratios (of evaluations: points) within this are SAME")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1.0));
  app.add_option("--alpha", o.alpha, "Error rate of the whole family of gates")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 0.5));
  app.add_flag("--force", o.force, "Compare although plan or environment differ");
}

struct Commands {
  CLI::App *run, *stats, *compare, *eval, *drift, *report, *matrix, *plan, *doctor;
  std::vector<CLI::Option*> run_plan;  // options of run that a frozen plan holds
};

inline Commands add_commands(CLI::App& app, Options& o) {
  app.require_subcommand(1);
  Commands c{};
  c.run = app.add_subcommand("run", "Measure a model, a command or a server; JSON lines out");
  add_target_options(*c.run, o);
  c.run_plan = add_plan_options(*c.run, o);
  c.run->add_option("--plan", o.plan_path, "A plan made by ds-bench plan, instead of the options it holds");
  c.run->add_option("--ab", o.ab, "Second arm of the same kind, measured in turns with the first");
  c.run->add_option(
      "--find-goodput", o.find_goodput,
      "Highest rate that meets, e.g., ttft=200ms@p99,tpot=50ms@p90; begins at --rate [found out]");
  c.run->add_flag("--no-overhead", o.no_overhead, "Do not measure the tool's own cost first");
  c.stats = app.add_subcommand("stats", "Percentiles with intervals, goodput, plots from records");
  c.stats->add_option("files", o.inputs, "Records, or a report of ds-bench; - is stdin")
      ->type_name("FILE...");
  c.compare = app.add_subcommand("compare", "FASTER, SLOWER, SAME or INCONCLUSIVE; exit 0, 1, 3");
  add_compare_options(*c.compare, o);
  c.eval = app.add_subcommand("eval", "Accuracy, perplexity or KL divergence; JSON lines out");
  add_target_options(*c.eval, o);
  add_eval_options(*c.eval, o);
  c.drift = app.add_subcommand("drift", "Add an evaluation to a ledger; exit 1 when accuracy has fallen");
  add_drift_options(*c.drift, o);
  c.report = app.add_subcommand("report", "One self-contained HTML page from records");
  c.report->add_option("files", o.inputs, "Records, evaluations, ledgers; - is stdin")->type_name("FILE...");
  c.report->add_option("--title", o.title, "Of the page")->capture_default_str();
  c.matrix = app.add_subcommand("matrix",
                                "One table of what a model can do: reasoning, retention, reading, latency");
  add_target_options(*c.matrix, o);
  c.matrix->add_option("--questions", o.n_questions, "Per set [all]");
  c.matrix->add_option("-n,--requests", o.plan.n_requests, "For latency [60]");
  c.plan = app.add_subcommand("plan", "Freeze prompts, lengths, arrivals and seeds; print the hash");
  add_plan_options(*c.plan, o);
  c.plan->add_option("--detect", o.detect, "Print the requests that a claim needs: p90:5%");
  c.doctor = app.add_subcommand("doctor", "What this machine can measure, and what ds-bench itself costs");
  c.doctor->add_option("--serve", o.port, "Be the scripted server on this port instead; 0: any free one")
      ->check(CLI::Range(0, 65535));
  c.doctor->add_option("--script", o.script, "What it does: ttft=20ms,tpot=1ms,tokens=8,stall=50s:1s");
  for (CLI::App* sub : {c.stats, c.compare, c.report})
    sub->add_option("--slo", o.slo, "Limits of goodput: ttft=200ms,tpot=50ms");
  for (CLI::App* sub : {c.stats, c.compare, c.matrix, c.doctor})
    sub->add_flag("--json", o.json, "Machine form");
  for (CLI::App* sub : {c.stats, c.report}) add_plot_options(*sub, o);
  c.stats->add_flag("--csv", o.csv, "A line per metric, for a spreadsheet");
  c.stats->add_flag("--markdown", o.markdown, "A table for a README or an issue");
  for (CLI::App* sub : {c.run, c.eval, c.report, c.plan})
    sub->add_option("-o,--out", o.out, "Output file; of run on a terminal: none, the table alone")
        ->capture_default_str();
  for (CLI::App* sub : {c.run, c.eval, c.drift, c.matrix, c.plan, c.doctor})
    sub->add_flag("-q,--quiet", o.quiet, "Only errors and negative verdicts");
  for (CLI::App* sub : {c.eval, c.matrix}) sub->add_option("--data", o.data, "Folder of the embedded sets");
  for (CLI::App* sub : {c.run, c.eval}) {
    sub->add_option("--shard", o.shard, "i/n, or auto for a SLURM array");
    sub->add_option("--resume", o.resume, "Records of an interrupted run: only what is missing is done");
  }
  return c;
}

}  // namespace ds::bench
