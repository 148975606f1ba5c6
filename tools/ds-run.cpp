// ds-run: a model folder and text in, answers out.
#include <algorithm>
#include <iostream>
#include <optional>
#include <utility>

#include "checkpoint/locate.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "ds-run/options.h"
#include "infer/prompt.h"
#include "io/keep_apart.h"

namespace {

using namespace ds;
using namespace ds::infer;
using Kind = RunJob::Kind;

Kind kind_of(const RunCommandLine& o) {
  if (o.kind) return *o.kind;
  if (o.has_jsonl) return Kind::kBatch;
  const bool terminals = cli::stdin_is_terminal() && cli::stdout_is_terminal();
  return terminals && !o.prompt && o.file.empty() ? Kind::kChat : Kind::kAnswer;
}

// What people read stands on stderr, beside the line that says how far a job on records is.
RunStreams streams_of(bool quiet, cli::ProgressLine& line) {
  RunStreams s;
  s.out = &cli::standard_output();
  s.out_is_terminal = cli::stdout_is_terminal();
  if (!quiet) s.reasoning = [](std::string_view text) { std::cerr << text << std::flush; };
  s.colour = cli::stderr_has_colour();
  const auto say = [&line](const std::string& text) {
    line.clear();
    cli::note(text);
  };
  s.note = [quiet, say](const std::string& text) {
    if (!quiet) say(text);
  };
  s.warn = say;
  s.ready = cli::stop_on_signals;
  s.stop = cli::stop_requested;
  if (line.on())
    s.progress = [&line](const RecordCounts& counts, int64_t n_all) {
      line.show(counts.n_written, n_all, "records", counts.n_before);
    };
  return s;
}

// A lone word that is no model is a prompt for the model of DS_MODEL, unless it can only be meant as a path.
// Without that a word that looks like no path was meant as a prompt, too.
void take_word_as_prompt(RunCommandLine& o) {
  const std::string& word = o.job.model;
  if (o.prompt || checkpoint::is_model_name(word)) return;
  const bool one_word = std::none_of(
      word.begin(), word.end(), [](char c) { return c == ' ' || static_cast<unsigned char>(c) >= 0x80; });
  const bool is_path = one_word && word.find('/') != std::string::npos;
  if (is_path) checkpoint::locate_model(word);  // refuses it by name
  const std::string model = cli::default_model();
  if (!model.empty() && o.job.model != model) o.prompt = std::exchange(o.job.model, model);
  const Kind kind = kind_of(o);
  if (!model.empty() || (kind != Kind::kAnswer && kind != Kind::kChat)) return;
  const bool is_text = o.job.model.find(' ') != std::string::npos;
  if (is_text || o.job.model.find('/') == std::string::npos)
    throw Error(ErrorKind::kUsage,
                is_text ? "a prompt, but no model" : "is no model folder, and no other model is given",
                is_text ? "" : o.job.model, "give MODEL before the prompt, or set DS_MODEL");
}

// Folders may stand before --list-models, too.
int list(RunCommandLine& o) {
  std::vector<std::string>& folders = o.job.folders;
  folders.push_back(o.job.model);
  if (o.prompt) folders.push_back(*o.prompt);
  std::erase(folders, "");
  o.job.kind = Kind::kList;
  cli::ProgressLine line(false);
  run_job(o.job, streams_of(o.common.quiet, line));
  return 0;
}

int run(RunCommandLine& o) {
  if (o.kind == Kind::kList) return list(o);
  RunJob& job = o.job;
  take_word_as_prompt(o);
  job.kind = kind_of(o);
  job.engine.n_threads = o.common.threads;
  if (o.common.isa != "auto") job.engine.isa = parse_isa(o.common.isa);
  if (o.think || o.no_think) job.defaults.thinking = o.think;
  const bool text_job = job.kind == Kind::kTokenize || job.kind == Kind::kDetokenize;
  const bool takes_prompt = job.kind == Kind::kAnswer || (text_job && !o.has_jsonl);
  if (o.prompt && !takes_prompt && job.kind != Kind::kPlan)
    throw Error(ErrorKind::kUsage, "a prompt beside records", "", "put it into the records");
  // On a terminal the records themselves show how far they are.
  cli::ProgressLine line(!o.common.quiet && !(cli::stdout_is_terminal() && job.resume.empty()));
  RunStreams streams = streams_of(o.common.quiet, line);
  io::keep_apart({"-"}, {"-", o.file, o.jsonl});  // before stdin is read
  if (takes_prompt) {
    const std::string material = !o.file.empty() ? o.file : cli::stdin_is_terminal() ? "" : "-";
    job.prompt = read_prompt({o.prompt, material, text_job || job.defaults.raw, text_job}, streams.note);
  }
  io::keep_apart({job.resume, job.resume.empty() ? "" : AnswerFile::run_path(job.resume), job.bad_lines,
                  job.think_out, job.timings, job.logits},
                 {job.model, o.file, o.jsonl, job.engine.text.chat_template});
  const bool takes_records = !takes_prompt && job.kind != Kind::kChat && job.kind != Kind::kPlan;
  if (!takes_prompt && (job.kind != Kind::kPlan || o.has_jsonl))
    job.records = !o.jsonl.empty() ? o.jsonl : !o.file.empty() ? o.file : "-";
  if (job.resume == "-") throw Error(ErrorKind::kUsage, "stdout cannot be gone on with", "--resume");
  if (job.kind != Kind::kBatch && (job.unordered || (job.concurrency > 0 && job.kind != Kind::kPlan)))
    throw Error(ErrorKind::kUsage, "goes with answers to records",
                job.unordered ? "--unordered" : "--concurrency", "give the records with --jsonl");
  if (!takes_records && !job.resume.empty())
    throw Error(ErrorKind::kUsage, "goes with records: --jsonl, --score or --render", "--resume");
  if (takes_records && job.records == "-" && cli::stdin_is_terminal())
    streams.note("reading records from the terminal, one JSON object a line; Ctrl-D ends");
  std::optional<cli::LineEditor> editor;
  streams.ask = [&](const std::string& prompt, const std::string& begin) {
    if (!editor) editor.emplace(cli::stderr_is_terminal() ? 2 : 1, "ds-run");
    return editor->read(prompt, begin);
  };
  const RunEnd end = run_job(job, streams);
  line.clear();
  if (end != RunEnd::kStopped) return end == RunEnd::kBadRecords ? static_cast<int>(ErrorKind::kBadData) : 0;
  const bool answer = job.kind == Kind::kAnswer || job.kind == Kind::kChat;
  return cli::stop_exit_code(answer ? cli::Stopped::kAnswer : cli::Stopped::kWork);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("", "ds-run");
  RunCommandLine o;
  add_options(app, o);
  return cli::run(app, argc, argv, [&] { return run(o); });
}
