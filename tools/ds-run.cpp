// ds-run: a model folder and text in, answers out.
#include <iostream>
#include <optional>

#include "cli.h"
#include "ds-run-help.h"
#include "infer/answer_printer.h"
#include "infer/batch.h"
#include "infer/conversation.h"
#include "infer/engine.h"
#include "infer/prompt.h"
#include "infer/score.h"
#include "infer/text_jobs.h"
#include "infer/timing_log.h"

namespace {

using namespace ds;
using namespace ds::infer;

struct Options {
  std::string model, file, logits, think_out, timings, jsonl, bad_lines, activations, weights;
  std::optional<std::string> prompt;
  bool json = false, quiet = false, think = false, no_think = false, has_jsonl = false;
  bool score = false, tokenize = false, detokenize = false, render = false, plan = false;
  EngineOptions engine;
  GenerationOverrides generation;
  RequestDefaults defaults;
  cli::Machine machine;
};

void note(const Options& o, const std::string& text) {
  if (!o.quiet) cli::note(text);
}

RequestDefaults request_defaults(const Options& o, const Engine& engine) {
  RequestDefaults d = o.defaults;
  d.settings = with_overrides(engine.defaults(), o.generation, ErrorKind::kUsage, "");
  if (o.think || o.no_think) d.thinking = o.think;
  return d;
}

// From argument, file and stdin.
std::string read_prompt(const Options& o, bool exact) {
  std::string material;
  if (!o.file.empty()) {
    material = read_file(o.file);
  } else if (!cli::stdin_is_terminal() || !o.prompt) {
    material = read_file("-");
  }
  std::string prompt = join_prompt(o.prompt, std::move(material), exact);
  if (repair_utf8(prompt)) note(o, "the prompt is not valid UTF-8: broken parts were replaced by U+FFFD");
  return prompt;
}

RecordJob record_job(const Options& o) {
  RecordJob job;
  job.input = !o.jsonl.empty() ? o.jsonl : !o.file.empty() ? o.file : "-";
  job.output = &cli::standard_output();
  job.stop_requested = cli::stop_requested;
  job.bad_lines = o.bad_lines;
  job.on_bad = [&o](const Error& e) { note(o, e.message()); };
  cli::stop_on_signals();
  return job;
}

int finish(const Options& o, const RecordCounts& counts) {
  if (counts.n_failed > 0 || counts.interrupted) note(o, counts_text(counts));
  if (counts.interrupted) return cli::stop_exit_code();
  return counts.n_failed > 0 ? static_cast<int>(ErrorKind::kBadData) : 0;
}

int run_text_job(const Options& o) {
  const auto text = ModelText::open(o.model, o.engine.text);
  if (o.render) return finish(o, render_records(*text, record_job(o)));
  if (o.has_jsonl)
    return finish(
        o, o.tokenize ? tokenize_records(*text, record_job(o)) : detokenize_records(*text, record_job(o)));
  const std::string input = read_prompt(o, true);
  OutputStream& out = cli::standard_output();
  o.tokenize ? write_ids(text->tokenizer().encode(input), out)
             : out.write(text->tokenizer().decode(parse_ids(input, "<stdin>")));
  return 0;
}

int run_batch_job(const Options& o, const Engine& engine) {
  TimingLog timings(o.timings, cli::standard_output());
  BatchOptions options;
  options.job = record_job(o);
  if (timings.replaces_answers()) options.job.output = nullptr;
  options.defaults = request_defaults(o, engine);
  options.on_timing = [&](const Json& record) { timings.add(record); };
  const RecordCounts counts = run_batch(engine, options);
  timings.commit();
  return finish(o, counts);
}

AnswerPrinterOptions printing(const Options& o, bool show_answer, AtomicFile* think_out) {
  AnswerPrinterOptions p;
  if (show_answer) {
    p.answer = [](std::string_view text) {
      cli::standard_output().write(text);
      cli::standard_output().flush();
    };
  }
  if (think_out) {
    p.reasoning = [think_out](std::string_view text) { think_out->write(text); };
    p.reasoning_end = "\n";
  } else if (!o.quiet) {
    p.reasoning = [](std::string_view text) { std::cerr << text << std::flush; };
    p.reasoning_begin = cli::stderr_has_colour() ? "\x1b[2m" : "";
    p.reasoning_end = cli::stderr_has_colour() ? "\x1b[0m\n" : "\n";
  }
  return p;
}

int run_chat(const Options& o, const Engine& engine) {
  Conversation conversation(engine, request_defaults(o, engine));
  LineReader lines("-");
  lines.stop_when(cli::stop_requested);
  cli::stop_on_signals();
  note(o, "chat with " + o.model + "; Ctrl-C stops an answer, Ctrl-D or Ctrl-C twice ends");
  AnswerPrinter printer(printing(o, true, nullptr));
  for (;;) {
    const auto line = cli::ask_line(lines);
    if (!line) return cli::stop_requested() ? cli::stop_exit_code() : 0;
    std::string text(*line);
    if (text.find_first_not_of(" \t") == std::string::npos) continue;
    if (repair_utf8(text)) note(o, "not valid UTF-8: broken parts were replaced by U+FFFD");
    try {
      conversation.ask(text, printer.sink(), cli::stop_requested);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kBadData) throw;
      cli::note(e.message());
    }
    printer.end(true);
    cli::forget_interrupt();
  }
}

int run_once(const Options& o, const Engine& engine, const std::string& prompt) {
  Record record;
  record.json.set("prompt", prompt);
  const RecordRequest request = make_request(engine, record, request_defaults(o, engine));
  TimingLog timings(o.timings, cli::standard_output());
  std::optional<AtomicFile> think_out;
  if (!o.think_out.empty()) think_out.emplace(o.think_out);
  AnswerPrinter printer(
      printing(o, !o.json && !timings.replaces_answers(), think_out ? &*think_out : nullptr));
  cli::stop_on_signals();
  const Generation answer = Scheduler(engine).run(request.generate, {printer.sink()}, cli::stop_requested);
  printer.end(!o.defaults.raw || cli::stdout_is_terminal());
  if (o.json && !timings.replaces_answers())
    cli::standard_output().write(answer_record(engine, request, answer).dump() + "\n");
  timings.add(timing_record(request, answer));
  cli::standard_output().flush();
  timings.commit();
  if (think_out) think_out->commit();
  note(o, speed_text(answer) + "; " + engine.plan().machine_text());
  return answer.finish_reason == FinishReason::kInterrupted ? cli::stop_exit_code() : 0;
}

int run(Options o) {
  o.engine.n_threads = o.machine.threads;
  if (o.machine.isa != "auto") o.engine.isa = parse_isa(o.machine.isa);
  if (o.activations == "bf16") o.engine.activations = Activations::kBF16;
  if (o.weights == "map") o.engine.weights = WeightPlacement::kMapped;
  if (o.weights == "copy") o.engine.weights = WeightPlacement::kCopied;
  o.engine.plan_only = o.plan;
  if (o.prompt && (o.score || o.render || o.has_jsonl))
    throw Error(ErrorKind::kUsage, "a prompt beside records", "", "put it into the records");
  if (o.tokenize || o.detokenize || o.render) return run_text_job(o);
  const bool one_off = !o.score && !o.has_jsonl && !o.plan;
  const bool chat =
      one_off && !o.prompt && o.file.empty() && cli::stdin_is_terminal() && cli::stdout_is_terminal();
  std::string prompt;
  if (one_off && !chat) {
    if (!o.prompt && o.file.empty() && cli::stdin_is_terminal())
      throw Error(ErrorKind::kUsage, "no prompt", "", "give it as an argument, with -f FILE, or pipe it in");
    prompt = read_prompt(o, o.defaults.raw);
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos)
      throw Error(ErrorKind::kUsage, "no prompt: " + (o.file.empty() ? "stdin" : o.file) + " is empty", "",
                  "give it as an argument, with -f FILE, or pipe it in");
  }
  const auto engine = Engine::load(o.model, o.engine);
  if (o.plan) {
    cli::standard_output().write(o.json ? engine->plan().json().dump() + "\n" : engine->plan().text());
    return 0;
  }
  for (const std::string& warning : engine->plan().warnings) note(o, warning);
  if (!engine->plan().weights_fit()) note(o, engine->plan().shortage_text());
  if (o.score) return finish(o, score_records(*engine, {record_job(o), o.logits}));
  if (o.has_jsonl) return run_batch_job(o, *engine);
  return chat ? run_chat(o, *engine) : run_once(o, *engine, prompt);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  GenerationOverrides& g = o.generation;
  CLI::App app(kDescription, "ds-run");
  app.footer(kFooter);
  app.add_option("MODEL", o.model, "Model folder")->required();
  auto* question = app.add_option("PROMPT", o.prompt, "Question or instruction");
  std::string group;
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(group)->allow_extra_args(false);
  };
  const auto flag = [&](const char* name, bool& value, const char* text) {
    return app.add_flag(name, value, text)->group(group);
  };
  group = "Input";
  option("-p,--prompt", o.prompt, "TEXT", "Question or instruction, as PROMPT")->excludes(question);
  auto* file = option("-f,--file", o.file, "FILE", "Text, or the records of a job, from a file; - is stdin");
  option("-s,--system", o.defaults.system, "TEXT", "System prompt");
  flag("--raw", o.defaults.raw, "Continue the text as it is, without chat template");
  auto* jsonl = option("--jsonl", o.jsonl, "[FILE]", "Records, a JSON object a line, from FILE or stdin");
  jsonl->expected(0, 1)->excludes(file);
  option("--chat-template", o.engine.text.chat_template, "FILE", "Jinja template instead of the folder's");
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
  option("--ctx", o.engine.ctx, "N", "Tokens of context [the model's, as far as memory allows]")
      ->check(CLI::NonNegativeNumber);
  group = "Output";
  flag("--json", o.json, "A record as with --jsonl instead of text; with --plan: an object");
  flag("--ids", o.defaults.return_ids, "Put output_ids into records");
  option("--bad-lines", o.bad_lines, "FILE", "Lines of records that failed, as they came");
  option("--think-out", o.think_out, "FILE", "Reasoning to a file instead of stderr")->excludes(jsonl);
  option("--timings", o.timings, "FILE", "A line of token times per answer; - is stdout, without answers");
  flag("--quiet", o.quiet, "No reasoning and no notes on stderr, errors alone");
  group = "Jobs, instead of answering";
  auto* score = flag("--score", o.score, "Log-probabilities of records");
  option("--logits", o.logits, "FILE", "With --score: logits [T, V] of each record as safetensors")
      ->needs(score);
  auto* tokenize = flag("--tokenize", o.tokenize, "Text to token ids, nothing added");
  auto* detokenize = flag("--detokenize", o.detokenize, "Token ids to text");
  auto* render = flag("--render", o.render, "Records to the prompts that the chat template makes");
  auto* plan = flag("--plan", o.plan, "What would be loaded: memory, threads, kernels");
  for (auto* a : {score, tokenize, detokenize, render, plan})
    for (auto* b : {score, tokenize, detokenize, render, plan})
      if (a != b) a->excludes(b);
  cli::add_machine_options(app, o.machine);
  group = "Machine";
  option("--activations", o.activations, "TYPE", "f32; bf16 rounds in prompts, faster on some CPUs [f32]")
      ->check(CLI::IsMember({"f32", "bf16"}));
  option("--weights", o.weights, "HOW", "map from the page cache, copy into large pages, or auto [auto]")
      ->check(CLI::IsMember({"auto", "map", "copy"}));
  return cli::run(app, argc, argv, [&] {
    o.has_jsonl = jsonl->count() > 0;
    return run(o);
  });
}
