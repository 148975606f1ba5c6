#include "infer/batch.h"

#include <deque>

#include "infer/scheduler.h"

namespace ds {

RecordCounts run_batch(const Engine& engine, const BatchOptions& options) {
  const RecordJob& job = options.job;
  RecordReader reader(job.input, job.stop_requested);
  Scheduler scheduler(engine, job.stop_requested);
  RecordCounts counts;

  // Error records of lines that never became requests, each with the number of requests submitted before it,
  // so that output keeps the order of input.
  struct Bad {
    int64_t n_before;
    Json json;
  };
  std::deque<Bad> bad;
  int64_t n_submitted = 0, n_taken = 0;
  const auto write = [&](const Json& json) {
    if (job.output) {
      job.output->write(json.dump() + "\n");
      job.output->flush();
    }
    ++counts.n_written;
  };
  const auto write_due_errors = [&] {
    for (; !bad.empty() && bad.front().n_before <= n_taken; bad.pop_front()) write(bad.front().json);
  };
  const auto on_bad = [&](const Json& id, const Error& e) {
    ++counts.n_failed;
    if (job.on_bad) job.on_bad(e);
    bad.push_back({n_submitted, error_record(id, e)});
    write_due_errors();
  };

  bool at_end = false;
  while (!counts.interrupted) {
    while (!at_end && scheduler.has_room()) {
      const std::optional<Record> record = reader.next(on_bad);
      if (!record) {
        at_end = true;
        break;
      }
      try {
        scheduler.submit(make_request(engine, *record, options.defaults));
        ++n_submitted;
      } catch (const Error& e) {
        if (!spoils_one_record(e)) throw;
        on_bad(record->id, e);
      }
    }
    if (scheduler.empty()) break;
    const Outcome outcome = scheduler.take();
    if (outcome.answer.finish_reason == FinishReason::kInterrupted) {
      counts.interrupted = true;
      break;
    }
    ++n_taken;
    if (outcome.error) {
      ++counts.n_failed;
      if (job.on_bad) job.on_bad(*outcome.error);
      write(error_record(outcome.request.id, *outcome.error));
    } else {
      write(answer_record(engine, outcome.request, outcome.answer));
      if (options.on_timing) options.on_timing(timing_record(outcome.request, outcome.answer));
    }
    write_due_errors();
  }
  // What was read but not answered when asked to stop was dropped.
  const int64_t n_dropped = (n_submitted - n_taken) + static_cast<int64_t>(bad.size());
  counts.n_read = reader.n_read() - n_dropped;
  counts.interrupted |= reader.interrupted();
  DS_CHECK(counts.n_read == counts.n_written && (n_dropped == 0 || counts.interrupted));
  return counts;
}

}  // namespace ds
