#include "core/hash.h"

#include <doctest/doctest.h>

using ds::fnv1a;

TEST_CASE("FNV-1a gives its authors' published answers") {
  static_assert(fnv1a("") == 0xcbf29ce484222325u);
  CHECK(fnv1a("a") == 0xaf63dc4c8601ec8cu);
  CHECK(fnv1a("foobar") == 0x85944171f73967e8u);
  CHECK(fnv1a("chongo was here!\n") == 0x46810940eff5f915u);
  CHECK(fnv1a("bar", fnv1a("foo")) == fnv1a("foobar"));
}
