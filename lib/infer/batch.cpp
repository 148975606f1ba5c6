#include "infer/batch.h"

#include <deque>

#include "infer/scheduler.h"

namespace ds::infer {

RecordCounts run_batch(const Engine& engine, const BatchOptions& options) {
  RecordJob job = options.job;
  job.flush_each = true;
  RecordReader reader(job, request_members());
  RecordWriter writer(job);
  Scheduler scheduler(engine, job.stop_requested);

  // Lines that never became requests, each with the number of requests submitted before it: their error
  // records wait until those are answered, so that output keeps the order of input.
  struct Bad {
    int64_t n_before;
    Json id;
    Error error;
    std::string line;
  };
  std::deque<Bad> bad;
  int64_t n_submitted = 0, n_taken = 0;
  const auto write_due_errors = [&] {
    for (; !bad.empty() && bad.front().n_before <= n_taken; bad.pop_front())
      writer.write_error(bad.front().id, bad.front().error, bad.front().line);
  };
  const auto on_bad = [&](const Json& id, const Error& e, std::string_view line) {
    bad.push_back({n_submitted, id, e, std::string(line)});
    write_due_errors();
  };

  bool at_end = false, interrupted = false;
  for (;;) {
    while (!at_end && scheduler.has_room()) {
      const std::optional<Record> record = reader.next(on_bad);
      at_end = !record;
      if (at_end) break;
      try {
        scheduler.submit(make_request(engine, *record, options.defaults));
        ++n_submitted;
      } catch (const Error& e) {
        if (!spoils_one_record(e)) throw;
        on_bad(record->id, e, record->line);
      }
    }
    if (scheduler.empty()) break;
    const Outcome outcome = scheduler.take();
    interrupted = outcome.answer.finish_reason == FinishReason::kInterrupted;
    if (interrupted) break;
    ++n_taken;
    if (outcome.error) {
      writer.write_error(outcome.request.id, *outcome.error, outcome.request.line);
    } else {
      writer.write(answer_record(engine, outcome.request, outcome.answer));
      if (options.on_timing) options.on_timing(timing_record(outcome.request, outcome.answer));
    }
    write_due_errors();
  }
  // What was read but not answered when asked to stop was dropped.
  const int64_t n_dropped = (n_submitted - n_taken) + static_cast<int64_t>(bad.size());
  DS_CHECK(n_dropped == 0 || interrupted);
  return writer.finish(reader.n_read() - n_dropped, interrupted || reader.interrupted());
}

}  // namespace ds::infer
