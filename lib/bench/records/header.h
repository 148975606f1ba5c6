// What ran, on what, with which plan: the first record of a run, read once where records come in.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/json_value.h"

namespace ds::bench {

// What a header says of what was measured.
struct TargetHeader {
  std::string kind, what;  // "engine", "command", "http"; the model, command line or address
  std::string digest;      // of the model, where known
  double weight_bytes_per_token = 0, cache_bytes_per_token = 0;  // 0: not known
};

// Absent members, and those of another type than ours, are empty: other producers write headers, too.
struct RunHeader {
  RunHeader(Json object);  // NOLINT(google-explicit-constructor): a header is this object, read

  Json object;  // as it came, and as it is written again
  TargetHeader target;
  std::optional<TargetHeader> target_b;  // of an interleaved comparison
  std::string plan_hash, set_digest, cpu_model, isa, threads, time_utc, command;
  std::string job_id, node;  // of Slurm
  std::string shard_family;  // what the shards of one run share; empty for a run that is no shard
  bool open = false;         // requests arrived by a plan of times, not when the one before was done
  double read_gb_s = 0;      // measured memory bandwidth; 0: not known
  double overhead_ttft_ms = -1, overhead_e2e_ms = -1;  // of the tool itself; -1: not measured
  std::string overhead_of;                             // how that was measured

  const TargetHeader& of_arm(const std::string& arm) const {
    return arm == "b" && target_b ? *target_b : target;
  }
};

// The members (as "set", or "env.isa" of an object within) in which two headers differ:
// "env.isa: \"avx2\" against absent".
std::vector<std::string> header_differences(const RunHeader& a, const RunHeader& b,
                                            const std::vector<std::string>& members);
// In the fields that make timings comparable: processor, ISA, threads, quota, kernel, container, target kind.
std::vector<std::string> environment_differences(const RunHeader& a, const RunHeader& b);

}  // namespace ds::bench
