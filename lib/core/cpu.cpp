#include "core/cpu.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

#include "core/error.h"

namespace ds {
namespace {

#if defined(__x86_64__)
uint64_t enabled_state() {  // XCR0: which register sets the kernel saves
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

bool request_amx_permission() {
  constexpr int kArchReqXcompPerm = 0x1023, kArchGetXcompPerm = 0x1022, kXfeatureTileData = 18;
  if (syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureTileData) != 0) return false;
  uint64_t granted = 0;
  return syscall(SYS_arch_prctl, kArchGetXcompPerm, &granted) == 0 && (granted >> kXfeatureTileData & 1);
}

CpuFeatures detect() {
  CpuFeatures f;
  uint32_t a, b, c, d;
  if (__get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx) f.prefetch_bytes = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return f;  // OSXSAVE
  const bool fma = c >> 12 & 1, f16c = c >> 29 & 1;
  const uint64_t xcr0 = enabled_state();
  const bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xE6) == 0xE6, tiles = (xcr0 & 0x60000) == 0x60000;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
  const uint32_t max_subleaf = a;
  f.avx2 = ymm && fma && f16c && (b >> 5 & 1);
  const bool f_dq_cd_bw_vl =
      (b >> 16 & 1) && (b >> 17 & 1) && (b >> 28 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
  f.avx512 = f.avx2 && zmm && f_dq_cd_bw_vl;
  f.avx512_vbmi = f.avx512 && (c >> 1 & 1);
  f.avx512_vnni = f.avx512 && (c >> 11 & 1);
  const bool amx_tile = d >> 24 & 1, amx_bf16 = d >> 22 & 1;
  uint32_t a1 = 0, b1, c1, d1;
  if (max_subleaf >= 1) __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
  f.avx512_bf16 = f.avx512 && (a1 >> 5 & 1);
  f.amx_bf16 = f.avx512_bf16 && tiles && amx_tile && amx_bf16 && request_amx_permission();
  return f;
}
#else
CpuFeatures detect() { return {}; }
#endif

std::optional<double> read_number(const std::string& path) {
  std::ifstream in(path);
  double value;
  if (in >> value) return value;
  return std::nullopt;
}

// This process's cgroup directories, innermost first, for a controller ("cpu", "memory"); v2 has one
// hierarchy.
std::vector<std::string> cgroup_dirs(const std::string& controller) {
  std::vector<std::string> dirs;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    std::string root;
    if (names.empty()) {
      root = "/sys/fs/cgroup";
    } else {
      std::istringstream list(names);
      bool found = false;
      for (std::string name; std::getline(list, name, ',');) found = found || name == controller;
      if (!found) continue;
      root = "/sys/fs/cgroup/" + names;
    }
    std::string path = line.substr(second + 1);
    while (!path.empty() && path != "/") {
      dirs.push_back(root + path);
      path.resize(path.rfind('/'));
    }
    dirs.push_back(root);
  }
  return dirs;
}

// The tightest CPU quota above this process, in processors.
std::optional<double> cgroup_cpu_quota() {
  std::optional<double> least;
  for (const std::string& dir : cgroup_dirs("cpu")) {
    double quota = 0, period = 0;
    if (std::ifstream v2(dir + "/cpu.max"); v2 >> quota >> period) {
    } else {
      quota = read_number(dir + "/cpu.cfs_quota_us").value_or(-1);
      period = read_number(dir + "/cpu.cfs_period_us").value_or(0);
    }
    if (quota > 0 && period > 0) least = std::min(least.value_or(quota / period), quota / period);
  }
  return least;
}

std::optional<int64_t> cgroup_memory_left() {
  std::optional<int64_t> least;
  for (const std::string& dir : cgroup_dirs("memory")) {
    auto limit = read_number(dir + "/memory.max");
    auto used = read_number(dir + "/memory.current");
    if (!limit)
      limit = read_number(dir + "/memory.limit_in_bytes"), used = read_number(dir + "/memory.usage_in_bytes");
    if (!limit || *limit > 0x1p60) continue;
    // Page cache counts as used but gives way.
    double cache = 0;
    std::ifstream stat(dir + "/memory.stat");
    std::string key;
    for (double value; stat >> key >> value;)
      if (key == "file" || key == "total_cache") cache = std::max(cache, value);
    const auto left = static_cast<int64_t>(*limit - used.value_or(0) + cache);
    least = std::min(least.value_or(left), left);
  }
  return least;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAmx:
      return "amx";
  }
  return "?";
}

bool isa_available(Isa isa) {
  const CpuFeatures& f = cpu_features();
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return f.avx2;
    case Isa::kAvx512:
      return f.avx512;
    case Isa::kAmx:
      return f.amx_bf16;
  }
  return false;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    if (isa_available(isa)) isas.push_back(isa);
  return isas;
}

Isa best_isa() { return available_isas().back(); }

Isa parse_isa(const std::string& name) {
  if (name == "auto") return best_isa();
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (name != isa_name(isa)) continue;
    if (isa_available(isa)) return isa;
    throw Error(ErrorKind::kOs, "this machine has no " + name, "--isa",
                std::string("the best level here is ") + isa_name(best_isa()));
  }
  throw Error(ErrorKind::kUsage, "unknown level '" + name + "'", "--isa",
              "one of auto, scalar, avx2, avx512, amx");
}

std::string cpu_model_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));  // more than 1024 processors
}

ThreadBudget default_threads() {
  ThreadBudget budget{available_processors(), "affinity mask"};
  const auto limit = [&](int n, std::string reason) {
    if (n >= 1 && n < budget.n_threads) budget = {n, std::move(reason)};
  };
  if (const auto quota = cgroup_cpu_quota()) {
    char text[64];
    std::snprintf(text, sizeof text, "cgroup quota of %.1f processors", *quota);
    limit(std::max(1, static_cast<int>(std::floor(*quota + 0.25))), text);
  }
  if (const char* slurm = std::getenv("SLURM_CPUS_PER_TASK")) limit(std::atoi(slurm), "SLURM_CPUS_PER_TASK");
  return budget;
}

int64_t available_memory_bytes() {
  int64_t bytes = std::numeric_limits<int64_t>::max();
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  for (int64_t kib; in >> key >> kib; std::getline(in, unit))
    if (key == "MemAvailable:") bytes = kib * 1024;
  if (const auto left = cgroup_memory_left()) bytes = std::min(bytes, std::max<int64_t>(*left, 0));
  // ulimit -v counts addresses, mapped files among them.
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    int64_t used_pages = 0;
    std::ifstream("/proc/self/statm") >> used_pages;
    const int64_t left = static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, INT64_MAX)) -
                         used_pages * ::sysconf(_SC_PAGESIZE);
    bytes = std::min(bytes, std::max<int64_t>(left, 0));
  }
  return bytes;
}

int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace ds
