#include "infer/run_job.h"

#include "core/json_value.h"
#include "infer/answer_printer.h"
#include "infer/batch.h"
#include "infer/chat.h"
#include "infer/model_list.h"
#include "infer/prompt.h"
#include "infer/run_identity.h"
#include "infer/scheduler.h"
#include "infer/score.h"
#include "infer/text_jobs.h"
#include "infer/timing_log.h"
#include "io/run_lock.h"

namespace ds::infer {
namespace {

using Kind = RunJob::Kind;

// What a job on records works with; `text`: nullptr where the folder has none.
RecordJob record_job(const RunJob& job, const RunStreams& streams, const ModelText* text,
                     AnswerFile* answers) {
  RecordJob r;
  r.input = job.records;
  r.output = streams.out;
  r.answers = answers;
  r.stop_requested = streams.stop;
  r.bad_lines = job.bad_lines;
  r.on_bad = [&streams](const Error& e) { streams.note(e.message()); };
  r.on_note = streams.note;
  if (text && text->has_template() && !text->uses_tools())
    r.idle_members["tools"] = "is not printed by the chat template";
  if (streams.progress)
    r.on_written = [&streams, n_all = count_records(job.records)](const RecordCounts& counts) {
      streams.progress(counts, n_all);
    };
  return r;
}

RunEnd end_of(const RecordCounts& counts, const RunStreams& streams, const AnswerFile* answers) {
  if (answers && answers->n_changed() > 0)
    streams.warn("records that are not what was answered before, done again: " +
                 std::to_string(answers->n_changed()));
  if (answers && answers->n_twice() > 0)
    streams.warn("answers left out, as later ones have their id: " + std::to_string(answers->n_twice()));
  if (counts.n_read == 0 || counts.n_failed > 0 || counts.n_before > 0 || counts.interrupted)
    streams.note(counts_text(counts));
  return counts.interrupted ? RunEnd::kStopped : counts.n_failed > 0 ? RunEnd::kBadRecords : RunEnd::kDone;
}

RunEnd run_text_job(const RunJob& job, const RunStreams& streams, AnswerFile* answers) {
  const auto text = ModelText::open(job.model, job.engine.text);
  if (!job.records.empty()) streams.ready();
  if (job.kind == Kind::kRender)
    return end_of(render_records(*text, record_job(job, streams, text.get(), answers), job.defaults), streams,
                  answers);
  const bool tokenize = job.kind == Kind::kTokenize;
  if (tokenize && !job.add_special && !text->frame().empty())
    streams.note("nothing is added; --add-special adds " + text->frame_text());
  if (!job.records.empty()) {
    const RecordJob records = record_job(job, streams, text.get(), answers);
    return end_of(
        tokenize ? tokenize_records(*text, records, job.add_special) : detokenize_records(*text, records),
        streams, answers);
  }
  if (tokenize)
    write_ids(job.add_special ? text->encode_plain(job.prompt) : text->tokenizer().encode(job.prompt),
              *streams.out);
  else
    streams.out->write(text->tokenizer().decode(parse_ids(job.prompt, "<stdin>")));
  return RunEnd::kDone;
}

const ModelText* text_of(const Engine& engine) { return engine.has_text() ? &engine.text() : nullptr; }

RunEnd run_batch_job(const RunJob& job, const RunStreams& streams, const Engine& engine, TimingLog& timings,
                     AnswerFile* answers) {
  BatchOptions options;
  options.job = record_job(job, streams, text_of(engine), answers);
  if (timings.replaces_answers()) options.job.output = nullptr;
  options.defaults = job.defaults;
  options.unordered = job.unordered;
  if (timings.is_wanted()) options.on_timing = [&](const Json& record) { timings.add(record); };
  return end_of(run_batch(engine, options), streams, answers);
}

AnswerPrinterOptions printing(const RunStreams& streams, bool show_answer, AtomicFile* think_out) {
  AnswerPrinterOptions p;
  if (show_answer) {
    p.answer = [out = streams.out](std::string_view text) {
      out->write(text);
      out->flush();
    };
  }
  if (think_out) {
    p.reasoning = [think_out](std::string_view text) { think_out->write(text); };
    p.reasoning_end = "\n";
  } else {
    p.reasoning = streams.reasoning;
    p.reasoning_begin = streams.colour ? "\x1b[2m" : "";
    p.reasoning_end = streams.colour ? "\x1b[0m\n" : "\n";
  }
  return p;
}

RunEnd run_chat(const RunJob& job, const RunStreams& streams, const Engine& engine, TimingLog& timings) {
  streams.note("chat with " + job.model + "; /help lists commands, Ctrl-D ends");
  ChatStreams s;
  s.ask = streams.ask;
  s.printer = printing(streams, !timings.replaces_answers(), nullptr);
  s.show = [out = streams.out](std::string_view text) {
    out->write(text);
    out->flush();
  };
  s.note = streams.note;
  s.warn = streams.warn;
  s.stop = streams.stop;
  s.on_timing = [&](const Json& record) { timings.add(record); };
  chat(engine, job.defaults, s);
  return streams.stop() ? RunEnd::kStopped : RunEnd::kDone;
}

RunEnd run_once(const RunJob& job, const RunStreams& streams, const Engine& engine, TimingLog& timings,
                AtomicFile* think_out) {
  Record record;
  record.json["prompt"] = job.prompt;
  const RecordRequest request = make_request(engine, record, job.defaults);
  AnswerPrinter printer(printing(streams, !job.json && !timings.replaces_answers(), think_out));
  const Generation answer = Scheduler(engine).run(request.generate, {printer.sink()}, streams.stop);
  printer.end(!job.defaults.raw || streams.out_is_terminal);
  if (job.json && !timings.replaces_answers())
    streams.out->write(dump(answer_record(engine, request, answer)) + "\n");
  timings.add(timing_record(request, answer));
  if (think_out) think_out->commit();
  streams.note(speed_text(answer) + "; " + engine.plan().machine_text());
  return answer.finish_reason == FinishReason::kInterrupted ? RunEnd::kStopped : RunEnd::kDone;
}

RunEnd run_list(const RunJob& job, const RunStreams& streams) {
  if (!job.json) streams.out->write(kModelListHead);
  const int64_t n = list_models(job.folders, [&](const ListedModel& model) {
    streams.out->write(job.json ? dump(model.json()) + "\n" : model.text());
    streams.out->flush();
  });
  streams.out->flush();
  streams.note(std::to_string(n) + (n == 1 ? " model; " : " models; ") +
               bytes_text(available_memory_bytes()) + " of memory are free");
  return RunEnd::kDone;
}

RunEnd run_on_engine(const RunJob& job, const RunStreams& streams, const Engine& engine, TimingLog& timings,
                     AtomicFile* think_out, AnswerFile* answers) {
  switch (job.kind) {
    case Kind::kScore:
      return end_of(score_records(engine, {record_job(job, streams, text_of(engine), answers), job.logits}),
                    streams, answers);
    case Kind::kBatch:
      return run_batch_job(job, streams, engine, timings, answers);
    case Kind::kChat:
      return run_chat(job, streams, engine, timings);
    default:
      return run_once(job, streams, engine, timings, think_out);
  }
}

// The member by which a result of the job is known.
const char* mark_of(Kind kind) {
  switch (kind) {
    case Kind::kScore:
      return "logprobs";
    case Kind::kTokenize:
      return "ids";
    case Kind::kDetokenize:
    case Kind::kRender:
      return "text";
    default:
      return "finish_reason";
  }
}

// A file that the job may go on with: there before the model is loaded.
std::unique_ptr<AnswerFile> open_answers(const RunJob& job, const RunStreams& streams) {
  if (job.resume.empty()) return nullptr;
  if (job.timings == "-")
    throw Error(ErrorKind::kUsage, "--timings - has no answers to go on with", "--resume");
  auto answers = std::make_unique<AnswerFile>(job.resume, mark_of(job.kind), run_identity(job));
  if (answers->n_found() > 0 && !answers->is_known())
    streams.warn(job.resume + ": " + AnswerFile::run_path(job.resume) +
                 " does not know all of its answers: whether they are of this model, these options and these "
                 "records was not checked");
  if (answers->n_failed() > 0)
    streams.note(
        job.resume + ": " + std::to_string(answers->n_failed()) +
        (answers->n_failed() == 1 ? " failed record is tried again" : " failed records are tried again"));
  return answers;
}

}  // namespace

RunEnd run_job(RunJob job, const RunStreams& streams) {
  if (job.kind == Kind::kList) return run_list(job, streams);
  // Hours later is late to learn that a file cannot be made.
  for (const std::string& path : {job.bad_lines, job.logits, job.think_out, job.timings})
    if (!path.empty() && path != "-") require_creatable(path);
  const auto answers = open_answers(job, streams);
  if (job.kind == Kind::kTokenize || job.kind == Kind::kDetokenize || job.kind == Kind::kRender)
    return run_text_job(job, streams, answers.get());
  TimingLog timings(job.timings, *streams.out);
  std::optional<AtomicFile> think_out;
  if (!job.think_out.empty()) think_out.emplace(job.think_out);
  job.engine.plan_only = job.kind == Kind::kPlan;
  const bool is_batch = job.kind == Kind::kBatch || (job.kind == Kind::kPlan && !job.records.empty());
  job.engine.max_sequences = is_batch || job.concurrency > 0 ? job.concurrency : 1;
  if (is_batch && job.concurrency == 0) job.engine.n_requests = count_records(job.records, kAutoSequences);
  const auto engine = Engine::load(job.model, job.engine);
  const auto& plan = engine->plan();
  if (job.kind == Kind::kPlan) {
    streams.out->write(job.json ? dump(plan.json()) + "\n" : plan.text());
    return RunEnd::kDone;
  }
  streams.ready();
  for (const std::string& warning : plan.warnings) streams.note(warning);
  if (!plan.weights_fit()) streams.note(plan.shortage_text());
  job.defaults.settings =
      with_overrides(engine->defaults(job.generation), job.generation, ErrorKind::kUsage, "");
  const RunEnd end =
      run_on_engine(job, streams, *engine, timings, think_out ? &*think_out : nullptr, answers.get());
  streams.out->flush();
  timings.commit();
  return end;
}

}  // namespace ds::infer
