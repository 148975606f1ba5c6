// Where a run happened. Every field that cannot be read carries the reason instead of vanishing.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace ds::bench {

struct Build {
  std::string version, commit, compiler;
};

// `isa` and `threads` are what the run uses, not what the machine has.
Json capture_environment(const Build& build, const std::string& isa, int threads);

// "2030-01-01T00:00:00Z"
std::string time_utc_now();

// Processor time of the whole machine and of this process with its finished children, to tell how much of the
// machine others used while something was measured.
struct CpuTimes {
  double total_s = 0, busy_s = 0, own_s = 0;
};
CpuTimes cpu_times();
// Share of all processor time between two readings that others used; -1 when it cannot be known.
double others_cpu_share(const CpuTimes& begin, const CpuTimes& end);

// Highest resident set of this process since the last reset; ru_maxrss, which cannot be reset, where the
// system tells no other. reset_peak_memory() says whether it could.
int64_t peak_memory_bytes();
bool reset_peak_memory();

}  // namespace ds::bench
