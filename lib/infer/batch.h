// ds-run --jsonl: records in, answers out, in order.
#pragma once
#include "infer/engine.h"
#include "infer/records.h"
#include "infer/request.h"

namespace ds::infer {

struct BatchOptions {
  RecordJob job;  // flush_each is implied; without an output answers go nowhere
  RequestDefaults defaults;
  std::function<void(const Json&)> on_timing;  // receives a timing record per answer; may be empty
};

// When asked to stop, the record under way is dropped: what was written is a whole prefix of the answers.
RecordCounts run_batch(const Engine& engine, const BatchOptions& options);

}  // namespace ds::infer
