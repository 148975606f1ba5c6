// ds-run: a model folder and text in, answers out.
#include <iostream>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "ds-run-help.h"
#include "infer/prompt.h"
#include "infer/run_job.h"

namespace {

using namespace ds;
using namespace ds::infer;
using Kind = RunJob::Kind;

struct Options {
  RunJob job;
  cli::CommonOptions common;
  std::optional<std::string> prompt;
  std::optional<Kind> kind;  // of a job that is no answer
  std::string file, jsonl;
  bool has_jsonl = false, think = false, no_think = false;
};

const std::map<std::string, Activations> kActivations = {{"f32", Activations::kF32},
                                                         {"bf16", Activations::kBF16}};
const std::map<std::string, DType> kCacheTypes = {{"f32", DType::kF32}, {"bf16", DType::kBF16}};
const std::map<std::string, WeightPlacement> kPlacements = {
    {"auto", WeightPlacement::kAuto}, {"map", WeightPlacement::kMapped}, {"copy", WeightPlacement::kCopied}};

void add_options(CLI::App& app, Options& o) {
  RunJob& job = o.job;
  GenerationOverrides& g = job.generation;
  std::string group = "Input";
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(group)->allow_extra_args(false);
  };
  const auto flag = [&](const char* name, bool& value, const char* text) {
    return app.add_flag(name, value, text)->group(group);
  };
  app.add_option("MODEL", job.model, "Model folder, or ORG/NAME")->envname("DS_MODEL")->required();
  auto* question = app.add_option("PROMPT", o.prompt, "Question or instruction");
  option("-p,--prompt", o.prompt, "TEXT", "Question or instruction, as PROMPT")->excludes(question);
  auto* file = option("-f,--file", o.file, "FILE", "Text, or the records of a job, from a file; - is stdin");
  option("-s,--system", job.defaults.system, "TEXT", "System prompt");
  flag("--raw", job.defaults.raw, "Continue the text as it is, without chat template");
  auto* jsonl = option("--jsonl", o.jsonl, "[FILE]", "Records, a JSON object a line, from FILE or stdin");
  jsonl->expected(0, 1)->excludes(file);
  option("--chat-template", job.engine.text.chat_template, "FILE", "Jinja template instead of the folder's");
  auto* think = flag("--think", o.think, "Ask for reasoning, where the template has a switch");
  flag("--no-think", o.no_think, "Ask for none, where the template has a switch")->excludes(think);
  group = "Generation";
  option("-n,--max-tokens", g.max_tokens, "N", "New tokens at most; 0: until the context is full");
  option("--temperature", g.temperature, "T", "0: always the most likely token");
  option("--top-k", g.top_k, "K", "Choose among the K most likely tokens; 0: all");
  option("--top-p", g.top_p, "P", "Choose among the most likely tokens that hold this probability");
  option("--min-p", g.min_p, "P", "Leave out tokens below this share of the most likely one");
  option("--repeat-penalty", g.repeat_penalty, "R", "Make tokens already seen less likely; 1: do not");
  option("--seed", g.seed, "N", "The same seed gives the same answer [0]")->check(CLI::NonNegativeNumber);
  option("--stop", g.stop, "TEXT", "End the answer before this text; may be repeated");
  option("--ctx", job.engine.ctx, "N", "Tokens of context [what fits]")->check(CLI::NonNegativeNumber);
  group = "Output";
  flag("--json", job.json, "A record as with --jsonl instead of text; with --plan: an object");
  flag("--ids", job.defaults.return_ids, "Put output_ids into records");
  option("--bad-lines", job.bad_lines, "FILE", "Lines of records that failed, as they came");
  option("--think-out", job.think_out, "FILE", "Reasoning to a file instead of stderr")->excludes(jsonl);
  option("--timings", job.timings, "FILE", "A line of token times per answer; - is stdout, without answers");
  group = "Jobs, instead of answering";
  const auto kind = [&](const char* name, Kind k, const char* text) {
    const auto choose = [&o, k] { o.kind = k; };
    return app.add_flag_callback(name, choose, text)->group(group);
  };
  auto* score = kind("--score", Kind::kScore, "Log-probabilities of records");
  option("--logits", job.logits, "FILE", "With --score: logits as safetensors")->needs(score);
  auto* tokenize = kind("--tokenize", Kind::kTokenize, "Text to token ids, nothing added");
  flag("--add-special", job.add_special, "With --tokenize: BOS and EOS, too")->needs(tokenize);
  auto* detokenize = kind("--detokenize", Kind::kDetokenize, "Token ids to text");
  auto* render = kind("--render", Kind::kRender, "Records to the prompts that the chat template makes");
  auto* plan = kind("--plan", Kind::kPlan, "What would be loaded: memory, threads, kernels");
  for (auto* x : {score, tokenize, detokenize, render, plan})
    for (auto* y : {score, tokenize, detokenize, render, plan})
      if (x != y) x->excludes(y);
  cli::add_common_options(app, o.common, {cli::Common::kQuiet, cli::Common::kThreads, cli::Common::kIsa});
  cli::add_choice(app, "--activations", job.engine.activations, kActivations, "Of prompts; bf16 rounds");
  cli::add_choice(app, "--cache-type", job.engine.cache_type, kCacheTypes, "Cached rows; bf16 takes half");
  cli::add_choice(app, "--weights", job.engine.weights, kPlacements, "Map, or copy into large pages");
  for (const char* n : {"--activations", "--cache-type", "--weights"}) app.get_option(n)->group("Machine");
  app.callback([&o, jsonl] { o.has_jsonl = jsonl->count() > 0; });
}

Kind kind_of(const Options& o) {
  if (o.kind) return *o.kind;
  if (o.has_jsonl) return Kind::kBatch;
  const bool terminals = cli::stdin_is_terminal() && cli::stdout_is_terminal();
  return terminals && !o.prompt && o.file.empty() ? Kind::kChat : Kind::kAnswer;
}

RunStreams streams_of(bool quiet) {
  RunStreams s;
  s.out = &cli::standard_output();
  s.out_is_terminal = cli::stdout_is_terminal();
  if (!quiet) s.reasoning = [](std::string_view text) { std::cerr << text << std::flush; };
  s.colour = cli::stderr_has_colour();
  s.note = [quiet](const std::string& text) { cli::note(text, !quiet); };
  s.warn = [](const std::string& text) { cli::note(text); };
  s.ready = cli::stop_on_signals;
  s.stop = cli::stop_requested;
  return s;
}

int run(Options& o) {
  RunJob& job = o.job;
  job.kind = kind_of(o);
  job.engine.n_threads = o.common.threads;
  if (o.common.isa != "auto") job.engine.isa = parse_isa(o.common.isa);
  if (o.think || o.no_think) job.defaults.thinking = o.think;
  const bool text_job = job.kind == Kind::kTokenize || job.kind == Kind::kDetokenize;
  const bool takes_prompt = job.kind == Kind::kAnswer || (text_job && !o.has_jsonl);
  if (o.prompt && !takes_prompt && job.kind != Kind::kPlan)
    throw Error(ErrorKind::kUsage, "a prompt beside records", "", "put it into the records");
  RunStreams streams = streams_of(o.common.quiet);
  if (takes_prompt) {
    const std::string material = !o.file.empty() ? o.file : cli::stdin_is_terminal() ? "" : "-";
    job.prompt = read_prompt({o.prompt, material, text_job || job.defaults.raw, text_job}, streams.note);
  }
  const bool takes_records = !takes_prompt && job.kind != Kind::kChat && job.kind != Kind::kPlan;
  if (!takes_prompt) job.records = !o.jsonl.empty() ? o.jsonl : !o.file.empty() ? o.file : "-";
  if (takes_records && job.records == "-" && cli::stdin_is_terminal())
    streams.note("reading records from the terminal, one JSON object a line; Ctrl-D ends");
  io::LineReader lines("-");
  lines.stop_when(cli::stop_requested);
  streams.ask = [&] { return cli::ask_line(lines); };
  const RunEnd end = run_job(job, streams);
  if (end != RunEnd::kStopped) return end == RunEnd::kBadRecords ? static_cast<int>(ErrorKind::kBadData) : 0;
  const bool answer = job.kind == Kind::kAnswer || job.kind == Kind::kChat;
  return cli::stop_exit_code(answer ? cli::Stopped::kAnswer : cli::Stopped::kWork);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "ds-run");
  app.footer(kNotes);
  Options o;
  add_options(app, o);
  return cli::run(app, argc, argv, [&] { return run(o); });
}
