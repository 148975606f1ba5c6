// The first pass: the input through the record-local stages, into segments of the work folder (see
// segment.h).
#pragma once
#include "filter/passes/options.h"
#include "filter/report/report.h"

namespace ds::filter {

// The segments stay in options.work.
Report run_first_pass(const Profile& profile, const FilterOptions& options);

}  // namespace ds::filter
