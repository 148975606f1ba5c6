#include "infer/batch.h"

#include <deque>

#include "core/json_value.h"
#include "infer/scheduler.h"

namespace ds::infer {
namespace {

// A record that was read and whose result is not yet written.
struct Pending {
  Record record;
  RecordRequest request;
  std::optional<Generation> answer;
  std::optional<Error> error;               // in place of an answer
  std::optional<AnswerFile::Line> earlier;  // an answer that was there

  bool is_done() const { return answer || error || earlier; }
  void fail(const Error& e) { error = with_place(e, record.where); }
};

class Batch {
 public:
  Batch(const Engine& engine, const BatchOptions& options)
      : engine_(engine),
        options_(options),
        job_(options.job),
        reader_(job_, request_members()),
        writer_(job_),
        scheduler_(engine) {}

  RecordCounts run() {
    bool at_end = false, interrupted = false;
    for (;;) {
      while (!at_end && scheduler_.has_room()) {
        at_end = !submit_next();
        write_done();
      }
      if (scheduler_.is_idle()) break;
      interrupted = job_.stop_requested && job_.stop_requested();
      if (interrupted) break;
      scheduler_.step();
      write_done();
    }
    // What was read but not written when asked to stop was dropped.
    const auto n_dropped = static_cast<int64_t>(pending_.size());
    DS_CHECK(n_dropped == 0 || interrupted);
    return writer_.finish(reader_.n_read() - n_dropped, interrupted || reader_.interrupted());
  }

 private:
  bool submit_next() {
    std::optional<Record> record = reader_.next([&](const Json& id, const Error& e, std::string_view line) {
      Pending& bad = pending_.emplace_back();
      bad.record.id = id;
      bad.record.line = line;
      bad.fail(e);
      write_done();  // now: the next line may be long in coming
    });
    if (!record) return false;
    Pending& entry = pending_.emplace_back();
    if (job_.answers && (entry.earlier = job_.answers->take(record->id, record->json))) return true;
    entry.record = std::move(*record);
    try {
      entry.request = make_request(engine_, entry.record, options_.defaults);
      GenerateSink sink;
      sink.done = [&entry](Generation answer) {
        if (answer.error) return entry.fail(*answer.error);
        entry.answer = std::move(answer);
      };
      scheduler_.submit(std::move(entry.request.generate), std::move(sink));
    } catch (const Error& e) {
      entry.fail(e);
    }
    return true;
  }

  void write_done() {
    for (; !pending_.empty() && pending_.front().is_done(); pending_.pop_front()) {
      const Pending& entry = pending_.front();
      if (entry.earlier) {
        writer_.keep(*entry.earlier);
        continue;
      }
      if (entry.error) {
        if (!spoils_one_record(*entry.error)) throw *entry.error;
        writer_.write_error(entry.record.id, *entry.error, entry.record.line);
        continue;
      }
      writer_.write(answer_record(engine_, entry.request, *entry.answer), entry.record);
      if (options_.on_timing) options_.on_timing(timing_record(entry.request, *entry.answer));
    }
  }

  const Engine& engine_;
  const BatchOptions& options_;
  RecordJob job_;
  JsonlRecordReader reader_;
  RecordWriter writer_;
  Scheduler scheduler_;
  std::deque<Pending> pending_;  // in the order of input, which is that of output
};

}  // namespace

RecordCounts run_batch(const Engine& engine, const BatchOptions& options) {
  BatchOptions flushing = options;
  flushing.job.flush_each = true;
  return Batch(engine, flushing).run();
}

}  // namespace ds::infer
