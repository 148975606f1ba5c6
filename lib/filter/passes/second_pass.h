// The second pass: what stays is copied from the segments to the outputs.
#pragma once
#include "filter/duplicates/clusters.h"
#include "filter/passes/options.h"
#include "filter/report/report.h"

namespace ds::filter {

// Over the segments of options.work; `duplicates` by ordinal. Completes the first pass's report.
void run_second_pass(const Profile& profile, const FilterOptions& options,
                     const std::vector<Duplicate>& duplicates, Report& report);

}  // namespace ds::filter
