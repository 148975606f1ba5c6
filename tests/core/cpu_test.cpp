#include "core/cpu.h"

#include <sys/resource.h>

#include <algorithm>

#include "doctest/doctest.h"

namespace ds {

TEST_CASE("available memory keeps to ulimit -v") {
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_AS, &old) == 0);
  const int64_t before = available_memory_bytes();
  REQUIRE(before > 0);
  // More than any machine's memory, less than no limit: leaves out what this process has mapped already.
  constexpr rlim_t kLimit = rlim_t{1} << 46;
  const rlimit limit{std::min(kLimit, old.rlim_max), old.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_AS, &limit) == 0);
  const int64_t wide = available_memory_bytes();
  const rlimit nothing{1 << 20, old.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_AS, &nothing) == 0);
  const int64_t none = available_memory_bytes();
  REQUIRE(::setrlimit(RLIMIT_AS, &old) == 0);
  CHECK(wide > 0);
  CHECK(none == 0);
}

}  // namespace ds
