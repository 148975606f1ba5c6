#include "core/shard.h"

#include <cstdio>
#include <cstdlib>

#include "core/error.h"

namespace ds {

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  if (text == "auto" || text == "slurm") {
    const auto variable = [](const char* name) -> int64_t {
      const char* v = std::getenv(name);
      return v && *v ? std::atoll(v) : -1;
    };
    const int64_t id = variable("SLURM_ARRAY_TASK_ID"), lo = variable("SLURM_ARRAY_TASK_MIN"),
                  hi = variable("SLURM_ARRAY_TASK_MAX"), n = variable("SLURM_ARRAY_TASK_COUNT");
    if (id < 0) return {};
    if (lo < 0 || hi < 0 || n < 1)
      throw Error(ErrorKind::kUsage, "SLURM_ARRAY_TASK_MIN, _MAX and _COUNT are not all set",
                  "--shard " + text, "give --shard i/n");
    if (hi - lo + 1 != n || id < lo || id > hi)
      throw Error(ErrorKind::kUsage, "the SLURM array is no plain range", "--shard " + text,
                  "give --shard i/n");
    return {id - lo, n};
  }
  long long idx = -1, n = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%lld/%lld%c", &idx, &n, &rest) != 2 || n < 1 || idx < 0 || idx >= n)
    throw Error(ErrorKind::kUsage, "'" + text + "' is no shard", "--shard",
                "write i/n with 0 <= i < n, or auto");
  return {idx, n};
}

}  // namespace ds
