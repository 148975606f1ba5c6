#include "bench/records/environment.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "core/cpu.h"
#include "core/json_value.h"
#include "io/files.h"

namespace ds::bench {
namespace {

namespace fs = std::filesystem;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string field_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) {
      const size_t at = line.find_first_not_of(" \t:", key.size());
      return at == std::string::npos ? "" : line.substr(at);
    }
  return "";
}

// Fills `env`, or says in `missing` why not.
struct Fields {
  Json env, missing = Json::object();
  void add(const char* key, const std::string& value, const char* reason) {
    if (value.empty()) {
      env[key] = Json();
      missing[key] = reason;
    } else {
      env[key] = value;
    }
  }
};

std::string cgroup_quota() {
  // v2: "max 100000" or "200000 100000"; v1: two files, -1 for none.
  const std::string v2 = first_line("/sys/fs/cgroup/cpu.max");
  if (!v2.empty()) return v2;
  const std::string quota = first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  return quota.empty() ? "" : quota + " " + first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
}

std::string container() {
  if (fs::exists("/.dockerenv")) return "docker";
  if (fs::exists("/run/.containerenv")) return "podman";
  const std::string kind = first_line("/run/systemd/container");
  return kind.empty() ? "none seen" : kind;
}

// The facts of a job that explain its numbers: which node, how much of it, alone or not, which try.
Json slurm_job() {
  Json::object_t job;
  for (const auto& [key, variable] : {std::pair("job_id", "SLURM_JOB_ID"),
                                      {"array_job_id", "SLURM_ARRAY_JOB_ID"},
                                      {"array_task_id", "SLURM_ARRAY_TASK_ID"},
                                      {"cluster", "SLURM_CLUSTER_NAME"},
                                      {"partition", "SLURM_JOB_PARTITION"},
                                      {"node", "SLURMD_NODENAME"},
                                      {"nodes", "SLURM_JOB_NODELIST"},
                                      {"n_nodes", "SLURM_JOB_NUM_NODES"},
                                      {"cpus_on_node", "SLURM_CPUS_ON_NODE"},
                                      {"cpus_per_task", "SLURM_CPUS_PER_TASK"},
                                      {"memory_per_node_mb", "SLURM_MEM_PER_NODE"},
                                      {"restarts", "SLURM_RESTART_COUNT"}})
    if (const char* value = std::getenv(variable); value && *value) job.emplace_back(key, std::string(value));
  return std::getenv("SLURM_JOB_ID") ? Json(std::move(job)) : Json();
}

}  // namespace

Json capture_environment(const Build& build, const std::string& isa, int threads) {
  Fields f;
  f.env["tool"] = "ds-bench " + build.version;
  f.add("commit", build.commit, "built outside a git checkout");
  f.env["compiler"] = build.compiler;
  f.add("cpu_model", cpu_model_name(), "no model name in /proc/cpuinfo");
  f.env["isa"] = isa;
  f.env["isa_best"] = isa_name(best_isa());
  const ThreadBudget budget = default_threads();
  f.env["threads"] = threads > 0 ? threads : budget.n_threads;
  f.env["threads_reason"] = threads > 0 ? "as asked" : budget.reason;
  f.env["processors"] = available_processors();
  f.add("cgroup_cpu", cgroup_quota(), "no cgroup CPU controller is visible");
  utsname names{};
  if (::uname(&names) == 0) {
    f.env["kernel"] = std::string(names.release) + " " + names.machine;
    f.env["host"] = names.nodename;
  }
  f.add("microcode", field_of("/proc/cpuinfo", "microcode"), "not shown in /proc/cpuinfo");
  const std::string cpu0 = "/sys/devices/system/cpu/";
  f.add("governor", first_line(cpu0 + "cpu0/cpufreq/scaling_governor"),
        "no cpufreq here: usual in virtual machines");
  std::string boost = first_line(cpu0 + "cpufreq/boost");
  if (const std::string no_turbo = first_line(cpu0 + "intel_pstate/no_turbo");
      boost.empty() && !no_turbo.empty())
    boost = no_turbo == "0" ? "1" : "0";
  f.add("boost", boost, "no cpufreq here: usual in virtual machines");
  f.add("smt", first_line(cpu0 + "smt/active"), "not shown by this kernel");
  f.add("numa_nodes", first_line("/sys/devices/system/node/online"), "not shown by this kernel");
  f.add("memory", field_of("/proc/meminfo", "MemTotal"), "no /proc/meminfo");
  f.add("huge_pages", first_line("/sys/kernel/mm/transparent_hugepage/enabled"), "not shown by this kernel");
  f.add("clock_source", first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "not shown by this kernel");
  f.env["container"] = container();
  if (Json job = slurm_job(); job.is_object()) f.env["slurm"] = std::move(job);
  f.env["time_utc"] = time_utc_now();
  f.env["missing"] = f.missing;
  return f.env;
}

std::string time_utc_now() {
  char when[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &utc));
  return when;
}

CpuTimes cpu_times() {
  CpuTimes t;
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  const double tick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  // user nice system idle iowait irq softirq steal
  double value = 0;
  for (int i = 0; i < 8 && file >> value; ++i) {
    t.total_s += value * tick;
    if (i != 3 && i != 4) t.busy_s += value * tick;
  }
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& v : {usage.ru_utime, usage.ru_stime})
      t.own_s += static_cast<double>(v.tv_sec) + static_cast<double>(v.tv_usec) * 1e-6;
  }
  return t;
}

double others_cpu_share(const CpuTimes& begin, const CpuTimes& end) {
  const double total = end.total_s - begin.total_s;
  // Below a second the counters' steps of 10 ms say little.
  if (total < 1) return -1;
  return std::clamp((end.busy_s - begin.busy_s - (end.own_s - begin.own_s)) / total, 0.0, 1.0);
}

int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
  return peak_rss_bytes();
}

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  return static_cast<bool>(file << "5" << std::flush);
}

}  // namespace ds::bench
