// ds-run --jsonl: records in, answers out. Several records share the steps of one scheduler; as one is
// answered the next joins. A record that arrives is taken up at once, whether or not others follow it.
#pragma once
#include "infer/engine.h"
#include "infer/records.h"
#include "infer/request.h"

namespace ds::infer {

struct BatchOptions {
  RecordJob job;  // flush_each is implied; without an output answers go nowhere
  RequestDefaults defaults;
  std::function<void(const Json&)> on_timing;  // receives a timing record per answer; may be empty
  bool unordered = false;                      // answers as they come; else in the order of the records
  // Roughly: answers that wait for those before them. When they hold more, no further record is read.
  int64_t most_held_bytes = 64 << 20;
};

// When asked to stop, the records under way are dropped. What was written is a whole prefix of the answers,
// unless `unordered`; job.answers, which are put in order in the end, get all that is finished.
RecordCounts run_batch(const Engine& engine, const BatchOptions& options);

}  // namespace ds::infer
