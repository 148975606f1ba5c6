#include "ds-run/options.h"

namespace ds::infer {
namespace {

using cli::Common;
using Kind = RunJob::Kind;

// Paragraphs are filled, indented lines are examples.
constexpr const char* kDescription =
    R"(answer with a DeepSeek, Llama or Qwen model folder as it was published

MODEL is a folder in the Hugging Face layout: config.json, *.safetensors, tokenizer.json; or a GGUF file (of several parts the first). Nothing is converted.
Give MODEL first; where DS_MODEL names one, a lone word that is no model is the prompt. stdout carries the answer alone; reasoning (<think>) and notes go to stderr.

Examples:
  ds-run MODEL 'Why is the sky blue?'     one question, the answer on stdout
  git diff | ds-run MODEL 'Say what changed'
  ds-run MODEL 'Sum up' -f report.txt     instruction, blank line, text
  ds-run MODEL -f report.txt -s 'Sum up'  text from a file, a system prompt
  ds-run MODEL                            on a terminal: a chat; /help, Ctrl-D
  ds-run MODEL --jsonl < in > out         a record a line, answers in order
  producer | ds-run MODEL --jsonl --concurrency 4 --unordered | consumer
  ds-run MODEL --jsonl in --resume out    the same, also after a kill: goes on
  ds-run MODEL --raw -p 'Once upon'       continue text, no chat template
  while read -r q; do ds-run MODEL "$q" < /dev/null; done < questions.txt
  ds-run MODEL --score < texts.jsonl      log-probability of every token
  ds-run MODEL --tokenize < text | ds-run MODEL --detokenize
  ds-run MODEL --plan                     what it needs, before it is read
  ds-run --list-models ~/models           what there is, and whether it fits
  export DS_MODEL=MODEL; ds-run 'Why is the sky blue?')";

constexpr const char* kNotes =
    R"(Prompts: stdin is read when it is no terminal and -f is not given. Of piped text one final line feed is
dropped, except with --raw. Invalid UTF-8 becomes U+FFFD with a warning. The answer ends in a line feed; with --raw
and stdout not a terminal it is exactly what the model wrote.

Defaults: generation_config.json (temperature, top_k, top_p, min_p, repetition_penalty, max_new_tokens, do_sample),
then what the authors recommend: deepseek_v3, llama, qwen2, qwen3 temperature 0.6 top-p 0.95; deepseek_v32 1.0 and
0.95; deepseek_v2 0.3; deepseek 0.7 and 0.9. Temperature 0 takes the most likely token; the same command gives the
same answer for any number of threads.

Records (--jsonl): {"id", "prompt" | "messages" | "input_ids", "system", "tools", "thinking", "raw", "return_ids",
"max_tokens", "temperature", "do_sample", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop", "extra":
{template variables}, "add_generation_prompt", "continue_final_message"} give {"id", "text", "reasoning", "finish_reason":
"stop" | "length", "usage", "output_ids" if input_ids came or were asked for}. Other programs' names are understood
(max_new_tokens, max_completion_tokens, n_predict, repetition_penalty, stop_sequences, enable_thinking ...); other
members are named once on stderr. A last message of the assistant is gone on with. The token that ends a turn is
neither counted nor shown. A record without id is called "line:7". A bad record gives {"id", "error": {"message",
"where", "hint"}}, the others go on, and the exit code is 65. Records may be compressed (gzip, zstd). A line of an
OpenAI batch file, {"custom_id", "method", "url": "/v1/chat/completions" | "/v1/completions", "body"}, gets the line
that OpenAI's own would be: {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}.

--concurrency N: so many records share the work of reading the weights, and as one is answered the next joins. A
beginning that they have in common is read once, in whole chunks (--plan tells their length). An answer depends
neither on N nor on the other records, and with a seed in the record not on its place; only usage.cached_tokens does,
which tells what was not read again. auto is 8, fewer where there are fewer records or less memory. Cache is planned for one whole
context and for more in up to half of the memory that is left: records whose longest answer does not fit wait, so
--max-tokens lets more of them run together. A record is answered when it comes, whether or not others follow.
--unordered writes answers as they come; otherwise those that wait for earlier ones are held, up to about 64 MB.

--resume OUT makes OUT or goes on with it: after a stop, a kill or a power cut the same command does what is missing,
and in the end OUT holds what stdout would have. Answers find their records by id, or by line where there is none;
those of one id in order; of more answers than records the last ones count. A last line that was cut is dropped,
records that failed are tried again. OUT.run beside it holds hashes of what the answers depend on: with another model
or other options the run is refused, and a record that has changed is answered anew. Without OUT.run the answers are
taken as they are, with a warning. A file that holds anything but results of ds-run is refused, as is a second run to
the same OUT.

--score takes {"id", "text" | "messages" | "input_ids"} and gives {"id", "n_tokens", "logprobs", "sum_logprob",
"perplexity"}; text gets the BOS (and EOS) that tokenizer.json or tokenizer_config.json ask for, as --raw does.
--tokenize and --detokenize take text and ids, or with --jsonl {"id", "text", "parse_special", "add_special"} and
{"id", "ids"}; --render takes {"id", "prompt" | "messages", "raw", "system", "tools", "thinking", "extra",
"add_generation_prompt", "continue_final_message"} and gives the text that --jsonl feeds.)";

const std::map<std::string, Activations> kActivations = {{"f32", Activations::kF32},
                                                         {"bf16", Activations::kBF16}};
const std::map<std::string, DType> kCacheTypes = {{"f32", DType::kF32}, {"bf16", DType::kBF16}};
const std::map<std::string, WeightPlacement> kPlacements = {
    {"auto", WeightPlacement::kAuto}, {"map", WeightPlacement::kMapped}, {"copy", WeightPlacement::kCopied}};

}  // namespace

void add_options(CLI::App& app, RunCommandLine& o) {
  app.description(kDescription)->footer(kNotes);
  RunJob& job = o.job;
  GenerationOverrides& g = job.generation;
  std::string group = "Input";
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(group)->allow_extra_args(false);
  };
  const auto flag = [&](const char* name, bool& value, const char* text) {
    return app.add_flag(name, value, text)->group(group);
  };
  auto* model = app.add_option("MODEL", job.model, "Model folder, or ORG/NAME [$DS_MODEL]");
  model->envname("DS_MODEL")->required();
  auto* question = app.add_option("PROMPT", o.prompt, "Question or instruction");
  option("-p,--prompt", o.prompt, "TEXT", "Question or instruction, as PROMPT")->excludes(question);
  auto* file = option("-f,--file", o.file, "FILE", "Text, or the records of a job, from a file; - is stdin");
  option("-s,--system", job.defaults.system, "TEXT", "System prompt");
  flag("--raw", job.defaults.raw, "Continue the text as it is, without chat template");
  auto* jsonl = option("--jsonl", o.jsonl, "[FILE]", "Records, a JSON object a line, from FILE or stdin");
  jsonl->expected(0, 1)->excludes(file);
  auto* resume = option("--resume", job.resume, "OUT",
                        "Put the answers to records into this file; those that are in it are not done again");
  auto* together =
      option("--concurrency", o.concurrency, "N|auto", "Records answered together, with --jsonl");
  together->capture_default_str()->check(CLI::IsMember({"auto"}) | CLI::Range(1, 1024));
  flag("--unordered", job.unordered, "With --jsonl: answers as they come, not in the order of the records");
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
  const auto not_empty = [](const std::string& text) { return std::string(text.empty() ? "is empty" : ""); };
  option("--stop", g.stop, "TEXT", "End the answer before this text; may be repeated")->check(not_empty);
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
  option("--logits", job.logits, "FILE", "With --score: logits as safetensors")
      ->needs(score)
      ->excludes(resume);
  auto* tokenize = kind("--tokenize", Kind::kTokenize, "Text to token ids, nothing added");
  flag("--add-special", job.add_special, "With --tokenize: BOS and EOS, too")->needs(tokenize);
  auto* detokenize = kind("--detokenize", Kind::kDetokenize, "Token ids to text");
  auto* render = kind("--render", Kind::kRender, "Records to the prompts that the chat template makes");
  auto* plan = kind("--plan", Kind::kPlan, "What would be loaded: memory, threads, kernels");
  // A list needs no model, and that of DS_MODEL is no folder to look into.
  const auto choose_list = [&o, model](const std::vector<std::string>& folders) {
    o.kind = Kind::kList;
    o.job.folders = folders;
    model->required(false)->envname("");
  };
  auto* list = app.add_option_function<std::vector<std::string>>("--list-models", choose_list,
                                                                 "What there is to run, and whether it fits "
                                                                 "[the Hugging Face cache]");
  list->type_name("[FOLDER...]")->group(group)->expected(0, 1000)->trigger_on_parse();
  for (auto* x : {score, tokenize, detokenize, render, plan, list})
    for (auto* y : {score, tokenize, detokenize, render, plan, list})
      if (x != y) x->excludes(y);
  cli::add_common_options(app, o.common, {Common::kQuiet, Common::kThreads, Common::kIsa});
  cli::add_choice(app, "--activations", job.engine.activations, kActivations, "Of prompts; bf16 rounds");
  cli::add_choice(app, "--cache-type", job.engine.cache_type, kCacheTypes, "Cached rows; bf16 takes half");
  cli::add_choice(app, "--weights", job.engine.weights, kPlacements, "Map, or copy into large pages");
  for (const char* name : {"--activations", "--cache-type", "--weights"})
    app.get_option(name)->group("Machine");
  app.callback([&o, jsonl] {
    o.has_jsonl = jsonl->count() > 0;
    if (o.concurrency != "auto") o.job.concurrency = std::stoll(o.concurrency);
  });
}

}  // namespace ds::infer
