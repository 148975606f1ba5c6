// One of n parts of some work, as --shard words it.
#pragma once
#include <cstdint>
#include <string>

namespace ds {

struct Shard {
  int64_t idx = 0, n = 1;  // 0 <= idx < n
};
// "i/n"; "" for everything; "auto" ("slurm"): the place of a SLURM array's element in its plain range, and
// everything where there is no array. Throws Error{kUsage}.
Shard parse_shard(const std::string& text);

}  // namespace ds
