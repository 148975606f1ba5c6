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

namespace ds::filter {

struct ShardChoice {
  int shard = 0, n_shards = 1;
};
// "i/n", or "slurm": the array task's place, when the array is 0..n-1 or 1..n without gaps. Throws
// Error{kUsage}.
ShardChoice parse_shard(const std::string& text);

// Keys part, part + n_parts, ... of the 15 (14 bands and exact equality) over all shards' signatures.
uint64_t write_edges(const std::vector<std::string>& works, int part, int n_parts, const EdgeOptions& options,
                     const std::string& out);
// Number of duplicates.
uint64_t write_clusters(const std::vector<std::string>& works, const std::vector<std::string>& edge_files,
                        const EdgeOptions& options, const std::string& out);
std::vector<Duplicate> read_clusters(const std::string& path);

}  // namespace ds::filter
