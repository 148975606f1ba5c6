// ds-run --jsonl: records in, answers out, in order.
#pragma once
#include "infer/engine.h"
#include "infer/records.h"
#include "infer/request.h"

namespace ds {

struct BatchOptions {
  RecordJob job;  // flush_each is implied
  RequestDefaults defaults;
  OutputStream* timings = nullptr;  // one timing record per answer; may be null
};

// When asked to stop, the record under way is dropped: what was written is a whole prefix of the answers.
RecordCounts run_batch(const Engine& engine, const BatchOptions& options);

}  // namespace ds
