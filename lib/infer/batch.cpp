#include "infer/batch.h"

#include <list>

#include "core/json_value.h"
#include "infer/openai_line.h"
#include "infer/scheduler.h"

namespace ds::infer {
namespace {

// A record that was read and whose result is not yet written.
struct Pending {
  Record record;
  RecordRequest request;
  std::optional<Json> answer;
  std::optional<Error> error;               // in place of an answer
  std::optional<AnswerFile::Line> earlier;  // an answer that was there
  Json timing;
  int64_t held_bytes = 0;  // once it is done

  bool is_done() const { return answer || error || earlier; }
};

// What a result that waits costs, roughly: its record is there as text and as JSON.
int64_t held_bytes_of(const Record& record, const Generation& answer) {
  constexpr int64_t kBytesPerToken = 64, kBytes = 2048;
  return kBytes + 4 * static_cast<int64_t>(record.line.size()) +
         kBytesPerToken * static_cast<int64_t>(answer.ids.size());
}

class Batch {
 public:
  Batch(const Engine& engine, const BatchOptions& options)
      : engine_(engine),
        options_(options),
        job_(options.job),
        reader_(job_, request_members(), {openai_line_members(), openai_body_members()}),
        writer_(job_),
        scheduler_(engine) {}

  RecordCounts run() {
    while (!is_over()) advance();
    if (interrupted_ && job_.answers) write_done(false);
    // What was read but not written when asked to stop was dropped.
    const auto n_dropped = static_cast<int64_t>(pending_.size());
    DS_CHECK(n_dropped == 0 || interrupted_);
    return writer_.finish(reader_.n_read() - n_dropped, interrupted_ || reader_.interrupted());
  }

 private:
  bool is_over() {
    read_ahead();
    if (scheduler_.is_idle() && reader_.at_end()) return true;
    interrupted_ = stop_requested();
    return interrupted_;
  }

  bool stop_requested() const { return job_.stop_requested && job_.stop_requested(); }

  void advance() {
    scheduler_.step();
    write_done(!options_.unordered);
  }

  // Takes up records while there are places. It waits for one only when there is nothing else to do.
  void read_ahead() {
    while (!is_broken_ && scheduler_.has_room()) {
      reader_.wait_for_input(scheduler_.is_idle());
      if (!submit_next()) return;
      write_or_hold();
    }
  }

  // Where too much waits for an earlier answer, no more is read until that is there.
  void write_or_hold() {
    write_done(!options_.unordered);
    while (held_bytes_ >= options_.most_held_bytes && !stop_requested()) advance();
  }

  bool submit_next() {
    std::optional<Record> record = reader_.next([&](const Json& id, const Error& e, std::string_view line) {
      Pending& bad = pending_.emplace_back();
      bad.record.id = id;
      bad.record.line = line;
      fail(bad, e);
      write_or_hold();  // now: the next line may be long in coming
    });
    if (!record) return false;
    Pending& entry = pending_.emplace_back();
    if (job_.answers && (entry.earlier = job_.answers->take(record->id, record->json))) {
      hold(entry, held_bytes_of(entry.record, {}));
      return true;
    }
    entry.record = std::move(*record);
    try {
      entry.request = is_openai_line(entry.record.json)
                          ? make_openai_request(engine_, entry.record, options_.defaults)
                          : make_request(engine_, entry.record, options_.defaults);
      GenerateSink sink;
      sink.done = [this, &entry](Generation answer) { take(entry, answer); };
      scheduler_.submit(std::move(entry.request.generate), std::move(sink));
    } catch (const Error& e) {
      fail(entry, e);
    }
    return true;
  }

  void take(Pending& entry, const Generation& answer) {
    if (answer.error) return fail(entry, *answer.error);
    entry.answer = is_openai_line(entry.record.json) ? openai_answer(engine_, entry.record, answer)
                                                     : answer_record(engine_, entry.request, answer);
    if (options_.on_timing) entry.timing = timing_record(entry.request, answer);
    hold(entry, held_bytes_of(entry.record, answer));
  }

  void fail(Pending& entry, const Error& e) {
    entry.error = with_place(e, entry.record.where);
    is_broken_ = is_broken_ || !spoils_one_record(e);
    hold(entry, held_bytes_of(entry.record, {}));
  }

  void hold(Pending& entry, int64_t bytes) {
    entry.held_bytes = bytes;
    held_bytes_ += bytes;
  }

  void write_done(bool in_order) {
    for (auto entry = pending_.begin(); entry != pending_.end();) {
      if (entry->is_done()) {
        write(*entry);
        held_bytes_ -= entry->held_bytes;
        entry = pending_.erase(entry);
      } else if (in_order) {
        return;
      } else {
        ++entry;
      }
    }
  }

  void write(const Pending& entry) {
    if (entry.earlier) return writer_.keep(*entry.earlier);
    if (entry.error) {
      if (!spoils_one_record(*entry.error)) throw *entry.error;
      const Record& record = entry.record;
      const Json result = is_openai_line(record.json) ? openai_error(record, *entry.error)
                                                      : error_record(record.id, *entry.error);
      return writer_.write_error(result, *entry.error, record.line);
    }
    writer_.write(*entry.answer, entry.record);
    if (options_.on_timing) options_.on_timing(entry.timing);
  }

  const Engine& engine_;
  const BatchOptions& options_;
  RecordJob job_;
  JsonlRecordReader reader_;
  RecordWriter writer_;
  Scheduler scheduler_;
  std::list<Pending> pending_;  // in the order of input
  int64_t held_bytes_ = 0;      // by those that are done
  bool is_broken_ = false;      // by an error that ends the run once what is before it is written
  bool interrupted_ = false;
};

}  // namespace

RecordCounts run_batch(const Engine& engine, const BatchOptions& options) {
  BatchOptions flushing = options;
  flushing.job.flush_each = true;
  return Batch(engine, flushing).run();
}

}  // namespace ds::infer
