// The duplicate search in steps that share nothing but files, so that a SLURM array or Spark can run it:
//   sig      first pass over a shard; its work folder holds the candidates and their signatures   (one per
//   shard) edges    pairs that share one of the keys of this part                                        (one
//   per part) cluster  connected components, one list of duplicates (once) apply    second pass over a shard
//   (one per shard)
// Every file is written whole and carries a checksum. Together the shards' outputs are the one-machine run's
// bytes.
#pragma once
#include <string>
#include <vector>

#include "filter/duplicates/clusters.h"
#include "filter/passes/options.h"
#include "filter/report/report.h"

namespace ds::filter {

// Step sig, into options.work.
Report judge_shard(const Profile& profile, const FilterOptions& options);
// Step apply: takes over what sig left in options.work; does it now when nothing is there.
Report write_shard(const Profile& profile, FilterOptions options, const std::string& clusters);

// Keys part, part + n_parts, ... of the 15 (14 bands and exact equality) over all shards' signatures.
uint64_t write_edges(const std::vector<std::string>& works, int part, int n_parts, const EdgeOptions& options,
                     const std::string& out);
// Number of duplicates.
uint64_t write_clusters(const std::vector<std::string>& works, const std::vector<std::string>& edge_files,
                        const EdgeOptions& options, const std::string& out);
std::vector<Duplicate> read_clusters(const std::string& path);

}  // namespace ds::filter
