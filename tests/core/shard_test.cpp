// --shard in words.
#include "core/shard.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "core/error.h"

using ds::parse_shard;

TEST_CASE("shards") {
  CHECK(parse_shard("1/3").idx == 1);
  CHECK(parse_shard("1/3").n == 3);
  CHECK(parse_shard("").n == 1);
  for (const char* bad : {"3/3", "-1/3", "x", "1/0", "1/3x", "1"})
    CHECK_THROWS_AS(parse_shard(bad), ds::Error);
}

TEST_CASE("a shard that SLURM chooses") {
  const auto array = [](const char* id, const char* least, const char* most, const char* n) {
    ::setenv("SLURM_ARRAY_TASK_ID", id, 1);
    ::setenv("SLURM_ARRAY_TASK_MIN", least, 1);
    ::setenv("SLURM_ARRAY_TASK_MAX", most, 1);
    ::setenv("SLURM_ARRAY_TASK_COUNT", n, 1);
  };
  ::unsetenv("SLURM_ARRAY_TASK_ID");
  CHECK(parse_shard("auto").n == 1);
  array("3", "1", "4", "4");
  CHECK(parse_shard("auto").idx == 2);
  CHECK(parse_shard("auto").n == 4);
  array("3", "1", "5", "3");  // --array=1-5:2
  CHECK_THROWS_AS(parse_shard("auto"), ds::Error);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
}
