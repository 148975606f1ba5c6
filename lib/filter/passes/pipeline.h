// ds-filter as a library: one call reads, judges, finds duplicates and writes; the report says what happened.
//
// Two passes. The first streams the input through the record-local stages and leaves segments in a work
// folder. Then duplicates are found among the signatures. The second pass copies what stays from the segments
// to the outputs. A record that any record-local stage drops is no candidate: a cluster never loses all its
// members because its representative was bad. The same steps as files, for SLURM arrays and Spark: shards.h.
#pragma once
#include "filter/duplicates/clusters.h"
#include "filter/passes/options.h"
#include "filter/report/report.h"

namespace ds::filter {

Report run(const Profile& profile, FilterOptions options);

// How the profile wants duplicates told from others.
EdgeOptions edge_options(const Profile& profile, int64_t memory_bytes);

}  // namespace ds::filter
