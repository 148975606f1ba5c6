// What this process may use of the machine: instruction sets, processors, memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/rooms.h"

namespace ds {

// Levels of CPU kernels, each including those before it. kAvx512 uses BF16 dot products where the CPU has
// them.
enum class Isa { kScalar, kAvx2, kAvx512, kAmx };

struct CpuFeatures {
  bool avx2 = false;    // with FMA and F16C
  bool avx512 = false;  // F BW DQ VL CD
  bool avx512_bf16 = false;
  bool avx512_vnni = false;
  bool avx512_vbmi = false;
  // Software prefetch distance for streaming reads: a page on Intel, where it doubles the bandwidth; none on
  // AMD, whose own prefetchers do better without (27 against 18 to 24 GB/s measured).
  int prefetch_bytes = 4096;
  bool amx_bf16 = false;  // and the kernel granted tile data to this process
};
// Asks the CPU and, for AMX, requests permission from the kernel (once; later calls return the same).
const CpuFeatures& cpu_features();

const char* isa_name(Isa isa);  // "scalar", "avx2", "avx512", "amx"
bool isa_available(Isa isa);
Isa best_isa();
std::vector<Isa> available_isas();  // from scalar up
// "auto" or a level's name. Throws Error{kUsage} for an unknown name, Error{kOs} for a level this machine
// lacks.
Isa parse_isa(const std::string& name);

std::string cpu_model_name();

// Processors in the affinity mask (cpusets show there), at least 1.
int available_processors();

struct ThreadBudget {
  int n_threads = 1;
  std::string
      reason;  // which limit decided, for people: "cgroup quota 2.0", "affinity mask", "SLURM_CPUS_PER_TASK"
};
// The least of affinity mask, cgroup (v1 or v2) CPU quota and SLURM_CPUS_PER_TASK.
ThreadBudget default_threads();

// Bytes that may still be allocated: the least of MemAvailable and what the cgroup limit leaves.
int64_t available_memory_bytes();
// Highest resident set of this process so far.
int64_t peak_rss_bytes();

}  // namespace ds
