// What the answers of a job depend on beside its records: the model and the options.
#pragma once
#include <string>

#include "core/json_value.h"
#include "infer/run_job.h"

namespace ds::infer {

// {"job", "model", ...the options that were given and may change an answer}. The model goes by its digest
// (checkpoint/digest.h). Threads and kernels are no part of it. Throws
// Error{kNoInput} when there is no such model.
Json run_identity(const RunJob& job);
// What differs between two: "temperature 0.6, now 0.2"; "" when nothing does.
std::string identity_difference(const Json& before, const Json& now);

}  // namespace ds::infer
